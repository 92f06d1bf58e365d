"""A source image before it is decoded: what every format gives."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.config.counted import counted
from pipeline.config.errors import ConfigError, DataError
from pipeline.config.schema import Dataset
from pipeline.dataset.embedded import Embedded
from pipeline.dataset.files import names_below
from pipeline.dataset.reading import contents

ALL = "all"  # the part of images that no official split claims
NO_CLASS = ""  # the label of what is listed, but not used
NOT_TAKEN = "is not in dataset.take"  # why an image of another class is not used
# How the names of photos end, those of kinds that are not read too.
PHOTOS = (
    *(".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jpe", ".jpeg", ".jpg"),
    *(".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"),
)


@dataclass(frozen=True, slots=True)
class File:
    """An image file; a Path of its own for each of many would take three times the memory."""

    folder: Path
    name: str  # below it

    def path(self) -> Path:
        return self.folder / self.name

    def read_bytes(self) -> bytes:
        """Raises Refused where it can't be read."""
        return contents(self.path())


@dataclass(frozen=True, slots=True)
class Item:
    """One source image."""

    path: str  # below data/raw; `file#index` inside a packed file
    label: str  # class name, or NO_CLASS
    part: str  # its official split, or ALL
    content: File | Embedded | NDArray[np.uint8]  # a file to decode, on its own or in a table, or (H, W) or (H, W, C) pixels
    why: str = ""  # it is not used, where it has NO_CLASS


def named(label: int, dataset: Dataset, where: str) -> str:
    """Return the class of a label that is a number in the files; where dataset.take renames classes, the number itself.

    Raises DataError for a negative one, or one that dataset.classes has no name for."""
    classes = None if dataset.take else dataset.classes
    if label < 0:
        raise DataError(f"{where} has label {label}, expected 0 or more; leave images without a class out of the data")
    if classes is None:
        return str(label)
    if label >= len(classes):
        raise DataError(
            f"{where} has label {label}, but dataset.classes names only {counted(len(classes), 'class', 'classes')}, "
            f"0 to {len(classes) - 1}"
        )
    return classes[label]


def others(raw: Path, items: list[Item], why: str) -> list[Item]:
    """Return an item without class for every file that is none of the items, so that no file goes unmentioned."""
    read = {item.path for item in items}
    return [Item(name, NO_CLASS, ALL, File(raw, name), why) for name in names_below(raw) if name not in read]


def column(dataset: Dataset, role: str) -> str:
    """Return what the data's tables call their column of images or labels; raises ConfigError where dataset.columns does not say."""
    if not dataset.columns or role not in dataset.columns:
        raise ConfigError(f"dataset.columns must say which column holds the {role}s, but it has no {role}", "dataset.columns")
    return dataset.columns[role]
