"""`python -m pipeline.command.sweep`: what it prints of a sweep, and on the slow list whole sweeps of real trainings."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.command.sweep import apply, main
from pipeline.config.compose import read_yaml
from pipeline.config.errors import ConfigError
from pipeline.config.search import Entry
from pipeline.config.sweep_words import Interval, Options
from pipeline.config.sync import configure
from pipeline.config.tree import get
from pipeline.config.yaml_nodes import LOCAL
from pipeline.search.ledger import Ledger
from pipeline.search.status import description
from tests.project import Project, environment, small_project
from tests.search.samples import RATE, begun, ledger_in, search


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """A sweep of which one trial is complete, one has failed, and one is left."""
    ledger = ledger_in(tmp_path, search(trials=3), name="rates")
    for value in (0.75, None):
        task = begun(ledger)
        if value:
            ledger.complete(task.number, 0, value)
        else:
            ledger.fail(task.number, "Traceback\n  of a bug\na bug", again=False)
    return ledger


@pytest.fixture
def said(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> object:
    """Returns what the command prints, on one line."""

    def run(*words: str) -> str:
        monkeypatch.setenv("COLUMNS", "80")
        monkeypatch.setattr(sys, "argv", ["sweep", "--storage", ledger.storage.url, *words])
        main()
        return " ".join(capsys.readouterr().out.split())

    return run


def test_status_has_a_line_for_each_point_and_says_what_is_left(ledger: Ledger, said: object) -> None:
    name, _, rate = ledger.rows()[0].words[1].partition("=")
    found = said("status", "rates")
    assert re.search(rf"0 0 complete 1 0\.7500 0:00:\d\d {name}={float(rate):.4g} ", found)
    assert re.search(r"1 1 fail 1 0:00:\d\d lr=\S+ a bug", found)
    assert "rates: 2 points, 1 complete, 1 fail; best validation/accuracy 0.7500 of trial 0" in found
    assert re.search(r"\d trials a minute; about 0:00:\d\d left", found)
    assert said("status") == "rates"


def test_a_sweep_is_told_in_a_sentence(tmp_path: Path) -> None:
    kind, size = Entry("kind", Options(("a", "b")), ""), Entry("size", Interval(8, 64, step=8), "", when="kind=a")
    ledger = ledger_in(tmp_path, search(RATE, kind, size, trials=3, time="2h", pruner="median"))
    assert description(ledger) == (
        "A sweep for the best validation/accuracy (random, median pruning, 3 trials, at most 2h) over lr: 0.001 to 1.0 on a logarithmic "
        "scale; kind: a, b; size (kind=a): 8 to 64 in steps of 8. Fixed: fixed=1."
    )


def test_best_prints_the_command_that_repeats_it(ledger: Ledger, said: object) -> None:
    assert (
        said("best", "rates") == f"# validation/accuracy 0.75, trial 0 python -m pipeline.stage.train fixed=1 {ledger.rows()[0].words[1]}"
    )


def test_report_writes_a_page_beside_the_trials(tmp_path: Path, said: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert said("report", "rates") == "written to runs/rates/report.html"
    assert "The best: validation/accuracy 0.75, trial 0" in (tmp_path / "runs" / "rates" / "report.html").read_text()


def test_retry_and_stop_are_in_the_ledger(ledger: Ledger, said: object) -> None:
    assert said("retry", "rates") == "tried again: 1; `resume rates` starts them"
    assert [row.state for row in ledger.points()] == ["complete", "waiting"]
    assert "rates is told to stop" in said("stop", "rates")
    assert ledger.is_stopped


def test_a_database_that_is_not_there_holds_no_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["sweep", "--storage", f"sqlite:///{tmp_path / 'none.db'}", "status"])
    with pytest.raises(ConfigError, match="no sweep has been started here; `start NAME key=values` begins one"):
        main()
    assert list(tmp_path.iterdir()) == []


def test_another_kind_of_storage_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["sweep", "--storage", "redis://host", "status"])
    with pytest.raises(ConfigError, match="--storage redis://host: expected sqlite:///PATH, postgresql://… or mysql://…"):
        main()


def test_the_best_values_are_written_above_conf_choices_first(conf: Path, tmp_path: Path) -> None:
    shutil.copytree(conf, tmp_path / "conf")
    configure(tmp_path, in_experiment=False)
    told = list(apply(tmp_path, ["optimizer.momentum=0.8", "optimizer=sgd", "training.clip=null", "model.filters=[4,8]", "model=lenet"]))
    params = read_yaml(tmp_path / "params.yaml")
    assert {key: get(params, key) for key in ("model.name", "model.filters", "optimizer.name", "optimizer.momentum", "training.clip")} == {
        "model.name": "lenet",
        "model.filters": [4, 8],
        "optimizer.name": "sgd",
        "optimizer.momentum": 0.8,
        "training.clip": None,
    }
    assert told[0].startswith(f"written to {LOCAL}: optimizer.momentum=0.8")


SWEEP = ("python", "-m", "pipeline.command.sweep")
POINTS = ("model=cnn,lenet", "optimizer.lr=tag(log,interval(1e-4,1e-2))", "training.epochs=2")
RUNS = """
import json, pipeline.tracking.store
from mlflow import MlflowClient
client = MlflowClient("sqlite:///mlflow.db")
[experiment] = [found for found in client.search_experiments() if found.name != "Default"]
found = client.search_runs([experiment.experiment_id])
print(json.dumps([[run.info.status, run.data.tags | {"id": run.info.run_id, "name": run.info.run_name}] for run in found]))
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = small_project(tmp_path / "project")
    project.repro("resize")
    return project


