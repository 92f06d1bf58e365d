"""Raw files → images and labels, one function per format; nothing is resized here.

A reader takes (raw, classes, splits) and returns its items in an order that depends on the files alone."""

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.config.errors import ConfigError, DataError

ALL = "all"  # the part of images that no official split claims
NO_CLASS = ""  # the label of a file outside the class folders: listed, not used


@dataclass(frozen=True)
class Item:
    """One source image."""

    path: str  # below data/raw; `file#index` inside a packed file
    label: str  # class name, or NO_CLASS
    part: str  # its official split, or ALL
    content: Path | NDArray[np.uint8]  # a file to decode, or (H, W) pixels


def digits(raw: Path, classes: list[str] | None, splits: dict[str, str] | None) -> list[Item]:
    """scikit-learn's digits.csv.gz: 64 pixel values of 0..16 and the label in each row."""
    path = raw / "digits.csv.gz"
    if not path.exists():
        raise DataError(f"{path.name} is not among the fetched files; dataset.reader=digits is for dataset=digits")
    with gzip.open(path, "rt") as stream:
        table = np.loadtxt(stream, delimiter=",", dtype=np.int64)
    images = np.round(table[:, :64] * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8)
    return [
        Item(f"digits.csv.gz#{i}", _named(label, classes), ALL, image)
        for i, (image, label) in enumerate(zip(images, table[:, 64], strict=True))
    ]


def idx(raw: Path, classes: list[str] | None, splits: dict[str, str] | None) -> list[Item]:
    """MNIST's format: `<prefix>-images-idx3-ubyte.gz` and `<prefix>-labels-idx1-ubyte.gz` for each split."""
    items = []
    for part, prefix in (splits or {ALL: "train"}).items():
        name = f"{prefix}-images-idx3-ubyte.gz"
        images = read_idx(raw / name)
        labels = read_idx(raw / f"{prefix}-labels-idx1-ubyte.gz")
        if len(images) != len(labels):
            raise DataError(f"{name} holds {len(images)} images, but its labels file {len(labels)} labels")
        items += [Item(f"{name}#{i}", _named(label, classes), part, images[i]) for i, label in enumerate(labels)]
    return items


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Read one IDX file of unsigned bytes (http://yann.lecun.com/exdb/mnist, "file formats")."""
    if not path.exists():
        raise DataError(f"{path.name} is not among the fetched files; dataset.splits must name file prefixes")
    data = gzip.decompress(path.read_bytes())
    if data[:3] != b"\0\0\x08":
        raise DataError(f"{path.name} is not an IDX file of bytes: it begins with {data[:4].hex()}, expected 000008..")
    dimensions = data[3]
    shape = np.frombuffer(data, ">u4", dimensions, offset=4)
    values = np.frombuffer(data, np.uint8, offset=4 + 4 * dimensions)
    if len(values) != shape.prod():
        raise DataError(f"{path.name} holds {len(values)} values, its header promises {shape.prod()}")
    return values.reshape(shape)


def folder(raw: Path, classes: list[str] | None, splits: dict[str, str] | None) -> list[Item]:
    """One sub-folder per class, images anywhere below it; official splits are folders of such sub-folders."""
    items = []
    names: set[str] = set()
    for part, where in (splits or {ALL: "."}).items():
        top = raw / where
        if not top.is_dir():
            raise DataError(f"dataset.splits.{part} names {where}, but there is no such folder among the images")
        found = sorted(path.name for path in top.iterdir() if path.is_dir())
        if not found:
            raise DataError(f"{where} holds no class folders; put the images of each class into a sub-folder of its own")
        if names and set(found) != names:
            raise DataError(f"{where} has the classes {', '.join(found)}, another split has {', '.join(sorted(names))}")
        names = set(found)
        for name in found:
            items += _class_items(raw, top / name, name, part)
    if classes and names != set(classes):
        raise DataError(f"dataset.classes names {', '.join(classes)}, but the sub-folders are {', '.join(sorted(names))}")
    read = {item.path for item in items}
    others = [path for path in sorted(raw.rglob("*")) if path.is_file() and str(path.relative_to(raw)) not in read]
    return items + [Item(str(path.relative_to(raw)), NO_CLASS, ALL, path) for path in others]


def _class_items(raw: Path, top: Path, name: str, part: str) -> list[Item]:
    where = top.relative_to(raw)
    paths = sorted(path for path in top.rglob("*") if path.is_file())
    if not paths:
        raise DataError(f"class {name} has no images: the folder {where} is empty; fill it or remove it")
    if part == ALL and all(path.parent.parent == top for path in paths):
        folders = sorted({path.parent.name for path in paths})
        if folders and len(folders) < len(paths):
            _refuse_hidden_splits(name, folders, raw)
    return [Item(str(path.relative_to(raw)), name, part, path) for path in paths]


def _refuse_hidden_splits(name: str, folders: list[str], raw: Path) -> None:
    """Splits taken for classes would train a network to tell the training set from the test set."""
    siblings = sorted(path.name for path in raw.iterdir() if path.is_dir())
    raise DataError(
        f"the folder {name} holds no images but the folders {', '.join(folders)}. If {', '.join(siblings)} are splits, "
        f"name them: dataset.splits='{{train: {siblings[-1]}, test: {siblings[0]}}}'; if not, put the images right below their class"
    )


def _named(label: int, classes: list[str] | None) -> str:
    if classes is None:
        return str(label)
    if not 0 <= label < len(classes):
        raise DataError(f"the files hold label {label}, but dataset.classes names only {len(classes)} classes")
    return classes[label]


Reader = Callable[[Path, list[str] | None, dict[str, str] | None], list[Item]]

READERS: dict[str, Reader] = {"digits": digits, "idx": idx, "folder": folder}


def read(reader: str, raw: Path, classes: list[str] | None, splits: dict[str, str] | None) -> list[Item]:
    """Read the raw files by the named function; raises ConfigError for a name that is none of them."""
    if reader not in READERS:
        raise ConfigError(f"dataset.reader is {reader!r}, expected one of {', '.join(READERS)}")
    return READERS[reader](raw, classes, splits)
