"""Small made-up data for tests: the option files of conf/, images with a visible class, IDX files, encoded pictures."""

import gzip
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.config.compose import options as options_of
from pipeline.config.paths import WORKSPACE
from pipeline.config.schema import Dataset

CONF = WORKSPACE / "conf"
NO_GROUPS = ("local", "search")  # of a config: this working copy's overrides, and what sweeps read
GROUPS = sorted(path.name for path in CONF.iterdir() if path.is_dir() and path.name not in NO_GROUPS)
CLASSES = ["top", "middle", "bottom"]  # where the bright bar lies
EACH = {"train": 4, "validation": 3, "test": 2}  # images per class

SMALL_NETWORK = {
    "name": "small",
    "_target_": "pipeline.model.cnn.CNN",
    "layers": {
        "conv": {"kind": "conv", "filters": 8, "kernel": 3, "padding": "same"},
        "relu": {"kind": "relu"},
        "pool": {"kind": "max_pool", "kernel": 2},
        "dropout": {"kind": "dropout", "rate": 0.1},
        "scores": {"kind": "linear"},
    },
}

TWO_CLASSES = ("keras_one_output", "binary_cross_entropy")  # options for two classes alone


def options(group: str) -> list[str]:
    """Return the names of a group's option files."""
    return options_of(CONF, group)


def option_files() -> list[tuple[str, str]]:
    """Return (group, option) for every option file of conf/."""
    return [(group, option) for group in GROUPS for option in options(group)]


def data_set(**keys: Any) -> Dataset:
    """Return the config of a data set, of which these keys matter."""
    return Dataset(**{"classes": None, "take": None, "columns": None, "splits": None} | keys)


def bars(label: int, count: int, rng: np.random.Generator, size: int = 8) -> NDArray[np.uint8]:
    """Return (count, size, size) gray images with a bright bar at the label's place."""
    images = rng.integers(0, 60, (count, size, size))
    third = size // 3
    images[:, label * third : (label + 1) * third] += 150
    return images.astype(np.uint8)


def write_idx(path: Path, values: NDArray[np.uint8]) -> None:
    header = bytes([0, 0, 8, values.ndim]) + b"".join(side.to_bytes(4, "big") for side in values.shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(header + values.astype(np.uint8).tobytes(), mtime=0))


def write_idx_split(raw: Path, prefix: str, images: NDArray[np.uint8], labels: list[int]) -> None:
    write_idx(raw / f"{prefix}-images-idx3-ubyte.gz", images)
    write_idx(raw / f"{prefix}-labels-idx1-ubyte.gz", np.array(labels, np.uint8))


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Return the bytes of an image file."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def colour(width: int, height: int, rgb: tuple[int, int, int] = (200, 100, 50)) -> Image.Image:
    return Image.new("RGB", (width, height), rgb)


def put_files(folder: Path, *names: str) -> Path:
    """Make files of these names below a folder and return it."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"image")
    return folder
