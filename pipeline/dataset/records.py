"""Samples: source images before decoding, as every reader returns them; and what the readers share."""

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.config.errors import ConfigError, DataError
from pipeline.config.schema import Dataset
from pipeline.config.splits import ALL, SPLITS
from pipeline.config.wording import counted
from pipeline.dataset.files import contents, digest, names_below

NO_CLASS = ""  # label of files that are listed but not used
NOT_TAKEN = "is not in dataset.take"  # ending of the reason for images of other classes
# Suffixes of photos, including formats that are not read.
PHOTOS = (
    *(".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jpe", ".jpeg", ".jpg"),
    *(".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"),
)


class Encoded(Protocol):
    """An image file, on its own or inside a table."""

    def read_bytes(self) -> bytes:
        """Return the image file. Raises Refused if it can't be read."""

    def digest(self) -> str:
        """Return its sha256. Raises Refused if it can't be read."""


@dataclass(frozen=True, slots=True)
class File:
    """An image file; a Path for each of many would take three times the memory."""

    folder: Path
    name: str  # below it

    def path(self) -> Path:
        """Return the full path."""
        return self.folder / self.name

    def read_bytes(self) -> bytes:
        return contents(self.path())

    def digest(self) -> str:
        return digest(self.path())


@dataclass(frozen=True, slots=True)
class Sample:
    """One source image."""

    path: str  # below data/raw; `file#index` inside a packed file
    label: str  # class, or NO_CLASS
    part: str  # its official split, or ALL
    content: Encoded | NDArray[np.uint8]  # an image file to decode, or (H, W) or (H, W, C) pixels
    why: str = ""  # a sample of NO_CLASS is not used


def named(label: int, dataset: Dataset, where: str) -> str:
    """Return the class of a numeric label; the number as text if dataset.classes is null or dataset.take renames classes.

    where: the sample, for messages. Raises DataError for a negative label and for one beyond dataset.classes."""
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


def others(raw: Path, samples: list[Sample], why: str) -> list[Sample]:
    """Return samples of NO_CLASS for all other files below raw, so that every file is accounted for."""
    read = {sample.path for sample in samples}
    return [Sample(name, NO_CLASS, ALL, File(raw, name), why) for name in names_below(raw) if name not in read]


def column(dataset: Dataset, role: str) -> str:
    """Return the name of the column of a role, "image" or "label". Raises ConfigError if dataset.columns lacks it."""
    if not dataset.columns or role not in dataset.columns:
        raise ConfigError(f"dataset.columns must say which column holds the {role}s, but it has no {role}", "dataset.columns")
    return dataset.columns[role]


SPARE = "spare"  # the test split, or the validation split if there is a test split
NAMES = {
    "train": {"train", "training", "trainset"},
    "validation": {"val", "valid", "validation", "dev", "valset"},
    "test": {"test", "testing", "testset"},
    SPARE: {"eval", "evaluation", "holdout"},
}
WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")  # of seg_train, TrainSet and TRAIN
PLAIN = re.compile(r"(?!(?i:null|true|false|nan|inf)$)[A-Za-z_][\w./-]*", re.ASCII)  # text that Hydra needs no quotes for


def suggested_splits(folders: Iterable[str]) -> dict[str, str]:
    """Return split → folder if the usual names of a train split and another one are among the folders, else an empty dictionary.

    The shortest name of a split counts. A single split beside train is test, as validation images can be drawn from train."""
    found: dict[str, str] = {}
    for folder in sorted(folders, key=lambda folder: (len(folder), folder)):
        if split := split_of(folder):
            found.setdefault(split, folder)
    if spare := found.pop(SPARE, None):
        found.setdefault("validation" if "test" in found else "test", spare)
    if "test" not in found and "validation" in found:
        found["test"] = found.pop("validation")
    return {split: found[split] for split in SPLITS if split in found} if {"train", "test"} <= found.keys() else {}


def split_of(folder: str) -> str | None:
    """Return the split that a folder's name suggests; None for none, or for more than one."""
    words = {word.lower() for word in WORD.findall(folder.rpartition("/")[2])}
    splits = [split for split, names in NAMES.items() if not names.isdisjoint(words)]
    return splits[0] if len(splits) == 1 else None


def splits_command(dataset: str, splits: Mapping[str, str], sign: str = "") -> str:
    """Return the shell command of the experiment that takes these folders as splits.

    sign: + to add to the splits that the data set's config names already."""
    told = ", ".join(f"{split}: {_in_hydra(folder)}" for split, folder in splits.items())
    return shlex.join(["dvc", "exp", "run", "-S", f"dataset={dataset}", "-S", f"{sign}dataset.splits={{{told}}}"])


def _in_hydra(text: str) -> str:
    """Quote a text for Hydra's grammar: quotes in it, and backslashes before one, are escaped."""
    return text if PLAIN.fullmatch(text) else "'" + re.sub(r"(\\*)('|$)", r"\1\1\2", text).replace("'", r"\'") + "'"
