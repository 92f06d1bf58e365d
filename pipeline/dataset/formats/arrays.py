"""Images packed as arrays: scikit-learn's digits, MNIST's IDX files, CIFAR-10's batches."""

import gzip
import pickle
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from pipeline.config.errors import DataError
from pipeline.config.schema import Dataset
from pipeline.config.splits import ALL
from pipeline.config.wording import counted
from pipeline.dataset.records import Sample, named

DIGITS = "digits.csv.gz"  # 64 values of 0..16 and the label in each row

IDX_OF_BYTES = b"\0\0\x08"  # first bytes of an IDX file of unsigned bytes; the number of dimensions follows
GZIP = b"\x1f\x8b"

SIDE = 32  # pixels, height = width, of a CIFAR image
PLANES = 3 * SIDE * SIDE  # bytes of a CIFAR image: all of red, then green, then blue
RECORD = 1 + PLANES  # bytes of a record of the binary version: the label comes first


def digits(raw: Path, dataset: Dataset) -> list[Sample]:
    """Read scikit-learn's 8x8 digits, which have no official splits. Raises DataError for a missing file or an unknown label."""
    path = raw / DIGITS
    if not path.exists():
        raise DataError(f"{DIGITS} is not among the fetched files; dataset.reader=digits is for dataset=digits")
    table = np.loadtxt(path, delimiter=",", dtype=np.int64)
    images = np.round(table[:, :64] * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8)
    return _numbered(DIGITS, ALL, images, table[:, 64], dataset)


def idx(raw: Path, dataset: Dataset) -> list[Sample]:
    """Read `<prefix>-images-idx3-ubyte` and `<prefix>-labels-idx1-ubyte` of each split, with or without .gz.

    Format: http://yann.lecun.com/exdb/mnist, "file formats". Raises DataError for files that are missing, damaged or inconsistent."""
    samples = []
    for part, prefix in (dataset.splits or {ALL: "train"}).items():
        file = _idx_file(raw, f"{prefix}-images-idx3-ubyte")
        images = read_idx(file, dimensions=3)
        labels = read_idx(_idx_file(raw, f"{prefix}-labels-idx1-ubyte"), dimensions=1)
        if len(images) != len(labels):
            raise DataError(f"{file.name} holds {counted(len(images), 'image')}, but its labels file {counted(len(labels), 'label')}")
        samples += _numbered(str(file.relative_to(raw)), part, images, labels, dataset)
    return samples


def _numbered(file: str, part: str, images: NDArray[np.uint8], labels: Iterable[int], dataset: Dataset) -> list[Sample]:
    places = (f"{file}#{i}" for i in range(len(images)))
    return [
        Sample(place, named(int(label), dataset, place), part, image) for place, image, label in zip(places, images, labels, strict=True)
    ]


