"""The images of each fold, prepared once for all points of a sweep."""

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from pipeline.config.errors import DataError
from pipeline.config.schema import Config
from pipeline.dataset.manifest import Manifest
from pipeline.dataset.resize import resize

FOLDS = "folds"  # folder of a sweep, with one for each fold


def prepare_folds(cfg: Config, folds: int, sweep: Path, raw: Path, prepared: Path, scratch: Path) -> None:
    """Prepare the images of each fold that is not there yet, from the original files in raw.

    cfg: of all points. sweep: its folder. prepared: the project's own images, than which a fold must not be older. scratch: of chunks,
    so that the images are decoded once for all folds. Raises DataError where raw is not there."""
    for fold in range(folds):
        split = replace(cfg.dataset.split, folds=folds, fold=fold)
        wanted = replace(cfg, dataset=replace(cfg.dataset, split=split))
        folder = folder_of(sweep, fold)
        if not _is_current(wanted, folder, prepared):
            if not raw.exists():
                raise DataError(
                    f"folds are cut from the original files, and {raw.name} is not there: `dvc repro fetch` brings them, then repeat"
                )
            folder.mkdir(parents=True, exist_ok=True)
            manifest = resize(wanted, raw, folder, folder / "data.html", scratch)
            print(f"fold {fold}: {manifest.images('train'):,} train, {manifest.images('validation'):,} validation images", flush=True)


def use_fold(cfg: Config, run: Path, sweep: Path) -> None:
    """Let a training's folder lead to the images of its fold, where its sweep has prepared them."""
    fold = folder_of(sweep, cfg.dataset.split.fold)
    if cfg.dataset.split.folds and fold.exists():
        (run / "prepared").unlink(missing_ok=True)  # left by a sweep of the same name
        (run / "prepared").symlink_to(os.path.relpath(fold, run))


def folder_of(sweep: Path, fold: int) -> Path:
    """Return the folder of a fold's images."""
    return sweep / FOLDS / str(fold)


def _is_current(cfg: Config, folder: Path, prepared: Path) -> bool:
    manifests = [found / "manifest.json" for found in (folder, prepared)]
    if not manifests[0].exists() or manifests[0].stat().st_mtime < manifests[1].stat().st_mtime:
        return False
    with suppress(DataError):
        Manifest.read(folder).require(cfg)
        return True
    return False
