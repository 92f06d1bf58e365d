"""MNIST's format (http://yann.lecun.com/exdb/mnist, "file formats"): arrays of bytes, images and labels in files of their own."""

import gzip
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.config.counted import counted
from pipeline.config.errors import DataError
from pipeline.config.schema import Dataset
from pipeline.dataset.items import ALL, Item, named

BYTES = b"\0\0\x08"  # how a file of unsigned bytes begins; the number of its dimensions follows
GZIP = b"\x1f\x8b"


def idx(raw: Path, dataset: Dataset) -> list[Item]:
    """Read `<prefix>-images-idx3-ubyte` and `<prefix>-labels-idx1-ubyte` of each split, with or without .gz.

    Raises DataError for files that are missing, damaged, not of bytes, or do not belong together."""
    items = []
    for part, prefix in (dataset.splits or {ALL: "train"}).items():
        file = _present(raw, f"{prefix}-images-idx3-ubyte")
        images = read_idx(file, dimensions=3)
        labels = read_idx(_present(raw, f"{prefix}-labels-idx1-ubyte"), dimensions=1)
        if len(images) != len(labels):
            raise DataError(f"{file.name} holds {counted(len(images), 'image')}, but its labels file {counted(len(labels), 'label')}")
        names = [f"{file.relative_to(raw)}#{i}" for i in range(len(images))]
        items += [
            Item(name, named(int(label), dataset, name), part, image) for name, label, image in zip(names, labels, images, strict=True)
        ]
    return items


def _present(raw: Path, name: str) -> Path:
    for path in (raw / f"{name}.gz", raw / name):
        if path.is_file():
            return path
    raise DataError(f"neither {name}.gz nor {name} is among the fetched files; dataset.splits must name file prefixes")


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Read one IDX file of unsigned bytes. Raises DataError where it is none, has other dimensions, or is cut short."""
    data = _unpacked(path)
    if data[:3] != BYTES:
        raise DataError(f"{path.name} is not an IDX file of bytes: it begins with {data[:4].hex()}, expected 000008..")
    header = 4 + 4 * dimensions
    if data[3:4] != bytes([dimensions]) or len(data) < header:
        raise DataError(f"{path.name} is not an IDX file of {counted(dimensions, 'dimension')}: its header is {data[:header].hex()}")
    shape = [int.from_bytes(data[i : i + 4]) for i in range(4, header, 4)]
    values = np.frombuffer(data, np.uint8, offset=header)
    if len(values) != int(np.prod(shape, dtype=object)):
        raise DataError(f"{path.name} holds {counted(len(values), 'value')}, its header promises {np.prod(shape, dtype=object)}")
    return values.reshape(shape)


def _unpacked(path: Path) -> bytes:
    data = path.read_bytes()
    try:
        return gzip.decompress(data) if data.startswith(GZIP) else data
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path.name} is damaged: {error}; fetch it again") from error
