"""A CSV table beside the images, with a row of path, label and optionally split for each."""

import csv
import io
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

from pipeline.config.errors import DataError
from pipeline.config.schema import Dataset
from pipeline.config.splits import ALL, SPLITS
from pipeline.dataset.records import File, Sample, column, others

DELIMITERS = ",;\t"


def table(raw: Path, dataset: Dataset) -> list[Sample]:
    """Read the only .csv file, or those of dataset.splits; files without a row have NO_CLASS.

    Raises DataError with file and line for a row that is incomplete, duplicate, or names a file outside the folder."""
    first: dict[str, str] = {}
    samples = []
    for part, file in _tables(raw, dataset):
        for where, sample in _rows(raw, file, part, dataset):
            if sample.path in first:
                raise DataError(f"{where}: {sample.path} has a row in {first[sample.path]} already; remove one of the two")
            first[sample.path] = where
            samples.append(sample)
    return samples + others(raw, samples, "no row of the table names it")


def _tables(raw: Path, dataset: Dataset) -> list[tuple[str, Path]]:
    if dataset.splits:
        for part, where in dataset.splits.items():
            if not (raw / where).is_file():
                raise DataError(f"dataset.splits.{part} names {where}, but there is no such table among the files")
        return [(part, raw / where) for part, where in dataset.splits.items()]
    found = sorted(raw.glob("*.csv"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise DataError(
            f"there must be one .csv file right in the data's folder, but there are: {names}. Name the table with "
            "dataset.splits='{all: labels.csv}', or one for each split with '{train: train.csv, test: test.csv}'"
        )
    return [(ALL, found[0])]


def _rows(raw: Path, file: Path, part: str, dataset: Dataset) -> Iterator[tuple[str, Sample]]:
    """Yield (file:line, sample) of every row."""
    name, text = str(file.relative_to(raw)), _text(file)
    image, label, split = column(dataset, "image"), column(dataset, "label"), (dataset.columns or {}).get("split")
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=_delimiter(name, text, {image, label}), strict=True)
    try:
        if split in (reader.fieldnames or ()) and part != ALL:
            raise DataError(f"{name}:1: there is a column {split}, but dataset.splits makes the whole table {part}; use one of the two")
        for values in reader:
            where = f"{name}:{reader.line_num}"
            listed, of_class = _fields(where, values, image, label)
            its_part = _part(where, values, split, part)
            path = _path(raw, file, where, listed)
            yield where, Sample(path, of_class, its_part, File(raw, path))
    except csv.Error as error:
        raise DataError(f"{name}:{reader.reader.line_num}: {error}; quote a field that holds quotes, and double these") from error


def _text(file: Path) -> str:
    data = file.read_bytes()
    if b"\n" not in data:
        data = data.replace(b"\r", b"\n")  # line endings of old Macs
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{file.name}:{line}: the table is not UTF-8 (byte {data[error.start]:#x}); save it as UTF-8") from error


def _delimiter(name: str, text: str, wanted: set[str]) -> str:
    header = text.partition("\n")[0].rstrip("\r")
    for delimiter in DELIMITERS:
        with suppress(csv.Error):
            if wanted <= set(next(csv.reader([header], delimiter=delimiter), [])):
                return delimiter
    raise DataError(
        f"{name}:1: the header is {header[:80]!r}, expected the columns {' and '.join(sorted(wanted))} between commas, semicolons "
        "or tabs; dataset.columns says what they are called"
    )


def _fields(where: str, values: dict[str, str], image: str, label: str) -> tuple[str, str]:
    """Return a row's path and label. DictReader has None for a missing field, and surplus fields under None."""
    if None in values.values() or None in values:
        raise DataError(f"{where}: the row has not as many fields as the header; quote a field that holds the delimiter")
    if not values[label].strip():
        raise DataError(f"{where}: the label of {values[image]} is empty; fill it in, or remove the row")
    return values[image], values[label].strip()


def _part(where: str, values: dict[str, str], split: str | None, part: str) -> str:
    if split not in values:
        return part
    if values[split].strip() not in SPLITS:
        raise DataError(f"{where}: the split is {values[split]!r}, expected one of {', '.join(SPLITS)}")
    return values[split].strip()


def _path(raw: Path, file: Path, where: str, listed: str) -> str:
    """Return the image's path below raw, without resolving links: DVC may have made every file one."""
    relative = PurePosixPath(listed)
    if relative.is_absolute() or ".." in relative.parts:
        raise DataError(f"{where}: {listed} leaves the table's folder; give a path below it")
    path = file.parent / relative
    if not path.is_file():
        raise DataError(f"{where}: there is no file {listed!r} below the table's folder; add it, or remove the row")
    return str(path.relative_to(raw))