def _idx_file(raw: Path, name: str) -> Path:
    for path in (raw / f"{name}.gz", raw / name):
        if path.is_file():
            return path
    raise DataError(f"neither {name}.gz nor {name} is among the fetched files; dataset.splits must name file prefixes")


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes. Raises DataError for any other file, other dimensions, or a truncated one."""
    data = path.read_bytes()
    try:
        data = gzip.decompress(data) if data.startswith(GZIP) else data
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path.name} is damaged: {error}; fetch it again") from error
    header, magic = 4 + 4 * dimensions, IDX_OF_BYTES + bytes([dimensions])
    if not data.startswith(magic) or len(data) < header:
        raise DataError(
            f"{path.name} is not an IDX file of bytes in {counted(dimensions, 'dimension')}: its header is "
            f"{data[:header].hex() or 'empty'}, expected {magic.hex()} and the sizes"
        )
    shape = [int.from_bytes(data[i : i + 4]) for i in range(4, header, 4)]
    values = np.frombuffer(data, np.uint8, offset=header)
    if len(values) != int(np.prod(shape, dtype=object)):
        raise DataError(f"{path.name} holds {counted(len(values), 'value')}, its header promises {np.prod(shape, dtype=object)}")
    return values.reshape(shape)


def cifar(raw: Path, dataset: Dataset) -> list[Sample]:
    """Read CIFAR-10's Python version (Krizhevsky 2009): dataset.splits names file prefixes, `batches.meta` beside them the classes.

    Raises DataError for a file that is missing, damaged or asks for any class of its own, and for an unknown label."""
    samples = []
    for part, batch in _batches(raw, dataset):
        tree, meta = unpickled(batch), unpickled(_beside(batch, "batches.meta"))
        names = [name.decode("latin-1") for name in _field(meta, "label_names", "batches.meta", list, bytes)]
        labels, data = _field(tree, "labels", batch.name, list, int), _field(tree, "data", batch.name, np.ndarray)
        samples += _cifar_samples(raw, part, batch, labels, data, names)
    return samples


def cifar_binary(raw: Path, dataset: Dataset) -> list[Sample]:
    """Read CIFAR-10's binary version: dataset.splits names file prefixes, `batches.meta.txt` beside them the classes.

    Raises DataError for a file that is missing or truncated, and for an unknown label."""
    samples = []
    for part, batch in _batches(raw, dataset):
        data = np.frombuffer(batch.read_bytes(), np.uint8)
        if not len(data) or len(data) % RECORD:
            raise DataError(f"{batch.name} has {counted(len(data), 'byte')}, no whole number of records of {RECORD}; fetch it again")
        records = data.reshape(-1, RECORD)
        names = _beside(batch, "batches.meta.txt").read_text().split()
        samples += _cifar_samples(raw, part, batch, records[:, 0].tolist(), records[:, 1:], names)
    return samples


def _batches(raw: Path, dataset: Dataset) -> Iterator[tuple[str, Path]]:
    for part, where in (dataset.splits or {ALL: "data_batch"}).items():
        prefix = raw / where
        found = sorted(path for path in prefix.parent.glob("*") if path.name.startswith(prefix.name))
        if not found:
            raise DataError(f"no fetched file's name begins with {where}; dataset.splits must name file prefixes")
        yield from ((part, path) for path in found)


def _beside(batch: Path, name: str) -> Path:
    path = batch.with_name(name)
    if not path.is_file():
        raise DataError(f"{name}, which names the classes, is not beside {batch.name}; fetch the archive again")
    return path


def _field(tree: dict[str, Any], key: str, file: str, kind: type, of: type | None = None) -> Any:
    value = tree.get(key)
    if not isinstance(value, kind) or (of and not all(isinstance(entry, of) for entry in cast(list[Any], value))):
        expected = f"{kind.__name__}[{of.__name__}]" if of else kind.__name__
        raise DataError(f"{file} has no {key} of type {expected}; it holds {', '.join(tree)}. Fetch the archive again")
    return value


def _cifar_samples(raw: Path, part: str, batch: Path, labels: list[int], data: NDArray[np.uint8], names: list[str]) -> list[Sample]:
    if data.shape != (len(labels), PLANES):
        raise DataError(
            f"{batch.name} holds {counted(len(labels), 'label')} and values of shape {data.shape}, expected ({len(labels)}, {PLANES})"
        )
    for i, label in enumerate(labels):
        if not 0 <= label < len(names):
            raise DataError(
                f"{batch.name}#{i} has label {label}, but the archive names only {counted(len(names), 'class', 'classes')}; fetch it again"
            )
    images = np.ascontiguousarray(data.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1))
    where = batch.relative_to(raw)
    return [Sample(f"{where}#{i}", names[label], part, image) for i, (label, image) in enumerate(zip(labels, images, strict=True))]


BYTE_TYPES = (b"u1", b"uint8", b"|u1")  # how NumPy spells unsigned bytes

# A pickle may call any function that it names, and NumPy trusts the state that it is given. So neither is let in: the three
# names that a pickled array needs are replaced by a stand-in that only stores its arguments, and all others are refused.
STAND_INS = {("numpy.core.multiarray", "_reconstruct"), ("numpy", "ndarray"), ("numpy", "dtype")}


class _Refused(Exception):
    """The pickle names something else; the message is that name."""


class _StandIn:
    """A pickled array or data type, not built."""

    state: Any = None

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in STAND_INS:
            raise _Refused(f"{module}.{name}")
        return _StandIn


def unpickled(path: Path) -> dict[str, Any]:
    """Read a pickled mapping of plain values and arrays of bytes, running none of its code; Python 2's strings stay bytes.

    Raises DataError for any other class or function, for a damaged file, and for anything but a mapping."""
    try:
        with path.open("rb") as stream:
            tree = _Unpickler(stream, encoding="bytes").load()
        return {key.decode("ascii"): _array(value) if isinstance(value, _StandIn) else value for key, value in tree.items()}
    except _Refused as refused:
        raise DataError(
            f"{path.name} asks for {refused}, which a batch of images does not need and which could run anything; "
            "it was not run. Do not use this file, fetch the original"
        ) from refused
    except Exception as error:  # a pickle is a program: wrong bytes fail in every way
        raise DataError(f"{path.name} is damaged or no pickled mapping: {error}; fetch it again") from error


def _array(pickled: _StandIn) -> NDArray[np.uint8]:
    _, shape, kind, by_columns, data = pickled.state
    if kind.arguments[0] not in BYTE_TYPES:
        raise ValueError(f"an array of {kind.arguments[0]!r}, expected bytes")
    return np.frombuffer(data, np.uint8).reshape(shape, order="F" if by_columns else "C")
