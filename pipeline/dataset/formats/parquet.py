"""Parquet tables that embed the image files, as on the Hugging Face Hub: a column of images and one of labels."""

import hashlib
import json
import re
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from pipeline.config.errors import DataError
from pipeline.config.schema import Dataset
from pipeline.config.splits import ALL, SPLITS
from pipeline.config.wording import counted
from pipeline.dataset.names import first_of
from pipeline.dataset.records import Sample, column, named, others, split_of, splits_command

if TYPE_CHECKING:
    from pyarrow import Schema
    from pyarrow.parquet import ParquetFile

BYTES = ("binary", "large_binary")  # pyarrow's names
ENDINGS = ("-", "/", ".")  # that may follow a split's prefix: train-00000-of-00002.parquet, train/0000.parquet, train.parquet
BATCH = 64  # rows read at a time: two batches cover the chunk of a process, which reads it twice
BUFFER = 1 << 20  # bytes read at a time


def parquet(raw: Path, dataset: Dataset) -> list[Sample]:
    """List the rows of every file; dataset.splits names file prefixes. Images are read on demand.

    Raises DataError for files outside all prefixes, for files or columns that are missing or of another type, and for a row without a
    label."""
    samples = [sample for part, file in _files(raw, dataset) for sample in _rows(raw, file, part, dataset)]
    return samples + others(raw, samples, "no image, or a table of images")


def _files(raw: Path, dataset: Dataset) -> list[tuple[str, Path]]:
    names = sorted(str(path.relative_to(raw)) for path in raw.rglob("*.parquet"))
    if dataset.splits is None:
        _refuse_hidden_splits(names)
        return [(ALL, raw / name) for name in names]
    found = []
    for part, where in dataset.splits.items():
        mine = [name for name in names if name.startswith(tuple(where + ending for ending in ENDINGS))]
        if not mine:
            raise DataError(
                f"dataset.splits.{part} is {where}, but there is no {where}-….parquet and no {where}/….parquet; "
                f"there are: {', '.join(names[:5]) or 'no parquet files'}"
            )
        found += [(part, raw / name) for name in mine]
    if ALL not in dataset.splits:
        _refuse_left([name for name in names if raw / name not in {file for _, file in found}], dataset)
    return found


def _refuse_left(names: list[str], dataset: Dataset) -> None:
    """Refuse files outside all prefixes, which would be missed; with {all: …} they are left out on purpose."""
    if not names:
        return
    told = f"{first_of(names)} would be left out: no prefix in dataset.splits names {'it' if len(names) == 1 else 'them'}"
    splits, prefix = dataset.splits or {}, _prefix(names[0])
    if (part := split_of(prefix)) in SPLITS and part not in splits:
        raise DataError(
            f"{told}. Take it with `{splits_command(dataset.name, splits | {part: prefix}, '+')}`, or move it out of the data's folder"
        )
    raise DataError(f"{told}. Name each prefix in dataset.splits, or move them out of the data's folder")


def _prefix(name: str) -> str:
    """Return the split's prefix in a file's name: train for train-0.parquet and for train/0.parquet."""
    path = PurePath(name)
    word = re.split(r"[-.]", path.name)[0] or path.name
    return str(path.parent if word.isdecimal() and path.parent.name else path.with_name(word))


def _refuse_hidden_splits(names: list[str]) -> None:
    """Refuse official splits taken as one, which would put test images into the training set."""
    if not names:
        raise DataError("there are no .parquet files; dataset.reader=parquet reads these")
    for name in names:
        if split := next((split for split in SPLITS if Path(name).name.startswith(f"{split}-")), None):
            raise DataError(
                f"{name} looks like an official split; name the prefixes: dataset.splits='{{train: …, test: …}}', "
                f"or dataset.splits='{{all: {name.removesuffix(Path(name).name)}{split}}}' to draw the splits from it"
            )


def _rows(raw: Path, file: Path, part: str, dataset: Dataset) -> Iterator[Sample]:
    name = str(file.relative_to(raw))
    with _opened(file, name) as source:
        image = _image_column(source.schema_arrow, column(dataset, "image"), name)
        label = _present(source.schema_arrow, column(dataset, "label"), name)
        classes = _classes(source.schema_arrow, label)
        labels = source.read([label]).column(0).to_pylist()
        places = [(group, row) for group in range(source.num_row_groups) for row in range(source.metadata.row_group(group).num_rows)]
    for i, (value, (group, row)) in enumerate(zip(labels, places, strict=True)):
        where = f"{name}#{i}"
        yield Sample(where, _label(value, classes, dataset, where), part, Embedded(file, image, group, row))


