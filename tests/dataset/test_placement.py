"""Splits by each image's own bytes; twins of what judges the network are left out; nothing moves when images come or go."""

import dataclasses
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.config.schema import Config
from pipeline.dataset.chunks import Settings, chunks, records_of
from pipeline.dataset.placement import Placement, place
from pipeline.dataset.prepared import RECORD
from pipeline.dataset.readers import read
from tests.conftest import MakeConfig

PHOTOS = 120


@pytest.fixture
def cfg(config: MakeConfig) -> Config:
    cfg = config("dataset=folder", "resize.size=32")
    cfg.dataset.split.validation = cfg.dataset.split.test = 0.3
    return dataclasses.replace(cfg)


def add(raw: Path, numbers: range, label: str = "") -> None:
    """Put photos of two classes there, no two alike; the same number gives the same photo."""
    for number in numbers:
        path = raw / (label or ("cat", "dog")[number % 2]) / f"{number:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(number).save(path)


def picture(number: int) -> Image.Image:
    coarse = np.random.default_rng(number).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(np.kron(coarse, np.ones((16, 16, 1), np.uint8)))


def placed(raw: Path, cfg: Config, tmp_path: Path) -> Placement:
    items = read(raw, cfg.dataset)
    with chunks(items, Settings.of(cfg), tmp_path / "scratch") as files:
        return place(items, *records_of(files, len(items)), cfg)


def splits(placement: Placement) -> dict[str, str]:
    return {item.path: placement.split_name(i) for i, item in enumerate(placement.items)}


def test_adding_photos_moves_no_old_one_and_removing_one_moves_none(cfg: Config, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    add(raw, range(PHOTOS))
    before = splits(placed(raw, cfg, tmp_path))
    add(raw, range(PHOTOS, PHOTOS + 100))
    after = splits(placed(raw, cfg, tmp_path))
    assert {path: after[path] for path in before} == before
    assert len(after) == PHOTOS + 100
    (raw / "cat" / "000.png").unlink()
    fewer = splits(placed(raw, cfg, tmp_path))
    assert fewer == {path: split for path, split in after.items() if path != "cat/000.png"}


@pytest.fixture
def with_twins(cfg: Config, tmp_path: Path) -> tuple[Placement, Placement]:
    """The photos without and with a copy of each in another format."""
    raw = tmp_path / "raw"
    add(raw, range(PHOTOS))
    alone = placed(raw, cfg, tmp_path)
    for number in range(PHOTOS):
        picture(number).save(raw / ("cat", "dog")[number % 2] / f"{number:03}_copy.jpg", quality=80)
    return alone, placed(raw, cfg, tmp_path)


def test_a_twin_never_changes_another_photos_split_but_may_put_it_out_of_train(with_twins: tuple[Placement, Placement]) -> None:
    before, after = (splits(placement) for placement in with_twins)
    changed = {path: (before[path], after[path]) for path in before if before[path] != after[path]}
    assert changed
    assert {new for _, new in changed.values()} == {""}
    assert {old for old, _ in changed.values()} == {"train", "validation"}
    assert {path for path, split in before.items() if split == "test"} == {path for path in before if after[path] == "test"}


def test_no_two_splits_hold_twins_and_each_left_out_one_says_for_which(with_twins: tuple[Placement, Placement]) -> None:
    _, placement = with_twins
    rank = {"train": 0, "validation": 1, "test": 2}
    for number in range(PHOTOS):
        both = [i for i, item in enumerate(placement.items) if f"{number:03}" in item.path]
        used = {placement.split_name(i) for i in both} - {""}
        assert len(used) == 1
        for i in set(both) & set(placement.left_out):
            [other] = set(both) - {i}
            assert placement.reason(i) == f"twin of {placement.items[other].path}, which is in {placement.drawn_name(other)}"
            assert rank[placement.drawn_name(other)] > rank[placement.drawn_name(i)]
            assert placement.status(i) == "left out"


def test_every_pair_is_found_once_with_what_makes_it_one(with_twins: tuple[Placement, Placement]) -> None:
    _, placement = with_twins
    pairs = [(pair["one"], pair["other"]) for pair in placement.pairs]
    assert len(set(pairs)) == PHOTOS
    assert [(pair["one"], pair["other"]) for pair in placement.across] == [
        (one, other) for one, other in pairs if placement.drawn[one] != placement.drawn[other]
    ]
    assert len(placement.across) + len(placement.within) == PHOTOS
    assert not any(placement.is_exact(pair) for pair in placement.pairs)
    assert len(placement.conflicts) == 0


def test_twins_of_two_labels_are_conflicts_and_equal_bytes_are_exact(cfg: Config, tmp_path: Path) -> None:
    add(tmp_path / "raw", range(PHOTOS))
    add(tmp_path / "raw", range(1), "dog")  # which is a cat as well
    placement = placed(tmp_path / "raw", cfg, tmp_path)
    [pair] = placement.pairs
    assert placement.conflicts.tolist() == [pair.tolist()]
    assert placement.is_exact(pair)
    assert len(placement.across) == len(placement.within) == 0  # equal bytes draw the same split
    assert len(placement.left_out) == 0


def test_twins_are_kept_where_the_config_says_so(cfg: Config, with_twins: tuple[Placement, Placement], tmp_path: Path) -> None:
    kept = dataclasses.replace(cfg, dataset=dataclasses.replace(cfg.dataset, twins=dataclasses.replace(cfg.dataset.twins, across="keep")))
    placement = placed(tmp_path / "raw", kept, tmp_path)
    assert len(placement.left_out) == 0
    assert len(placement.across) == len(with_twins[1].across) > 0


def memory_of(images: int, raw: Path, cfg: Config) -> int:
    """Return the most bytes that reading and placing so many images takes; each is like some others, in every split."""
    for i in range(images):
        path = raw / ("cat", "dog")[i % 2] / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    records = np.zeros(images, RECORD)
    records["used"], records["sha256"] = True, [f"{i:064}" for i in range(images)]
    records["signature"] = np.random.default_rng(0).integers(0, 256, (images // 20, 16, 16)).repeat(20, axis=0)
    tracemalloc.start()
    placement = place(read(raw, cfg.dataset), records, [""] * images, cfg)
    assert len(placement.across) > images
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_beside_its_record_an_image_takes_half_a_kilobyte_at_most(cfg: Config, tmp_path: Path) -> None:
    few, many = 2_000, 8_000
    each = (memory_of(many, tmp_path / "many", cfg) - memory_of(few, tmp_path / "few", cfg)) / (many - few)
    assert each < 500
