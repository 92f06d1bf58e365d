"""A run that is made from its bundle says of the training what the training itself would have said."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.bundle import Bundle
from pipeline.config.schema import Config
from pipeline.report import write_report
from pipeline.tracking.events import Event, EventLog, Reader
from pipeline.tracking.resume import restore, resumed_run
from pipeline.tracking.run import Run
from pipeline.tracking.store import Store
from tests.tracking.conftest import MakeBundle


def told_layers(bundle: Any, home: Path) -> dict[str, Any]:
    """Return the table of layers that the bundle's run is told to have."""
    log = EventLog(home)
    restore(Run(log), bundle)
    log.close()
    [path] = log.folder.rglob("layers.json")
    return json.loads(path.read_text())


@pytest.mark.parametrize(("frozen", "trainable"), [([], 467), (["layers.conv"], 387)])
def test_the_layers_that_a_training_kept_as_they_were_count_as_not_trained(
    frozen: list[str], trainable: int, cfg: Config, trained: MakeBundle, home: Path
) -> None:
    cfg.weights.freeze = frozen
    layers = told_layers(trained(1.0), home)
    assert (layers["parameters"], layers["trainable"]) == (467, trainable)


def test_of_a_bundle_that_says_nothing_of_weights_all_is_trained(trained: MakeBundle, home: Path) -> None:
    bundle = trained(1.0)
    del bundle.config["weights"]
    assert told_layers(bundle, home)["trainable"] == 467


@pytest.mark.parametrize("tta", ["plain", "mirror_shift"])
def test_a_run_says_of_which_views_its_test_accuracy_is(
    tta: str, cfg: Config, bundle: Bundle, prepared: Path, home: Path, tmp_path: Path
) -> None:
    cfg.evaluate.tta = tta
    (reports := tmp_path / "reports").mkdir()
    write_report(bundle, prepared, reports, cfg.evaluate)
    told = told_by(lambda run: run.log_report(reports, 7), home)
    [tags] = [event["values"] for event in told if event["event"] == "tags"]
    assert tags == {"evaluated": "true", "tta": tta}
    [figures] = [event for event in told if event["event"] == "metrics"]
    test = json.loads((reports / "metrics.json").read_text())["test"]
    assert {name: figures["values"][f"test/{name}"] for name in ("accuracy", "loss")} == {name: test[name] for name in ("accuracy", "loss")}
    assert figures["step"] == 7  # the epoch whose weights were kept


def test_every_metric_of_the_test_images_gets_into_the_run_under_its_name(
    cfg: Config, bundle: Bundle, prepared: Path, home: Path, tmp_path: Path
) -> None:
    (reports := tmp_path / "reports").mkdir()
    write_report(bundle, prepared, reports, cfg.evaluate)
    metrics = json.loads((reports / "metrics.json").read_text())
    metrics["test"]["balanced_accuracy"] = 0.75  # as one more field of Score is
    (reports / "metrics.json").write_text(json.dumps(metrics))
    [figures] = [event for event in told_by(lambda run: run.log_report(reports, 7), home) if event["event"] == "metrics"]
    assert figures["values"].keys() == {
        f"test/{name}" for name in ("accuracy", "macro_f1", "weighted_f1", "loss", "ece", "balanced_accuracy")
    }


def told_by(tell: Callable[[Run], None], home: Path) -> list[Event]:
    log = EventLog(home)
    tell(Run(log))
    log.close()
    return Reader(log.folder).new()


def test_of_the_kept_epoch_the_validation_figures_are_told_at_its_step(home: Path) -> None:
    best = {"epoch": 3.0, "train/loss": 0.5, "validation/loss": 1.0, "validation/accuracy": 0.25}
    [event] = told_by(lambda run: run.log_kept(best), home)
    assert (event["values"], event["step"]) == ({"best/epoch": 3.0, "best/validation/loss": 1.0, "best/validation/accuracy": 0.25}, 3)


def test_of_the_pictures_the_filters_are_left_to_those_of_all_epochs(home: Path, tmp_path: Path) -> None:
    (folder := tmp_path / "pictures").mkdir()
    for name in ("filters.png", "mistakes.png", "film.gif"):
        (folder / name).write_bytes(b"picture")
    (film := tmp_path / "film").mkdir()
    (film / "filters.webp").write_bytes(b"film")
    told = told_by(lambda run: run.log_pictures(folder, film), home)
    assert [(Path(event["file"]).name, event["folder"]) for event in told if event["event"] == "artifact"] == [("filters.webp", "film")]
    assert [(event["key"], event["step"]) for event in told if event["event"] == "image"] == [("pictures/mistakes", 0)]


def test_only_what_is_told_meanwhile_is_for_a_run_that_lacks_a_tag(home: Path) -> None:
    def tell(run: Run) -> None:
        with run.unless_tagged("evaluated"):
            run.log_metrics({"test/loss": 0.5}, 1)
        run.log_metrics({"test/loss": 0.25}, 2)

    assert [event["unless"] for event in told_by(tell, home)] == ["evaluated", None]


def test_why_a_training_failed_is_told_without_a_password(home: Path) -> None:
    error, end = told_by(lambda run: run.fail("no answer of https://me:wombat@host/x"), home)
    assert error["values"] == {"error": "no answer of https://***@host/x"}
    assert end["status"] == "FAILED"


def test_a_run_that_is_made_from_a_bundle_has_the_config_and_the_epochs_of_its_training(
    cfg: Config, trained: MakeBundle, home: Path
) -> None:
    bundle = trained(1.0)
    row = bundle.history[0]
    bundle = dataclasses.replace(bundle, history=[row, row | {"epoch": 2.0, "validation/loss": 2.0}])
    learnt_with = cfg.optimizer["lr"]
    cfg.optimizer["lr"] = 17.0
    with resumed_run(cfg, bundle, home):
        pass
    store = Store(cfg.tracking, home)
    [run] = store.client.search_runs([store.experiment])
    assert run.data.params["optimizer.lr"] == str(learnt_with)
    points = store.client.get_metric_history(run.info.run_id, "validation/loss")
    assert [(point.step, point.value) for point in points] == [(1, 1.0), (2, 2.0)]
