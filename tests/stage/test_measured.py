"""The stages after a training: what they refuse, print, and add to its run; what they leave to the next command."""

import dataclasses
import json
import re
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow.entities import Run

from pipeline.analysis import tta
from pipeline.bundle import Bundle, debugging
from pipeline.config.errors import DataError
from pipeline.config.paths import Places
from pipeline.config.schema import Config
from pipeline.dataset.manifest import Manifest
from pipeline.tracking.store import Store
from tests.stage.conftest import Stage, work_of

BY_HAND = "`python -m pipeline.command.champion 1 --model mnist` makes it the champion"


def the_run(cfg: Config, home: Path) -> Run:
    store = Store(cfg.tracking, home)
    [run] = store.client.search_runs([store.experiment])
    return run


def files(run: Run, folder: str = "") -> set[str]:
    return {path.name for path in (Path(run.info.artifact_uri) / folder).iterdir() if path.is_file()}


@pytest.fixture
def other_images(live: Path, manifest: Manifest, tmp_path: Path) -> None:
    """The live run's images are not those that its network was trained on."""
    (tmp_path / "others").mkdir()
    dataclasses.replace(manifest, data_digest="f" * 64).write(tmp_path / "others")
    (live / "prepared").unlink()
    (live / "prepared").symlink_to(tmp_path / "others")


@pytest.mark.parametrize("name", ["evaluate", "explain"])
def test_a_network_is_measured_on_the_images_of_its_training_only(name: str, other_images: None, stage: Stage) -> None:
    with pytest.raises(DataError, match="trained"):
        stage(name)


