import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.config.errors import DataError
from pipeline.dataset.fetch import link_folder
from pipeline.dataset.manifest import require_current
from pipeline.dataset.resize import resize
from tests.conftest import MakeConfig


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, config: MakeConfig) -> Path:
    """A folder with photos of two classes in `own`, prepared from there."""
    top, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for i in range(30):
        path = top / "own" / ("cat", "dog")[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(path)
    (top / "prepared").mkdir()
    link_folder(top / "own", top / "raw", "own", "folder")
    cfg = config("dataset=folder", "resize.size=8")
    cfg.dataset.split.validation = cfg.dataset.split.test = 0.3
    resize(cfg, top / "raw", top / "prepared", top / "data.html", top / "chunks")
    return top


def later(path: Path) -> None:
    """Give a file the time of a change after the preparation."""
    os.utime(path, (time.time() + 10,) * 2)


def add(own: Path) -> None:
    (own / "cat" / "new.png").write_bytes(b"new")


def change(own: Path) -> None:
    (own / "cat" / "0.png").unlink()
    (own / "cat" / "0.png").write_bytes(b"changed")
    later(own / "cat" / "0.png")


def restore(own: Path) -> None:
    """Put other bytes in place of a photo, with the time that they had elsewhere, as an archive or a backup does."""
    (own / "cat" / "0.png").write_bytes(b"older")
    os.utime(own / "cat" / "0.png", (0, 0))


def remove(own: Path) -> None:
    (own / "cat" / "0.png").unlink()


def move(own: Path) -> None:
    (own / "cat" / "0.png").rename(own / "dog" / "0.png")


def touch(own: Path) -> None:
    later(own / "cat" / "0.png")


def hide(own: Path) -> None:
    (own / "cat" / ".DS_Store").write_bytes(b"")


@pytest.fixture
def own(source: Path, tmp_path: Path) -> Path:
    for photo in (source / "own").rglob("*.png"):
        copy = tmp_path / photo.relative_to(source / "own")
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(photo.read_bytes())
        os.utime(copy, (photo.stat().st_mtime,) * 2)
    return tmp_path


@pytest.mark.parametrize("act", [None, touch, hide])
def test_photos_with_the_same_bytes_are_those_that_were_prepared(act: Callable[[Path], None] | None, source: Path, own: Path) -> None:
    if act:
        act(own)
    require_current(own, source / "prepared")


@pytest.mark.parametrize(
    ("act", "counts"),
    [
        (add, "1 added, 0 changed, 0 removed"),
        (change, "0 added, 1 changed, 0 removed"),
        (restore, "0 added, 1 changed, 0 removed"),
        (remove, "0 added, 0 changed, 1 removed"),
        (move, "1 added, 0 changed, 1 removed"),
    ],
)
def test_photos_that_were_touched_since_are_told_with_the_command(
    act: Callable[[Path], None], counts: str, source: Path, own: Path
) -> None:
    act(own)
    with pytest.raises(DataError, match=rf"the photos have changed since they were prepared: {counts}\. .*`dvc repro resize`"):
        require_current(own, source / "prepared")


def test_a_file_outside_the_class_folders_is_listed_and_no_reason_to_stop(source: Path, tmp_path: Path, config: MakeConfig) -> None:
    (tmp_path / "raw").mkdir()
    shutil.copytree(source / "own", tmp_path / "own")
    (tmp_path / "own" / "README.txt").write_text("my photos")
    link_folder(tmp_path / "own", tmp_path / "raw", "own", "folder")
    (tmp_path / "prepared").mkdir()
    cfg = config("dataset=folder", "resize.size=8")
    cfg.dataset.split.validation = cfg.dataset.split.test = 0.3

    manifest = resize(cfg, tmp_path / "raw", tmp_path / "prepared", tmp_path / "data.html", tmp_path / "chunks")

    assert "README.txt" in (tmp_path / "prepared" / "images.csv").read_text()
    assert "left out,not in a class folder" in (tmp_path / "prepared" / "images.csv").read_text()
    assert (manifest.classes, manifest.refused) == (["cat", "dog"], 0)
    require_current(tmp_path / "own", tmp_path / "prepared")


def test_a_photo_whose_name_holds_a_carriage_return_is_the_one_that_was_prepared(source: Path, tmp_path: Path, config: MakeConfig) -> None:
    shutil.copytree(source / "own", tmp_path / "own")
    (tmp_path / "own" / "cat" / "0.png").rename(tmp_path / "own" / "cat" / "0\r.png")
    (tmp_path / "prepared").mkdir()
    link_folder(tmp_path / "own", tmp_path / "raw", "own", "folder")
    cfg = config("dataset=folder", "resize.size=8")
    resize(cfg, tmp_path / "raw", tmp_path / "prepared", tmp_path / "data.html", tmp_path / "chunks")
    require_current(tmp_path / "own", tmp_path / "prepared")