def runs(project: Project) -> list[tuple[str, dict[str, str]]]:
    """Return (status, tags, with id and name) of the runs of a sweep, its own the first."""
    project.ok("python", "-m", "pipeline.command.sync")
    found = json.loads(project.ok("python", "-W", "ignore", "-c", RUNS).output.splitlines()[-1])
    return sorted(((status, tags) for status, tags in found if "sweep" in tags), key=lambda run: int(run[1].get("trial", -1)))


@pytest.mark.slow
def test_a_sweep_of_trainings_is_in_the_ledger_and_in_mlflow_and_its_best_command_repeats_it(project: Project) -> None:
    ran = project.ok(*SWEEP, "start", "rates", "--trials", "4", "--workers", "2", *POINTS)
    assert "trial 0 (model=cnn, optimizer.lr=" in ran.output
    assert "rates: 4 points, 4 complete; best validation/loss" in ran.output
    (status, parent), *trials = runs(project)
    assert (status, parent["name"]) == ("FINISHED", "rates")
    assert parent["mlflow.note.content"].startswith("A sweep for the best validation/loss (tpe, 4 trials) over model: cnn, lenet; ")
    assert [(status, tags["trial"], tags["mlflow.parentRunId"]) for status, tags in trials] == [
        ("FINISHED", str(n), parent["id"]) for n in range(4)
    ]
    assert re.fullmatch(r"rates-1 model=\w+ optimizer\.lr=[\d.e-]{5,9}", trials[1][1]["name"])
    assert [(tags["point"], f"model={tags['varied.model']} optimizer.lr={tags['varied.optimizer.lr']}") for _, tags in trials] == [
        (f"rates-{n}", tags["varied"]) for n, (_, tags) in enumerate(trials)
    ]
    assert f"### The best: trial {parent['best_trial']}" in parent["mlflow.note.content"]
    assert (project.root / "runs" / "rates" / "report.html").exists()
    assert [path.name for path in (project.root / "mlruns").rglob("report.html")] == ["report.html"]
    best = project.ok(*SWEEP, "best", "rates").output.splitlines()
    score = float(best[0].split()[2].rstrip(","))
    repeated = project.ok("sh", "-c", f"{best[1]} hydra.run.dir=runs/again")
    assert "validation accuracy" in repeated.output
    history = (project.root / "runs" / "again" / "bundle" / "history.csv").read_text()
    assert f"{score:.6g}" in {f"{float(cell):.6g}" for cell in history.replace("\n", ",").split(",") if re.fullmatch(r"[\d.e-]+", cell)}


@pytest.mark.slow
def test_folds_are_prepared_once_and_each_is_a_run_of_its_point(project: Project) -> None:
    ran = project.ok(*SWEEP, "start", "folds", "--sampler", "grid", "--folds", "2", "--workers", "2", *POINTS[:1], "training.epochs=1")
    assert len(re.findall(r"^fold \d: \d+ train, \d+ validation images", ran.output, re.M)) == 2
    assert len(re.findall(r"the mean of 2 trainings", ran.output)) == 2
    _, *trials = runs(project)
    assert sorted((tags["point"], tags["varied.dataset.split.fold"]) for _, tags in trials) == [
        (f"folds-{point}", fold) for point in (0, 1) for fold in "01"
    ]
    assert len({tags["data_digest"] for _, tags in trials}) == 2
    assert "fold 0" not in project.ok(*SWEEP, "resume", "folds").output


@pytest.mark.slow
def test_a_sweep_that_is_killed_goes_on_and_no_trial_that_has_ended_is_trained_again(project: Project) -> None:
    words = [*SWEEP, "start", "rates", "--trials", "5", *POINTS]
    with subprocess.Popen(words, cwd=project.root, env=environment(), stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout
        first = next(line for line in driver.stdout if line.startswith("trial "))
        time.sleep(1)  # somewhere in the next one
        driver.send_signal(signal.SIGKILL)
    before = (project.root / "runs" / "rates" / "0" / "bundle" / "weights.safetensors").stat().st_mtime_ns
    ran = project.ok(*SWEEP, "resume", "rates")
    assert first.partition(" (")[0] == "trial 0"
    assert "trial 0 (" not in ran.output.replace("of trial 0 (", "")
    assert "rates: 5 points, 5 complete" in ran.output
    assert (project.root / "runs" / "rates" / "0" / "bundle" / "weights.safetensors").stat().st_mtime_ns == before
    assert [status for status, _ in runs(project)] == ["FINISHED"] * 6
    project.ok(*SWEEP, "stop", "rates")
    refused = project.run(*words)
    assert refused.code == ConfigError.exit_code
    assert "the sweep rates has been stopped; `resume rates` goes on" in refused.output
