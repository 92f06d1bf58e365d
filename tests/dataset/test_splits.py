"""Splits by the images alone, within each class; twins of what judges the network are left out; little moves when one comes."""

import copy
import csv
import dataclasses
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.config.errors import ConfigError
from pipeline.config.schema import Config
from pipeline.dataset.prepare import RECORD, Settings, chunks, records_of
from pipeline.dataset.readers import read
from pipeline.dataset.resize import write_tables
from pipeline.dataset.splits import Splits, assign_splits
from tests.conftest import MakeConfig
from tests.samples import encoded

PHOTOS = 120
TWO_CUTS = [["test", "train"], ["train", "validation"]]


@pytest.fixture
def cfg(config: MakeConfig) -> Config:
    cfg = config("dataset=folder", "resize.size=32")
    cfg.dataset.split.validation = cfg.dataset.split.test = 0.3
    return copy.deepcopy(cfg)


def add(raw: Path, numbers: range, label: str = "") -> None:
    """Put photos of two classes there, no two alike; the same number gives the same photo."""
    for number in numbers:
        path = raw / (label or ("cat", "dog")[number % 2]) / f"{number:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(number).save(path)


def picture(number: int) -> Image.Image:
    coarse = np.random.default_rng(number).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(np.kron(coarse, np.ones((16, 16, 1), np.uint8)))


def placed(raw: Path, cfg: Config, tmp_path: Path) -> Splits:
    samples = read(raw, cfg.dataset)
    with chunks(samples, Settings.of(cfg), tmp_path / "scratch", cfg.machine.keep) as files:
        return assign_splits(samples, *records_of(files, len(samples)), cfg)


def split_of(splits: Splits) -> dict[str, str]:
    return {sample.path: splits.split_name(i) for i, sample in enumerate(splits.samples)}


