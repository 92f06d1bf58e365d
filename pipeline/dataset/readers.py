"""Read raw files into samples, without decoding them: readers by name, and dataset.take.

A reader takes (raw, dataset) and returns samples in an order that depends only on the files."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from pipeline.config.errors import ConfigError, DataError
from pipeline.config.schema import Dataset
from pipeline.dataset.formats.arrays import cifar, cifar_binary, digits, idx
from pipeline.dataset.formats.folder import folder
from pipeline.dataset.formats.parquet import parquet
from pipeline.dataset.formats.table import table
from pipeline.dataset.names import alike, escaped, first_of, shown
from pipeline.dataset.records import NO_CLASS, NOT_TAKEN, Sample

MOST = 12  # classes listed in a message

Reader = Callable[[Path, Dataset], list[Sample]]

READERS: dict[str, Reader] = {
    "digits": digits,
    "idx": idx,
    "cifar": cifar,
    "cifar_binary": cifar_binary,
    "folder": folder,
    "csv": table,
    "parquet": parquet,
}


def read(raw: Path, dataset: Dataset) -> list[Sample]:
    """Return the samples of the raw files; those of classes not in dataset.take have NO_CLASS and a reason.

    Raises ConfigError for an unknown reader, DataError if files or classes are not as the config says."""
    if dataset.reader not in READERS:
        raise ConfigError(f"dataset.reader is {dataset.reader!r}, expected one of {', '.join(READERS)}", "dataset.reader")
    samples = READERS[dataset.reader](raw, dataset)
    _refuse_alike({sample.label for sample in samples})
    if dataset.take:
        samples = _taken(samples, dataset.take)
    _require_classes({sample.label for sample in samples} - {NO_CLASS}, dataset.classes)
    return samples


def _refuse_alike(labels: set[str]) -> None:
    if same := alike(labels):
        raise DataError(
            f"the classes {first_of(same, MOST, escaped)} are the same letters, composed and decomposed (Unicode's NFC and NFD), and would "
            "count as two; give them one name"
        )


def _taken(samples: list[Sample], take: dict[str, str]) -> list[Sample]:
    found = {sample.label for sample in samples} - {NO_CLASS}
    for name in sorted(take.keys() - found):
        raise DataError(f"dataset.take names {shown(name)}, but the images are of the classes {_some(found)}{_quoted(name, found)}")
    return [_taken_as(sample, take) for sample in samples]


def _taken_as(sample: Sample, take: dict[str, str]) -> Sample:
    if sample.label == NO_CLASS or sample.label in take:
        return replace(sample, label=take.get(sample.label, NO_CLASS))
    return replace(sample, label=NO_CLASS, why=f"class {sample.label} {NOT_TAKEN}")


def _require_classes(found: set[str], classes: list[str] | None) -> None:
    if classes is not None and found != set(classes):
        unknown = next(iter(sorted(set(classes) - found)), "")
        raise DataError(
            f"dataset.classes names {_some(classes)}, but the images are of the classes {_some(found)}{_quoted(unknown, found)}"
        )


def _quoted(name: str, found: set[str]) -> str:
    """Return a hint if YAML may have read a class's name as a number: 007 as 7."""
    is_number = name.isdecimal() and any(other.isdecimal() for other in found)
    return ". Write names of digits in quotes: YAML reads 007 as 7" if is_number else ""


def _some(names: Iterable[str]) -> str:
    return first_of(sorted(names), MOST)
