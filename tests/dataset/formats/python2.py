"""Pickles as Python 2 and the NumPy of 2009 wrote them (protocol 2): what CIFAR-10's archive holds, and what a hostile one may."""

from pathlib import Path
from typing import Any

import numpy as np


class Call:
    """What pickle calls REDUCE: a name to import, and the arguments to call it with."""

    def __init__(self, module: str, name: str, *arguments: Any) -> None:
        self.module, self.name, self.arguments = module, name, arguments


def dumped(value: Any) -> bytes:
    return b"\x80\x02" + _written(value) + b"."


def write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(dumped(value))


def _written(value: Any) -> bytes:
    if value is None or isinstance(value, bool):
        return {None: b"N", True: b"\x88", False: b"\x89"}[value]
    if isinstance(value, int):
        return b"J" + value.to_bytes(4, "little", signed=True)
    if isinstance(value, str):  # a text of Python 2 has no encoding
        return _written(value.encode("latin-1"))
    if isinstance(value, bytes):
        return b"T" + len(value).to_bytes(4, "little") + value
    if isinstance(value, np.ndarray):
        return _array(value)
    if isinstance(value, Call):
        return _name(value.module, value.name) + _written(value.arguments) + b"R"
    return _container(value)


def _container(value: Any) -> bytes:
    if isinstance(value, dict):
        return b"}(" + b"".join(_written(key) + _written(sample) for key, sample in value.items()) + b"u"
    samples = b"".join(map(_written, value))
    return b"(" + samples + b"t" if isinstance(value, tuple) else b"](" + samples + b"e"


def _name(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def _array(value: Any) -> bytes:
    empty = _name("numpy.core.multiarray", "_reconstruct") + b"(" + _name("numpy", "ndarray") + _written((0,)) + _written("b") + b"tR"
    kind = _written(Call("numpy", "dtype", value.dtype.str[1:], 0, 1)) + _written((3, "|", None, None, None, -1, -1, 0)) + b"b"
    return empty + b"(" + _written(1) + _written(value.shape) + kind + _written(False) + _written(value.tobytes()) + b"tb"