def test_one_more_photo_moves_one_other_at_each_cut_at_most_and_taking_it_away_again_moves_it_back(cfg: Config, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    add(raw, range(20))
    before = split_of(placed(raw, cfg, tmp_path))
    for number in range(20, 30):
        add(raw, range(number, number + 1))
        after = split_of(placed(raw, cfg, tmp_path))
        moved = [{before[path], after[path]} for path in before if before[path] != after[path]]
        assert moved in ([], [{"train", "test"}], [{"train", "validation"}]) or sorted(map(sorted, moved)) == TWO_CUTS
        (raw / ("cat", "dog")[number % 2] / f"{number:03}.png").unlink()
        assert split_of(placed(raw, cfg, tmp_path)) == before
        add(raw, range(number, number + 1))
        before = after


def test_a_folder_has_the_same_splits_whatever_its_files_are_called_and_whoever_came_first(cfg: Config, tmp_path: Path) -> None:
    add(tmp_path / "one", range(30))
    add(tmp_path / "other", range(29, -1, -1))
    for path in sorted((tmp_path / "other").rglob("*.png")):
        path.rename(path.with_name(f"{99 - int(path.stem)}.png"))
    one, other = (placed(tmp_path / name, cfg, tmp_path) for name in ("one", "other"))
    assert by_bytes(one) == by_bytes(other)


def by_bytes(splits: Splits) -> dict[bytes, str]:
    return {splits.records["sha256"][i]: splits.split_name(i) for i in range(len(splits.samples))}


@pytest.mark.parametrize("each", [3, 4, 8])
def test_a_class_of_three_photos_or_more_has_one_in_every_split(each: int, cfg: Config, tmp_path: Path) -> None:
    for number, label in enumerate(("cat", "dog", "eel")):
        add(tmp_path / "raw", range(100 * number, 100 * number + each), label)
    for seed in range(10):
        cfg.dataset.split.seed = seed
        splits = placed(tmp_path / "raw", cfg, tmp_path)
        found = {(sample.label, splits.split_name(i)) for i, sample in enumerate(splits.samples)}
        assert found == {(label, split) for label in ("cat", "dog", "eel") for split in ("train", "validation", "test")}


@pytest.fixture
def with_twins(cfg: Config, tmp_path: Path) -> tuple[Splits, Splits]:
    """The photos with a copy of each in another format, where twins are kept and where they are left out."""
    raw = tmp_path / "raw"
    add(raw, range(PHOTOS))
    for number in range(PHOTOS):
        picture(number).save(raw / ("cat", "dog")[number % 2] / f"{number:03}_copy.jpg", quality=80)
    return placed(raw, keeping(cfg), tmp_path), placed(raw, cfg, tmp_path)


def keeping(cfg: Config) -> Config:
    return dataclasses.replace(cfg, dataset=dataclasses.replace(cfg.dataset, twins=dataclasses.replace(cfg.dataset.twins, across="keep")))


def test_a_twin_never_changes_another_photos_split_but_may_put_it_out_of_train(with_twins: tuple[Splits, Splits]) -> None:
    before, after = (split_of(found) for found in with_twins)
    changed = {path: (before[path], after[path]) for path in before if before[path] != after[path]}
    assert changed
    assert {new for _, new in changed.values()} == {""}
    assert {old for old, _ in changed.values()} == {"train", "validation"}


def test_no_two_splits_hold_twins_and_each_left_out_one_says_for_which(with_twins: tuple[Splits, Splits]) -> None:
    _, splits = with_twins
    rank = {"train": 0, "validation": 1, "test": 2}
    for number in range(PHOTOS):
        both = [i for i, sample in enumerate(splits.samples) if f"{number:03}" in sample.path]
        used = {splits.split_name(i) for i in both} - {""}
        assert len(used) == 1
        for i in set(both) & set(splits.left_out):
            [other] = set(both) - {i}
            assert splits.reason(i) == f"near-duplicate of {splits.samples[other].path}, which was drawn into {splits.drawn_name(other)}"
            assert rank[splits.drawn_name(other)] > rank[splits.drawn_name(i)]
            assert splits.status(i) == "left out"


def test_every_pair_is_found_once_with_what_makes_it_one(with_twins: tuple[Splits, Splits]) -> None:
    _, splits = with_twins
    pairs = [(pair["one"], pair["other"]) for pair in splits.pairs]
    assert len(set(pairs)) == PHOTOS
    assert [(pair["one"], pair["other"]) for pair in splits.across] == [
        (one, other) for one, other in pairs if splits.drawn[one] != splits.drawn[other]
    ]
    assert len(splits.across) + len(splits.within) == PHOTOS
    assert not any(splits.is_exact(pair) for pair in splits.pairs)
    assert len(splits.conflicts) == 0


def test_twins_of_two_labels_are_conflicts_equal_bytes_are_exact_and_they_are_not_kept_across_splits(cfg: Config, tmp_path: Path) -> None:
    add(tmp_path / "raw", range(PHOTOS))
    add(tmp_path / "raw", range(0, 20, 2), "dog")  # which are cats as well
    splits = placed(tmp_path / "raw", cfg, tmp_path)
    assert len(splits.pairs) == len(splits.conflicts) == 10
    assert all(splits.is_exact(pair) for pair in splits.pairs)
    assert len(splits.across) == len(splits.left_out) > 0  # each class has its own order
    assert all(len({splits.split_name(i) for i in (pair["one"], pair["other"])} - {""}) == 1 for pair in splits.pairs)


def test_equal_bytes_of_one_label_stay_together(cfg: Config, tmp_path: Path) -> None:
    add(tmp_path / "raw", range(40))
    for path in sorted((tmp_path / "raw").rglob("*.png")):
        shutil.copy(path, path.with_stem(f"{path.stem}_again"))
    splits = placed(tmp_path / "raw", cfg, tmp_path)
    assert len(splits.within) == 40
    assert len(splits.across) == len(splits.left_out) == 0


def test_the_table_of_twins_tells_copies_of_a_file_from_pictures_that_are_alike(cfg: Config, tmp_path: Path) -> None:
    add(tmp_path / "raw", range(40))
    shutil.copy(tmp_path / "raw" / "cat" / "000.png", tmp_path / "raw" / "cat" / "copied.png")
    picture(2).save(tmp_path / "raw" / "cat" / "saved anew.bmp")
    write_tables(tmp_path, placed(tmp_path / "raw", cfg, tmp_path))
    with (tmp_path / "twins.csv").open() as stream:
        same = {row["twin"]: row["same"] for row in csv.DictReader(stream)}
    assert same == {"cat/copied.png": "bytes", "cat/saved anew.bmp": "picture"}


def test_twins_are_kept_where_the_config_says_so(with_twins: tuple[Splits, Splits]) -> None:
    kept, left_out = with_twins
    assert len(kept.left_out) == 0
    assert len(kept.across) == len(left_out.across) > 0


def test_folds_of_data_that_names_its_validation_images_are_refused(cfg: Config, tmp_path: Path) -> None:
    for split in ("train", "validation", "test"):
        add(tmp_path / "raw" / split, range(4))
    cfg.dataset.splits = {split: split for split in ("train", "validation", "test")}
    cfg.dataset.split.folds = 3
    with pytest.raises(ConfigError, match="dataset.split.folds is set, but the data names its own validation images: remove one"):
        placed(tmp_path / "raw", cfg, tmp_path)


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
    splits = assign_splits(read(raw, cfg.dataset), records, [""] * images, cfg)
    assert len(splits.across) > images
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_beside_its_record_an_image_takes_half_a_kilobyte_at_most(cfg: Config, tmp_path: Path) -> None:
    few, many = 2_000, 8_000
    each = (memory_of(many, tmp_path / "many", cfg) - memory_of(few, tmp_path / "few", cfg)) / (many - few)
    assert each < 500


def panorama(number: int, quality: int) -> bytes:
    """Return a wide photo of its own pattern, all of it about as bright."""
    coarse = np.random.default_rng(number).integers(110, 150, (4, 16), dtype=np.uint8)
    return encoded(Image.fromarray(np.kron(coarse, np.ones((8, 8), np.uint8))), "JPEG", quality=quality)


def test_the_bars_of_a_letterbox_make_no_twins_of_strangers(cfg: Config, tmp_path: Path) -> None:
    add(tmp_path / "raw", range(20))
    for number in range(12):
        (tmp_path / "raw" / ("cat", "dog")[number % 2] / f"wide{number}.jpg").write_bytes(panorama(number, 95))
    (tmp_path / "raw" / "cat" / "copy0.jpg").write_bytes(panorama(0, 80))
    cfg.resize.method = "letterbox"
    splits = placed(tmp_path / "raw", cfg, tmp_path)
    paths = [{splits.samples[i].path for i in (pair["one"], pair["other"])} for pair in splits.pairs]
    assert paths == [{"cat/wide0.jpg", "cat/copy0.jpg"}]
