"""CIFAR-10's two archives, unpacked (Krizhevsky 2009): batches of 32x32 colour images, pickled or as records of bytes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config.counted import counted
from pipeline.config.errors import DataError
from pipeline.config.schema import Dataset
from pipeline.dataset.formats.pickled import unpickled
from pipeline.dataset.items import ALL, Item

SIDE = 32  # pixels, height = width
PLANES = 3 * SIDE * SIDE  # bytes of an image: all of red, then green, then blue
RECORD = 1 + PLANES  # bytes: the label comes first


def cifar(raw: Path, dataset: Dataset) -> list[Item]:
    """Read the Python archive: dataset.splits names each split's file prefix, `batches.meta` beside them the classes.

    Raises DataError for a file that is missing, damaged, asks for a class of its own, or holds an unknown label."""
    items = []
    for part, batch in _batches(raw, dataset):
        tree, meta = unpickled(batch), unpickled(_beside(batch, "batches.meta"))
        names = [name.decode("latin-1") for name in _list_of(bytes, meta, "label_names", "batches.meta")]
        labels, data = _list_of(int, tree, "labels", batch.name), _entry(tree, "data", np.ndarray, batch.name)
        items += _items(raw, part, batch, labels, data, names)
    return items


def cifar_binary(raw: Path, dataset: Dataset) -> list[Item]:
    """Read the binary archive: dataset.splits names each split's file prefix, `batches.meta.txt` beside them the classes.

    Raises DataError for a file that is missing, cut short, or holds an unknown label."""
    items = []
    for part, batch in _batches(raw, dataset):
        data = np.frombuffer(batch.read_bytes(), np.uint8)
        if not len(data) or len(data) % RECORD:
            raise DataError(f"{batch.name} has {counted(len(data), 'byte')}, no whole number of records of {RECORD}; fetch it again")
        records = data.reshape(-1, RECORD)
        names = _beside(batch, "batches.meta.txt").read_text().split()
        items += _items(raw, part, batch, records[:, 0].tolist(), records[:, 1:], names)
    return items


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
        raise DataError(f"{name}, which names the classes, does not lie beside {batch.name}; fetch the archive again")
    return path


def _entry(tree: dict[str, Any], key: str, kind: type, file: str) -> Any:
    if not isinstance(tree.get(key), kind):
        raise DataError(f"{file} has no {key} that is of type {kind.__name__}; it holds {', '.join(tree)}. Fetch the archive again")
    return tree[key]


def _list_of(kind: type, tree: dict[str, Any], key: str, file: str) -> list[Any]:
    values: list[Any] = _entry(tree, key, list, file)
    for value in values:
        if not isinstance(value, kind):
            raise DataError(f"{file} has {value!r} among its {key}, which is not of type {kind.__name__}. Fetch the archive again")
    return values


def _items(raw: Path, part: str, batch: Path, labels: list[int], data: NDArray[np.uint8], names: list[str]) -> list[Item]:
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
    return [Item(f"{where}#{i}", names[label], part, image) for i, (label, image) in enumerate(zip(labels, images, strict=True))]
