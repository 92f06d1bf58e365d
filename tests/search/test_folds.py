"""The images of each fold are prepared once for all points, and anew when the project's own are."""

import copy
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.config.errors import DataError
from pipeline.config.schema import Config
from pipeline.dataset.manifest import Manifest
from pipeline.dataset.resize import resize
from pipeline.search.folds import folder_of, prepare_folds, use_fold
from tests.samples import CLASSES, bars, write_idx_split


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Images of which six of each class are not test."""
    (tmp_path / "raw").mkdir()
    rng = np.random.default_rng(0)
    for split, each in {"train": 6, "test": 2}.items():
        labels = [label for label in range(len(CLASSES)) for _ in range(each)]
        write_idx_split(tmp_path / "raw", split, np.concatenate([bars(label, each, rng) for label in range(len(CLASSES))]), labels)
    return tmp_path / "raw"


def test_each_fold_is_prepared_once_and_found_by_its_trainings(
    small_config: Config, raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg, prepared, sweep = copy.deepcopy(small_config), tmp_path / "prepared", tmp_path / "sweep"
    cfg.dataset.splits = {split: split for split in ("train", "test")}
    prepared.mkdir()
    resize(cfg, raw, prepared, tmp_path / "data.html", tmp_path / "chunks")
    for _ in range(2):
        prepare_folds(cfg, 3, sweep, raw, prepared, tmp_path / "chunks")
    told = capsys.readouterr().out.splitlines()
    assert told == [f"fold {fold}: 12 train, 6 validation images" for fold in range(3)]
    found = [Manifest.read(folder_of(sweep, fold)).made_from["dataset"]["split"] for fold in range(3)]
    assert [(split["folds"], split["fold"]) for split in found] == [(3, 0), (3, 1), (3, 2)]
    run = sweep / "0" / "1"
    run.mkdir(parents=True)
    for fold in (0, 1):
        split = replace(cfg.dataset.split, folds=3, fold=fold)
        use_fold(replace(cfg, dataset=replace(cfg.dataset, split=split)), run, sweep)
        assert (run / "prepared").resolve() == folder_of(sweep, fold).resolve()
    later = prepared / "manifest.json"
    os.utime(later, ns=(later.stat().st_mtime_ns + 10**10,) * 2)
    prepare_folds(cfg, 3, sweep, raw, prepared, tmp_path / "chunks")
    assert capsys.readouterr().out.splitlines() == told
    with pytest.raises(DataError, match="folds are cut from the original files, and gone is not there: `dvc repro fetch` brings them"):
        prepare_folds(cfg, 2, sweep, tmp_path / "gone", prepared, tmp_path / "chunks")
