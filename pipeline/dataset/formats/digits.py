"""scikit-learn's digits.csv.gz: 64 pixel values of 0..16 and the label in each row."""

import gzip
from pathlib import Path

import numpy as np

from pipeline.config.errors import DataError
from pipeline.config.schema import Dataset
from pipeline.dataset.items import ALL, Item, named

NAME = "digits.csv.gz"


def digits(raw: Path, dataset: Dataset) -> list[Item]:
    """Read images of 8x8, all of one part. Raises DataError where the file is missing or holds an unknown label."""
    path = raw / NAME
    if not path.exists():
        raise DataError(f"{NAME} is not among the fetched files; dataset.reader=digits is for dataset=digits")
    with gzip.open(path, "rt") as stream:
        table = np.loadtxt(stream, delimiter=",", dtype=np.int64)
    images = np.round(table[:, :64] * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8)
    names = [f"{NAME}#{i}" for i in range(len(images))]
    return [Item(name, named(row[64], dataset, name), ALL, image) for name, row, image in zip(names, table, images, strict=True)]
