"""Tables that hold the image files themselves, as the Hugging Face hub serves them: a column of images and one of labels."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from pipeline.config.counted import counted
from pipeline.config.errors import DataError
from pipeline.config.schema import Dataset
from pipeline.dataset.embedded import Embedded
from pipeline.dataset.formats.split_names import command, split_of
from pipeline.dataset.items import ALL, Item, column, named, others
from pipeline.dataset.manifest import SPLITS
from pipeline.dataset.names import first_of

if TYPE_CHECKING:
    from pyarrow import Schema
    from pyarrow.parquet import ParquetFile

BYTES = ("binary", "large_binary")  # pyarrow's names
ENDINGS = ("-", "/", ".")  # what may follow a split's prefix: train-00000-of-00002.parquet, train/0000.parquet, train.parquet


def parquet(raw: Path, dataset: Dataset) -> list[Item]:
    """List the rows of every file; dataset.splits names the files' prefixes. Images stay in the files until they are asked for.

    Raises DataError for files that no prefix names, for files or columns that are missing or of other types, and for a row without a
    label."""
    items = [item for part, file in _files(raw, dataset) for item in _rows(raw, file, part, dataset)]
    return items + others(raw, items, "no image, or a table of images")


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
    """Files that no prefix names are images that somebody has and would miss; of {all: …} they are left on purpose."""
    if not names:
        return
    told = f"{first_of(names)} would be left out: no prefix in dataset.splits names {'it' if len(names) == 1 else 'them'}"
    splits, prefix = dataset.splits or {}, _prefix(names[0])
    if (part := split_of(prefix)) in SPLITS and part not in splits:
        raise DataError(
            f"{told}. Take it with `{command(dataset.name, splits | {part: prefix}, '+')}`, or move it out of the data's folder"
        )
    raise DataError(f"{told}. Name each prefix in dataset.splits, or move them out of the data's folder")


def _prefix(name: str) -> str:
    """Return a split's prefix from the name of one of its files: train of train-0.parquet and of train/0.parquet."""
    path = PurePath(name)
    word = re.split(r"[-.]", path.name)[0] or path.name
    return str(path.parent if word.isdecimal() and path.parent.name else path.with_name(word))


def _refuse_hidden_splits(names: list[str]) -> None:
    """Official splits that are mixed would put test images into the training."""
    if not names:
        raise DataError("there are no .parquet files among the files; dataset.reader=parquet reads these")
    for name in names:
        if split := next((split for split in SPLITS if Path(name).name.startswith(f"{split}-")), None):
            raise DataError(
                f"{name} looks like an official split; name the prefixes: dataset.splits='{{train: …, test: …}}', "
                f"or dataset.splits='{{all: {name.removesuffix(Path(name).name)}{split}}}' to draw the splits from it"
            )


def _rows(raw: Path, file: Path, part: str, dataset: Dataset) -> Iterator[Item]:
    name = str(file.relative_to(raw))
    with _opened(file, name) as source:
        image = _image_column(source.schema_arrow, column(dataset, "image"), name)
        label = _present(source.schema_arrow, column(dataset, "label"), name)
        classes = _classes(source.schema_arrow, label)
        labels = source.read([label]).column(0).to_pylist()
        places = [(group, row) for group in range(source.num_row_groups) for row in range(source.metadata.row_group(group).num_rows)]
    for i, (value, (group, row)) in enumerate(zip(labels, places, strict=True)):
        where = f"{name}#{i}"
        yield Item(where, _label(value, classes, dataset, where), part, Embedded(file, image, group, row))


@contextmanager
def _opened(file: Path, name: str) -> "Iterator[ParquetFile]":
    from pyarrow.parquet import ParquetFile  # half a second, which the other formats need not wait for

    try:
        with ParquetFile(file) as source:
            yield source
    except (OSError, ValueError) as error:  # pyarrow's own are kinds of these
        raise DataError(f"{name} is damaged or no parquet file: {error}; fetch it again") from error


def _present(schema: "Schema", wanted: str, name: str) -> str:
    if schema.names.count(wanted) != 1:
        raise DataError(f"{name} has the columns {', '.join(schema.names)}, but no {wanted}; say in dataset.columns what it is called")
    return wanted


def _image_column(schema: "Schema", wanted: str, name: str) -> str:
    """Return the column of image bytes, dotted where it is a struct's field, as the hub has it: {bytes, path}."""
    kind = schema.field(_present(schema, wanted, name)).type
    if str(kind) in BYTES:
        return wanted
    if str(kind).startswith("struct") and kind.get_field_index("bytes") >= 0 and str(kind.field("bytes").type) in BYTES:
        return f"{wanted}.bytes"
    raise DataError(f"{name}: the column {wanted} is of type {kind}, expected the bytes of image files, or a struct with bytes")


def _classes(schema: "Schema", label: str) -> list[str] | None:
    """Return the class names that the hub's library writes beside the columns; None where anything else stands there."""
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
