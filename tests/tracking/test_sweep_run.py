"""A sweep is one run in MLflow, and the runs of its trials are its children, whichever of them arrives first."""

from dataclasses import asdict
from pathlib import Path

from mlflow.entities import Run as MlflowRun

from pipeline.config.schema import Config
from pipeline.dataset.manifest import Manifest
from pipeline.tracking.comparison import latest
from pipeline.tracking.events import NOTE, SWEEP_ID, EventLog, key_of_sweep
from pipeline.tracking.run import Run, begin
from pipeline.tracking.store import Store
from pipeline.tracking.sweep_run import tracked_sweep
from pipeline.tracking.sync import sync_waiting

PARENT = "mlflow.parentRunId"


def trial(home: Path, cfg: Config, manifest: Manifest, number: int, sweep_id: str) -> None:
    tags = {"sweep": "rates", SWEEP_ID: sweep_id, "trial": str(number), "varied": "model=cnn"}
    run = Run(EventLog(home))
    begin(run, asdict(cfg), manifest, f"rates-{number} model=cnn", **tags)
    run.end("FINISHED")
    run.events.close()


def runs(home: Path, cfg: Config) -> list[MlflowRun]:
    """Return the runs, the earliest first, once what waits has been uploaded."""
    assert sync_waiting(home) == []
    store = Store(cfg.tracking, home)
    return list(store.runs())[::-1]


def test_trials_are_children_of_their_sweep_whichever_arrives_first(home: Path, cfg: Config, manifest: Manifest) -> None:
    trial(home, cfg, manifest, 0, "1a")
    assert len(runs(home, cfg)) == 2
    with tracked_sweep(cfg, manifest, home, "rates", "1a") as run:
        run.tag(**{NOTE: "a sweep"})
        run.log_metrics({"best/validation/loss": 0.5}, 1)
    trial(home, cfg, manifest, 1, "1a")
    found = runs(home, cfg)
    [parent] = [run for run in found if run.data.tags.get("training") == key_of_sweep("1a")]
    children = [run for run in found if "trial" in run.data.tags]
    assert len(found) == 3
    assert (parent.info.run_name, parent.info.status, parent.data.tags[NOTE]) == ("rates", "FINISHED", "a sweep")
    assert parent.data.metrics == {"best/validation/loss": 0.5}
    assert parent.data.params == {}
    assert [run.data.tags[PARENT] for run in children] == [parent.info.run_id] * 2
    assert sorted(run.info.run_name for run in children) == ["rates-0 model=cnn", "rates-1 model=cnn"]
    compared = latest(Store(cfg.tracking, home), 10)
    assert {run.id for run in compared} == {run.info.run_id for run in children}


def test_a_sweep_that_goes_on_keeps_its_run_and_another_of_its_name_has_its_own(home: Path, cfg: Config, manifest: Manifest) -> None:
    for sweep_id in ("1a", "1a", "2b"):
        with tracked_sweep(cfg, manifest, home, "rates", sweep_id):
            pass
        assert sync_waiting(home) == []
    assert [(run.info.run_name, run.data.tags["training"]) for run in runs(home, cfg)] == [
        ("rates", key_of_sweep("1a")),
        ("rates", key_of_sweep("2b")),
    ]
