"""The train stage: which network it begins with, on which images, what it refuses, and what it tells."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.bundle import Bundle, make_network
from pipeline.config.errors import DataError
from pipeline.config.schema import Config
from pipeline.dataset.manifest import Manifest, made_from
from pipeline.tracking.events import Reader, waiting
from pipeline.tracking.store import Store
from pipeline.tracking.sync import sync_waiting
from tests.stage.conftest import Stage


@pytest.fixture(autouse=True)
def untrained(live: Path, cfg: Config) -> None:
    """The live run has no network yet; the training is short."""
    (live / "bundle").unlink()
    cfg.training.epochs = 2


@pytest.mark.parametrize("seed", [0, 1])
def test_the_first_weights_are_those_of_the_seed(seed: int, stage: Stage, cfg: Config, live: Path, manifest: Manifest) -> None:
    cfg.seed = seed
    stage("train")
    torch.manual_seed(seed)
    first = next(layer for layer in make_network(cfg.model, manifest, None).modules() if isinstance(layer, torch.nn.Conv2d))
    filters = Bundle.read(live / "bundle").filters
    assert filters is not None
    np.testing.assert_array_equal(filters[0], first.weight.detach().numpy())


def test_a_network_is_made_for_the_size_that_it_sees(stage: Stage, cfg: Config, live: Path) -> None:
    cfg.training.input = 6
    stage("train")
    assert Bundle.read(live / "bundle").network(torch.zeros(2, 1, 6, 6)).shape == (2, 3)


@pytest.mark.parametrize("monitor", ["validation/loss", "validation/accuracy"])
def test_a_sweep_gets_the_figure_that_the_config_names(monitor: str, stage: Stage, cfg: Config, live: Path) -> None:
    cfg.training.monitor = monitor
    assert stage("train") == Bundle.read(live / "bundle").validation[monitor]


def test_images_of_other_settings_are_refused_before_anything_is_told(stage: Stage, cfg: Config, home: Path) -> None:
    cfg.resize.method = "crop"
    with pytest.raises(DataError, match=r"resize\.method"):
        stage("train")
    assert waiting(home) == []


def test_a_live_run_refuses_photos_that_have_changed_since(
    stage: Stage, cfg: Config, live: Path, prepared: Path, manifest: Manifest, tmp_path: Path
) -> None:
    (tmp_path / "photos").mkdir()
    cfg.dataset.sources.folder = str(tmp_path / "photos")
    (live / "prepared").unlink()
    shutil.copytree(prepared, live / "prepared")
    dataclasses.replace(manifest, made_from=made_from(cfg)).write(live / "prepared")
    with pytest.raises(DataError, match="the photos have changed since they were prepared: 0 added, 0 changed, 27 removed"):
        stage("train")


def test_one_run_has_the_training_and_what_is_measured_later(
    stage: Stage, cfg: Config, home: Path, live: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stage("train")
    said = capsys.readouterr().out
    assert f"python -m pipeline.stage.evaluate hydra.run.dir={live}" in said
    [folder] = waiting(home)
    tags = {name: value for event in Reader(folder).new() if event["event"] == "tags" for name, value in event["values"].items()}
    assert tags["uncertain"].startswith("only 9 validation images choose the epoch")
    assert tags["uncertain"] in said
    stage("evaluate")
    sync_waiting(home)
    store = Store(cfg.tracking, home)
    [run] = store.client.search_runs([store.experiment])
    bundle = Bundle.read(live / "bundle")
    assert "restored" not in run.data.tags
    assert run.data.metrics["best/validation/loss"] == pytest.approx(bundle.validation["validation/loss"])
    [point] = store.client.get_metric_history(run.info.run_id, "test/accuracy")
    assert point.step == bundle.best_epoch


@pytest.mark.parametrize("debug", ["none", "overfit"])
def test_a_debug_run_says_that_it_is_one(debug: str, stage: Stage, cfg: Config, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cfg.debug.name, cfg.training.overfit_images = debug, None if debug == "none" else 6
    stage("train")
    said = capsys.readouterr().out
    [folder] = waiting(home)
    events = Reader(folder).new()
    tags = {name: value for event in events if "tags" in event for name, value in event["tags"].items()}
    is_debug = debug != "none"
    assert ("debug run (overfit): its figures compare with no other's, and it is not registered\n" in said) == is_debug
    assert ("\naccuracy on its own training images " in said, "\nvalidation accuracy " in said) == (is_debug, not is_debug)
    assert ("only 9 validation images choose the epoch" in said) == (not is_debug)
    assert tags.get("debug") == (debug if is_debug else None)
