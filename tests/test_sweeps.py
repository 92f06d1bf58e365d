"""Sweeps by both habits of the stack, from a cold start: every point is a finished run in the root's one store, also the second time."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.project import Project, small_project

pytestmark = pytest.mark.slow

ROWS = """
import json, pipeline.tracking.store
from mlflow import MlflowClient
client = MlflowClient("sqlite:///mlflow.db")
[experiment] = [found for found in client.search_experiments() if found.name != "Default"]
runs = [(run.info, run.data) for run in client.search_runs([experiment.experiment_id])]
print(json.dumps([(d.tags.get("dvc_experiment", i.run_name), i.status, d.params, d.metrics, d.tags, i.run_id) for i, d in runs]))
"""

MODELS, RATES = ("cnn", "lenet"), ("0.003", "0.001")
POINTS = {(model, rate) for model in MODELS for rate in RATES}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with prepared images and no store."""
    project = small_project(tmp_path / "project")
    project.repro("resize")
    project.commit("prepared")
    assert not (project.root / "mlflow.db").exists()
    return project


def runs(project: Project) -> list[tuple[str, str, dict[str, str], dict[str, float], dict[str, str], str]]:
    """Return (DVC's name or its own, status, parameters, metrics, tags, id) of every run of the one experiment."""
    project.ok("python", "-m", "pipeline.command.sync")
    return json.loads(project.ok("python", "-W", "ignore", "-c", ROWS).output.splitlines()[-1])


def rows(project: Project) -> list[tuple[str, str, dict[str, str], dict[str, float]]]:
    """Return (name, status, parameters, metrics) of every training's run."""
    return [(name, status, params, metrics) for name, status, params, metrics, *_ in runs(project) if params]


def points(project: Project) -> Counter[tuple[str, str]]:
    return Counter((params["model.name"], params["optimizer.lr"]) for _, _, params, _ in rows(project))


def children_by_parent(project: Project) -> dict[str, set[str]]:
    """Return name of a sweep's run -> the ids of the runs below it; each sweep's run has ended, with the best accuracy below it."""
    found = runs(project)
    below: dict[str, set[str]] = {}
    for name, status, params, metrics, tags, parent in found:
        if not params:
            trials = {run: theirs for *_, theirs, tagged, run in found if tagged.get("mlflow.parentRunId") == parent}
            assert status == "FINISHED"
            assert metrics["best/validation/accuracy"] == max(theirs["best/validation/accuracy"] for theirs in trials.values())
            assert trials[tags["best_run"]]["best/validation/accuracy"] == metrics["best/validation/accuracy"]
            below[name] = set(trials)
    return below


def queue(project: Project) -> list[str]:
    """Run the grid with two workers; return the names of its experiments."""
    said = project.queue(f"model={','.join(MODELS)}", f"optimizer.lr={','.join(RATES)}").output
    return re.findall(r"Queued experiment '([^']+)'", said)


def test_a_queue_of_four_gives_four_runs_and_the_same_again_four_more_under_their_names(project: Project) -> None:
    first = queue(project)
    assert set(points(project)) == POINTS
    assert {name for name, *_ in rows(project)} == set(first)
    again = queue(project)
    found = rows(project)
    assert sorted(name for name, *_ in found) == sorted([*first, *again])
    assert {status for _, status, *_ in found} == {"FINISHED"}
    assert all({"train/loss", "validation/accuracy", "test/accuracy"} <= metrics.keys() for *_, metrics in found)
    assert set(points(project).values()) == {2}
    ((queue_of_commit, below),) = children_by_parent(project).items()
    assert re.fullmatch("queue-[0-9a-f]{7}", queue_of_commit)
    assert len(below) == 8
    for point in POINTS:  # what came from DVC's run cache says what the training said
        twins = [metrics for _, _, params, metrics in found if (params["model.name"], params["optimizer.lr"]) == point]
        assert len({(twin["validation/loss"], twin["test/loss"]) for twin in twins}) == 1


def test_a_multirun_of_four_gives_four_runs_and_the_same_again_four_more(project: Project) -> None:
    grid = ("-m", f"model={','.join(MODELS)}", f"optimizer.lr={','.join(RATES)}")
    for times in (1, 2):
        assert project.live("train", *grid).code == 0
        assert points(project) == Counter(dict.fromkeys(POINTS, times))
    assert [len(below) for below in children_by_parent(project).values()] == [4, 4]
    varied = {(tags["varied.model"], tags["varied.optimizer.lr"]) for *_, params, _, tags, _ in runs(project) if params}
    assert varied == POINTS
    assert {status for _, status, *_ in rows(project)} == {"FINISHED"}


def test_one_failed_job_of_a_multirun_is_told_and_the_others_are_done(project: Project) -> None:
    ran = project.live("train", "-m", "optimizer=sgd", "optimizer.lr=0.01,1000000.0,0.02")
    assert ran.code == 70
    assert "train failed: job 1 (optimizer=sgd, optimizer.lr=1000000.0): training diverged" in ran.output
    assert Counter(status for _, status, *_ in rows(project)) == {"FINISHED": 2, "FAILED": 1}


@pytest.mark.parametrize("launcher", [("joblib", "hydra.launcher.n_jobs=2"), ("submitit_local",)], ids=["joblib", "submitit"])
def test_equal_trainings_at_once_end_alike_and_one_that_is_refused_in_its_process_is_told(
    launcher: tuple[str, ...], project: Project
) -> None:
    ran = project.live("train", "-m", f"hydra/launcher={launcher[0]}", *launcher[1:], "resize.size=16,16,8")
    assert ran.code == 65
    assert "train failed: job 2 (resize.size=8): " in ran.output
    assert "train failed: 1 of 3 jobs failed" in ran.output
    [result] = set(re.findall(r"resize\.size=16  (validation/loss [\d.]+)$", ran.output, flags=re.MULTILINE))
    found = rows(project)
    assert [status for _, status, *_ in found] == ["FINISHED", "FINISHED"]
    assert {f"validation/loss {metrics['validation/loss']:.4f}" for *_, metrics in found} == {result}
