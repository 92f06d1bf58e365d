"""Raw files → images and labels: the formats by name, and what is taken of them; nothing is decoded here.

A reader takes (raw, dataset) and returns its items in an order that depends on the files alone."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from pipeline.config.errors import ConfigError, DataError
from pipeline.config.schema import Dataset
from pipeline.dataset.embedded import Embedded
from pipeline.dataset.formats.cifar import cifar, cifar_binary
from pipeline.dataset.formats.digits import digits
from pipeline.dataset.formats.folder import folder
from pipeline.dataset.formats.idx import idx
from pipeline.dataset.formats.parquet import parquet
from pipeline.dataset.formats.table import table
from pipeline.dataset.items import ALL, NO_CLASS, NOT_TAKEN, Item
from pipeline.dataset.names import alike, escaped, first_of, shown

__all__ = ["ALL", "NO_CLASS", "READERS", "Embedded", "Item", "read"]

MOST = 12  # class names that a message lists

Reader = Callable[[Path, Dataset], list[Item]]

READERS: dict[str, Reader] = {
    "digits": digits,
    "idx": idx,
    "cifar": cifar,
    "cifar_binary": cifar_binary,
    "folder": folder,
    "csv": table,
    "parquet": parquet,
}


def read(raw: Path, dataset: Dataset) -> list[Item]:
    """Return all images of the raw files, those of classes that are not taken with NO_CLASS and the reason.

    Raises ConfigError for an unknown reader, DataError where files and classes are not as the config says."""
    if dataset.reader not in READERS:
        raise ConfigError(f"dataset.reader is {dataset.reader!r}, expected one of {', '.join(READERS)}", "dataset.reader")
    items = READERS[dataset.reader](raw, dataset)
    _refuse_alike({item.label for item in items})
    if dataset.take:
        items = _taken(items, dataset.take)
    _require_classes({item.label for item in items} - {NO_CLASS}, dataset.classes)
    return items


def _refuse_alike(labels: set[str]) -> None:
    if same := alike(labels):
        raise DataError(
            f"the classes {first_of(same, MOST, escaped)} are the same letters, composed and decomposed (Unicode's NFC and NFD), and would "
            "be told apart as two; give them one name"
        )


def _taken(items: list[Item], take: dict[str, str]) -> list[Item]:
    found = {item.label for item in items} - {NO_CLASS}
    for name in sorted(take.keys() - found):
        raise DataError(f"dataset.take names {shown(name)}, but the images are of the classes {_some(found)}{_quoted(name, found)}")
    return [_taken_as(item, take) for item in items]


def _taken_as(item: Item, take: dict[str, str]) -> Item:
    if item.label == NO_CLASS or item.label in take:
        return replace(item, label=take.get(item.label, NO_CLASS))
    return replace(item, label=NO_CLASS, why=f"class {item.label} {NOT_TAKEN}")


def _require_classes(found: set[str], classes: list[str] | None) -> None:
    if classes is not None and found != set(classes):
        unknown = next(iter(sorted(set(classes) - found)), "")
        raise DataError(
            f"dataset.classes names {_some(classes)}, but the images are of the classes {_some(found)}{_quoted(unknown, found)}"
        )


def _quoted(name: str, found: set[str]) -> str:
    """Return a hint where YAML has read a class's name as a number: 007 as 7."""
    is_number = name.isdecimal() and any(other.isdecimal() for other in found)
    return ". Write names of digits in quotes: YAML reads 007 as 7" if is_number else ""


def _some(names: Iterable[str]) -> str:
    return first_of(sorted(names), MOST)
