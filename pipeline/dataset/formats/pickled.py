"""Old pickles of plain values and arrays of bytes, read without running anything that they name.

Unpickling calls what the file asks for, and NumPy trusts what it is given there. So neither is let in: the three names that a
pickled array needs mean stand-ins, which only remember what they were told, and every other name is refused."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config.errors import DataError

BYTE_TYPES = (b"u1", b"uint8", b"|u1")  # what NumPy writes for unsigned bytes


class _Refused(Exception):
    """The file names what it must not; the message is that name."""


class _Array:
    """An array's state, as pickled."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Type:
    """An array type's name, as pickled."""

    def __init__(self, name: Any = None, *_: Any) -> None:
        self.name = name

    def __setstate__(self, state: Any) -> None:
        """Byte order and alignment: bytes have none."""


def _new_array(*_: Any) -> _Array:
    return _Array()


STAND_INS = {
    ("numpy.core.multiarray", "_reconstruct"): _new_array,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in STAND_INS:
            raise _Refused(f"{module}.{name}")
        return STAND_INS[module, name]


def unpickled(path: Path) -> dict[str, Any]:
    """Read a pickled mapping whose values are plain or arrays of bytes; texts of Python 2 stay bytes, keys become text.

    Raises DataError where it names any other class or function, is damaged, or is no such mapping."""
    try:
        with path.open("rb") as stream:
            tree = _Unpickler(stream, encoding="bytes").load()
        return {key.decode("ascii"): _array(value) if isinstance(value, _Array) else value for key, value in tree.items()}
    except _Refused as refused:
        raise DataError(
            f"{path.name} asks for {refused}, which a batch of images has no need of and which could run anything; "
            "it was not run. Do not use this file, fetch the original"
        ) from refused
    except Exception as error:  # a pickle is a program: wrong bytes make it fail in every way
        raise DataError(f"{path.name} is damaged or no pickled mapping: {error}; fetch it again") from error


def _array(pickled: _Array) -> NDArray[np.uint8]:
    _, shape, kind, by_columns, data = pickled.state
    if kind.name not in BYTE_TYPES:
        raise ValueError(f"an array of {kind.name!r}, expected bytes")
    return np.frombuffer(data, np.uint8).reshape(shape, order="F" if by_columns else "C")
