"""Twins among real photos: those that we plant are found, by their kind, and of the others only the ones that are there.

IMAGE_DATA names the folder of original files; without it these tests skip."""

import csv
import io
import os
import random
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.dataset.resize import resize
from tests.conftest import MakeConfig
from tests.project import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("IMAGE_DATA" not in os.environ, reason="IMAGE_DATA names no folder of real images"),
]

EACH = 100  # planted of each kind

# The photos of cats-dogs that are twins of each other as they are.
REAL = {frozenset({"dog.180.jpg", "dog.74.jpg"})}


def as_jpeg(picture: Image.Image, quality: int = 95) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def half(picture: Image.Image) -> Image.Image:
    return picture.resize((picture.width // 2, picture.height // 2))


def shifted(picture: Image.Image) -> Image.Image:
    return picture.transform(picture.size, Image.Transform.AFFINE, (1, 0, 1, 0, 1, 1))  # by a pixel, both ways


# Kind → what becomes of a photo's bytes, and the share that must be found.
KINDS: dict[str, tuple[Callable[[bytes], bytes], float]] = {
    "exact": (lambda data: data, 1.0),
    "re-encoded": (lambda data: as_jpeg(Image.open(io.BytesIO(data)), 60), 1.0),
    "half": (lambda data: as_jpeg(half(Image.open(io.BytesIO(data)))), 1.0),
    "shifted": (lambda data: as_jpeg(shifted(Image.open(io.BytesIO(data)))), 0.97),
}


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """Class → its photos."""
    top = tmp_path_factory.mktemp("originals")
    with tarfile.open(ROOT / os.environ["IMAGE_DATA"] / "cats-dogs" / "cats-dogs.tar.gz") as files:
        files.extractall(top, filter="data")
    return {name: sorted(top.rglob(f"{name}/*.jpg")) for name in ("cats", "dogs")}


def found(photos: Path, top: Path, config: MakeConfig) -> list[dict[str, str]]:
    """Return the rows of twins.csv."""
    (top / "prepared").mkdir()
    resize(config("dataset=folder", "resize.size=64"), photos, top / "prepared", top / "data.html", top / "chunks")
    with (top / "prepared" / "twins.csv").open() as stream:
        return list(csv.DictReader(stream))


def names(row: dict[str, str]) -> frozenset[str]:
    return frozenset({Path(row["path"]).name, Path(row["twin"]).name})


def test_planted_twins_and_label_conflicts_are_found_and_no_others(
    originals: dict[str, list[Path]], config: MakeConfig, tmp_path: Path
) -> None:
    chosen = random.Random(0).sample([path for paths in originals.values() for path in paths], EACH * (len(KINDS) + 1))
    photos, planted = tmp_path / "photos", {}
    for name, paths in originals.items():
        (photos / name).mkdir(parents=True)
        for path in paths:
            shutil.copy(path, photos / name)
    for kind, (change, _) in KINDS.items():
        planted[kind] = [chosen.pop() for _ in range(EACH)]
        for path in planted[kind]:
            (photos / path.parent.name / f"{kind}_{path.name}").write_bytes(change(path.read_bytes()))
    for path in chosen:
        other = "dogs" if path.parent.name == "cats" else "cats"
        (photos / other / f"conflict_{path.name}").write_bytes(as_jpeg(Image.open(path), 80))

    rows = found(photos, tmp_path, config)

    pairs = {names(row) for row in rows}
    recall = {kind: sum(frozenset({path.name, f"{kind}_{path.name}"}) in pairs for path in paths) / EACH for kind, paths in planted.items()}
    assert all(recall[kind] >= share for kind, (_, share) in KINDS.items()), recall
    conflicts = {names(row) for row in rows if row["class"] != row["twin_class"]}
    assert conflicts >= {frozenset({path.name, f"conflict_{path.name}"}) for path in chosen}
    assert all(len(photo_of(pair)) == 1 or photo_of(pair) in REAL for pair in pairs), "false alarms"


def photo_of(pair: frozenset[str]) -> frozenset[str]:
    """Return the original photos of a pair: one, where the two are made of the same."""
    return frozenset(name.rpartition("_")[2] for name in pair)


def test_the_twins_that_fashion_mnist_holds_across_train_and_test_are_listed(config: MakeConfig, tmp_path: Path) -> None:
    raw = ROOT / os.environ["IMAGE_DATA"] / "fashion-mnist"
    (tmp_path / "prepared").mkdir()
    resize(config("dataset=fashion_mnist"), raw, tmp_path / "prepared", tmp_path / "data.html", tmp_path / "chunks")
    with (tmp_path / "prepared" / "twins.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    across = [row for row in rows if "test" in (row["split"], row["twin_split"]) and row["split"] != row["twin_split"]]
    assert len([row for row in across if float(row["correlation"]) > 0.9999]) >= 1
    images = {split: np.load(tmp_path / "prepared" / f"{split}.npy") for split in ("train", "validation", "test")}
    assert sum(map(len, images.values())) == 70_000  # official splits stay whole