@contextmanager
def _opened(file: Path, name: str) -> "Iterator[ParquetFile]":
    from pyarrow.parquet import ParquetFile  # half a second to import

    try:
        with ParquetFile(file) as source:
            yield source
    except (OSError, ValueError) as error:  # pyarrow's exceptions are subclasses
        raise DataError(f"{name} is damaged or no parquet file: {error}; fetch it again") from error


def _present(schema: "Schema", wanted: str, name: str) -> str:
    if schema.names.count(wanted) != 1:
        raise DataError(f"{name} has the columns {', '.join(schema.names)}, but no {wanted}; say in dataset.columns what it is called")
    return wanted


def _image_column(schema: "Schema", wanted: str, name: str) -> str:
    """Return the column of image bytes, dotted if it is a struct's field, as on the Hub: {bytes, path}."""
    kind = schema.field(_present(schema, wanted, name)).type
    if str(kind) in BYTES:
        return wanted
    if str(kind).startswith("struct") and kind.get_field_index("bytes") >= 0 and str(kind.field("bytes").type) in BYTES:
        return f"{wanted}.bytes"
    raise DataError(f"{name}: the column {wanted} is of type {kind}, expected the bytes of image files, or a struct with bytes")


def _classes(schema: "Schema", label: str) -> list[str] | None:
    """Return the class names in the metadata of Hugging Face's datasets library; None if there are none."""
    try:
        noted = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    except ValueError:  # no JSON, or no text
        return None
    for key in ("info", "features", label, "names"):
        noted = noted.get(key) if isinstance(noted, dict) else None
    return noted if isinstance(noted, list) and all(isinstance(name, str) for name in noted) else None


def _label(value: Any, classes: list[str] | None, dataset: Dataset, where: str) -> str:
    if value is None or value == "":
        raise DataError(f"{where} has no label; leave images without a class out of the data")
    if isinstance(value, str):
        return value
    if not isinstance(value, int):
        raise DataError(f"{where} has label {value!r}, expected a whole number or text")
    if classes is None:
        return named(value, dataset, where)
    if not 0 <= value < len(classes):
        raise DataError(f"{where} has label {value}, but the file names only {counted(len(classes), 'class', 'classes')}")
    return classes[value]


@dataclass(frozen=True, slots=True)
class Embedded:
    """An image file in a row of a parquet file."""

    file: Path
    column: str  # dotted for a field of a struct
    group: int  # row group
    row: int  # of the row group

    def digest(self) -> str:
        return hashlib.sha256(self.read_bytes()).hexdigest()

    def read_bytes(self) -> bytes:
        """Return the image file, empty if the row holds none. Raises DataError if the parquet file is damaged."""
        try:
            return _column(self.file, self.column, self.group).at(self.row)
        except (OSError, ValueError) as error:  # pyarrow's exceptions are subclasses
            raise DataError(f"{self.file.name} is damaged in row group {self.group}, row {self.row}: {error}; fetch it again") from error


class _Column:
    """One column of a row group, read forwards; the last two batches stay in memory.

    A row group can only be read from its start and may be as large as the file."""

    def __init__(self, file: Path, column: str, group: int) -> None:
        self.batches = partial(_batches, file, column, group)
        self.coming = self.batches()
        self.recent: deque[tuple[int, Any]] = deque(maxlen=2)  # first row, values

    def at(self, row: int) -> bytes:
        if self.recent and row < self.recent[0][0]:
            self.coming = self.batches()
            self.recent.clear()
        while not self.recent or row >= self._end():
            self.recent.append(next(self.coming))
        first, values = next(batch for batch in reversed(self.recent) if batch[0] <= row)
        value = values[row - first].as_py()
        return (value["bytes"] if isinstance(value, dict) else value) or b""

    def _end(self) -> int:
        first, values = self.recent[-1]
        return first + len(values)


def _batches(file: Path, column: str, group: int) -> Iterator[tuple[int, Any]]:
    """Yield (first row, values) of a row group. A function, as a method's reference to its _Column would keep both alive."""
    from pyarrow.parquet import ParquetFile  # half a second to import

    with ParquetFile(file, buffer_size=BUFFER, pre_buffer=False) as source:
        first = 0
        for batch in source.iter_batches(BATCH, row_groups=[group], columns=[column], use_threads=False):
            yield first, batch.column(0)
            first += len(batch)


@lru_cache(maxsize=1)  # images are read in the order of their rows
def _column(file: Path, column: str, group: int) -> _Column:
    return _Column(file, column, group)
