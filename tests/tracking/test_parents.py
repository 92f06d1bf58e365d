"""Sweeps whose launcher is Hydra's or DVC's: their run in MLflow is brought up to date by each of their trials that ends."""

from dataclasses import asdict
from pathlib import Path

import pytest
from mlflow.entities import Run as MlflowRun

from pipeline.config.schema import Config
from pipeline.dataset.manifest import Manifest
from pipeline.tracking.events import LAUNCHER, SWEEP_ID, EventLog, key_of_sweep, trial_tags
from pipeline.tracking.provenance import queue_tags
from pipeline.tracking.run import Run, begin
from pipeline.tracking.store import Store
from pipeline.tracking.sync import sync_waiting

ACCURACY = "best/validation/accuracy"


def trial(home: Path, cfg: Config, manifest: Manifest, number: int) -> Run:
    run = Run(EventLog(home))
    tags = trial_tags("rates", "1a", number, [f"seed={number}", "+model.layers.relu1.x=2"]) | {LAUNCHER: "hydra"}
    begin(run, asdict(cfg), manifest, **tags)
    return run


def end(run: Run, accuracy: float, status: str = "FINISHED") -> None:
    run.log_metrics({ACCURACY: accuracy}, 1)
    run.end(status)
    run.events.close()


def parent(home: Path, cfg: Config) -> MlflowRun:
    """Return the sweep's run, once what waits has been uploaded."""
    sync_waiting(home)
    found = Store(cfg.tracking, home).run_tagged({"training": key_of_sweep("1a")})
    assert found
    return found


def test_the_run_of_a_launcher_s_sweep_ends_with_its_last_trial_and_has_the_best_score(home: Path, cfg: Config, manifest: Manifest) -> None:
    end(trial(home, cfg, manifest, 0), 0.7)
    assert parent(home, cfg).info.status == "FINISHED"
    end(trial(home, cfg, manifest, 1), 0.9)
    parent(home, cfg)
    end(trial(home, cfg, manifest, 2), 0.8, "KILLED")
    found = parent(home, cfg)
    assert (found.info.run_name, found.info.status, found.data.metrics) == ("rates", "FINISHED", {ACCURACY: 0.9})
    store = Store(cfg.tracking, home)
    best = store.client.get_run(found.data.tags["best_run"])
    assert best.data.tags["trial"] == "1"
    assert best.data.tags["varied.model.layers.relu1.x"] == "2"
    assert [point.value for point in store.client.get_metric_history(found.info.run_id, ACCURACY)] == [0.7, 0.9, 0.9]


def test_it_is_at_work_while_any_of_its_trials_is(home: Path, cfg: Config, manifest: Manifest) -> None:
    store = Store(cfg.tracking, home)
    end(trial(home, cfg, manifest, 0), 0.7)
    at_work = parent(home, cfg).info.run_id
    other = store.client.create_run(store.experiment, tags={"mlflow.parentRunId": at_work})
    end(trial(home, cfg, manifest, 1), 0.9)
    assert parent(home, cfg).info.status == "RUNNING"
    store.client.set_terminated(other.info.run_id)
    end(trial(home, cfg, manifest, 2), 0.8)
    assert parent(home, cfg).info.status == "FINISHED"


def test_experiments_that_are_queued_from_one_commit_are_a_sweep_and_those_of_the_workspace_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_EXP_BASELINE_REV", "0123456789abcdef")
    monkeypatch.delenv("DVC_ROOT", raising=False)
    assert queue_tags() == {}
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert queue_tags() == {"sweep": "queue-0123456", SWEEP_ID: "queue-0123456789abcdef", LAUNCHER: "dvc queue"}