def test_evaluate_prints_the_accuracy_on_the_test_images_and_what_to_type_next(
    stage: Stage, live: Path, cfg: Config, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stage("evaluate")
    said = capsys.readouterr().out
    test = json.loads((live / "reports" / "metrics.json").read_text())["test"]
    assert f"test accuracy {test['accuracy']:.4f} (95% interval " in said
    assert re.search(r", 6 images\)$", said, re.M)  # as they are, so that no test-time augmentation is named
    assert f"python -m pipeline.command.predict PHOTO… --bundle {live / 'bundle'}\n" in said
    store = Store(cfg.tracking, home)
    [point] = store.client.get_metric_history(the_run(cfg, home).info.run_id, "test/accuracy")
    assert (point.value, point.step) == (pytest.approx(test["accuracy"]), Bundle.read(live / "bundle").best_epoch)


def test_evaluate_names_the_views_of_which_the_accuracy_is(stage: Stage, cfg: Config, capsys: pytest.CaptureFixture[str]) -> None:
    cfg.evaluate.tta = next(name for name in tta.TTA if name != tta.PLAIN)
    stage("evaluate")
    assert f", 6 images, test-time augmentation {cfg.evaluate.tta})" in capsys.readouterr().out


def test_explain_counts_its_pictures_and_adds_them_to_the_run(
    stage: Stage, live: Path, cfg: Config, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stage("explain")
    drawn = {path.stem for path in (live / "pictures").iterdir()}
    assert f"{len(drawn)} pictures of filters, units, feature maps and mistakes: {live / 'pictures'}" in capsys.readouterr().out
    run = the_run(cfg, home)
    assert run.data.tags["explained"] == "true"
    told = {name.split("+")[0].partition("~")[2] for name in files(run, "images")}
    assert {name for name in drawn if (live / "pictures" / f"{name}.png").exists()} - {"filters"} <= told


def test_a_live_run_s_network_is_registered_and_never_leads(
    stage: Stage, live: Path, cfg: Config, home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stage("register")
    assert capsys.readouterr().out == f"registered as mnist version 1; {BY_HAND}\n"
    bundle = Bundle.read(live / "bundle")
    assert json.loads((live / "registered.json").read_text()) == {"model": "mnist", "bundle": bundle.digest}
    run = the_run(cfg, home)
    assert "test/accuracy" not in run.data.metrics  # the project has figures, of another network
    assert "dvc.lock" in files(run)
    store = Store(cfg.tracking, home)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    model = mlflow.pyfunc.load_model("models:/mnist/1")
    assert model.predict(np.zeros((5, 8, 8, 1), np.float32)).shape == (5, 3)


def test_a_network_of_ones_own_photos_is_registered_under_the_names_of_their_classes(
    stage: Stage, live: Path, cfg: Config, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg.tracking.model = "{classes}"
    stage("register")
    assert capsys.readouterr().out.startswith("registered as top-middle-bottom version 1; ")
    assert json.loads((live / "registered.json").read_text())["model"] == "top-middle-bottom"
    assert [model.name for model in Store(cfg.tracking, home).client.search_registered_models()] == ["top-middle-bottom"]


@pytest.mark.parametrize(
    ("debug", "limits", "named"),
    [
        ("overfit", {"overfit_images": 12}, "overfit"),
        ("mine", {}, "mine"),
        ("none", {"overfit_images": 12}, "overfit_images=12"),
        ("none", {"limit_batches": 1, "profile": 3}, "limit_batches=1, profile=3"),
    ],
)
def test_a_debug_run_is_tagged_and_its_network_is_not_registered(
    debug: str,
    limits: dict[str, int],
    named: str,
    stage: Stage,
    live: Path,
    cfg: Config,
    home: Path,
    bundle_folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    description = bundle_folder / "bundle.json"
    tree = json.loads(description.read_text())
    tree["config"]["debug"]["name"] = debug
    tree["config"]["training"] |= limits
    description.write_text(json.dumps(tree))
    (live / "bundle").unlink()
    (live / "bundle").symlink_to(bundle_folder)
    stage("register")
    assert capsys.readouterr().out == f"not registered, as it is of a debug run ({named})\n"
    assert Store(cfg.tracking, home).client.search_registered_models() == []
    assert the_run(cfg, home).data.tags["debug"] == named


def test_a_network_of_before_there_were_debug_runs_is_of_none(written_bundle: Path) -> None:
    config = json.loads((written_bundle / "bundle.json").read_text())["config"]
    del config["debug"], config["training"]["limit_batches"], config["training"]["overfit_images"], config["training"]["profile"]
    assert debugging(config) == ""


def test_what_was_told_of_a_network_before_it_is_registered_is_not_told_again(stage: Stage, live: Path, cfg: Config, home: Path) -> None:
    stage("evaluate")
    metrics = json.loads((live / "reports" / "metrics.json").read_text())
    (live / "reports" / "metrics.json").write_text(json.dumps(metrics | {"test": metrics["test"] | {"accuracy": 0.125}}))
    stage("register")
    assert the_run(cfg, home).data.metrics["test/accuracy"] == pytest.approx(metrics["test"]["accuracy"])


def test_in_an_experiment_a_network_does_not_lead_either(
    cfg: Config, home: Path, live: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its workspace is DVC's copy of the project."""
    from pipeline.config import paths as places
    from pipeline.stage import register

    for module in (places, register):
        monkeypatch.setattr(module, "WORKSPACE", tmp_path / "copy")
    (tmp_path / "copy" / "data").mkdir(parents=True)
    (tmp_path / "copy" / "data" / "prepared").symlink_to((live / "prepared").resolve())
    (tmp_path / "copy" / "bundle").symlink_to((live / "bundle").resolve())
    monkeypatch.setenv("DVC_EXP_NAME", "grid-1")
    work_of("pipeline.stage.register")(cfg, Places(None))
    assert capsys.readouterr().out == f"registered as mnist version 1; {BY_HAND}\n"
    monkeypatch.delenv("DVC_EXP_NAME")
    work_of("pipeline.stage.register")(cfg, Places(None))
    assert "the champion" in capsys.readouterr().out
    assert (tmp_path / "copy" / "registered.json").exists()
