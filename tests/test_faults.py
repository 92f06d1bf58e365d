"""What is killed, diverges or can't work fails truly: an exit code, one line, no second writer, and DVC does not call it done."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.project import Project, environment, gone, small_project, wait_for

STAGE = "pipeline.stage.train"
PATIENCE = 120  # seconds that a busy machine may take to end a run: MLflow is imported for that


@pytest.fixture(scope="module")
def prepared(warm: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A small project with prepared images and a training that takes minutes unless it is stopped."""
    project = small_project(tmp_path_factory.mktemp("faults") / "project", warm)
    project.edit("conf/training/default.yaml", "epochs: 1", "epochs: 5000")
    project.repro("resize")
    return project


@pytest.fixture
def project(prepared: Project, tmp_path: Path) -> Iterator[Project]:
    copy = prepared.copy(tmp_path / "project")
    yield copy
    for process in stage_processes(copy):
        process.kill()


def stage_processes(project: Project) -> list[psutil.Process]:
    """Return the training processes of this project."""
    found = []
    for process in psutil.process_iter():
        try:
            if STAGE in process.cmdline() and Path(process.cwd()) == project.root and "python" in process.name():
                found.append(process)
        except psutil.Error:
            continue
    return found


def start(project: Project, *command: str, **variables: str) -> subprocess.Popen[str]:
    """Start a command that is to be killed, in a session of its own, as a terminal does; its interpreter is none of `warm`."""
    env = environment() | variables
    return subprocess.Popen(
        command, cwd=project.root, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def training_under_way(project: Project, started: subprocess.Popen[str]) -> psutil.Process:
    """Wait until an epoch has been trained; return the stage's process."""
    assert started.stdout
    for line in started.stdout:
        if line.startswith("epoch"):
            return stage_processes(project)[0]
    raise AssertionError("the training ended")


def is_done(project: Project) -> bool:
    """Tell whether DVC takes the training for done."""
    return "train:" not in project.ok("dvc", "status").output


STATES = """
import pipeline.tracking.store
from mlflow import MlflowClient
print([run.info.status for run in MlflowClient({uri!r}).search_runs(["1"])])
"""


def states(project: Project, uri: str = "sqlite:///mlflow.db") -> str:
    """Return the states of all runs, after one command."""
    project.ok("python", "-m", "pipeline.command.sync")
    return project.ok("python", "-W", "ignore", "-c", STATES.format(uri=uri)).output.splitlines()[-1]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow)])
def test_a_signal_ends_a_live_training_with_its_own_exit_code_and_one_line(project: Project, number: int, code: int) -> None:
    started = start(project, "python", "-m", STAGE)
    training_under_way(project, started).send_signal(number)
    output = started.communicate(timeout=PATIENCE)[0]
    assert started.returncode == code
    assert output.splitlines()[-1].startswith(f"train failed: stopped by signal {int(number)}")
    assert "Traceback" not in output
    assert states(project) == "['KILLED']"


@pytest.mark.slow
def test_sigterm_to_the_stage_fails_the_repro_and_a_rerun_trains_again(project: Project) -> None:
    started = start(project, "dvc", "repro", "train")
    training_under_way(project, started).terminate()
    output = started.communicate(timeout=PATIENCE)[0]
    assert started.returncode != 0
    assert "exited with 143" in output
    assert not is_done(project)
    project.edit("params.yaml", "  epochs: 5000", "  epochs: 1")
    assert "train" in project.repro("train").stages


@pytest.mark.slow
def test_a_value_typed_while_a_training_goes_on_is_not_taken_for_the_one_that_it_had(project: Project) -> None:
    project.edit("params.yaml", "  epochs: 5000", "  epochs: 40")
    started = start(project, "dvc", "repro", "train")
    training_under_way(project, started)
    project.edit("params.yaml", "  lr: 0.003", "  lr: 0.004")
    output = started.communicate(timeout=120)[0]
    assert started.returncode == 0, output
    assert "note: params.yaml was changed while train was at work" in output
    assert project.repro("train").stages == []
    (project.root / "params.yaml.edited").replace(project.root / "params.yaml")
    assert "lifted into conf/local/overrides.yaml: optimizer.lr=0.004" in (ran := project.repro("train")).output
    assert "train" in ran.stages


@pytest.mark.slow
def test_ctrl_c_in_the_terminal_fails_the_repro(project: Project) -> None:
    started = start(project, "dvc", "repro", "train")
    training_under_way(project, started)
    os.killpg(started.pid, signal.SIGINT)
    output = started.communicate(timeout=PATIENCE)[0]
    assert started.returncode != 0
    assert "train failed: stopped by signal 2" in output
    assert not is_done(project)


@pytest.mark.slow
def test_kill_9_of_the_stage_leaves_a_clean_rerun(project: Project) -> None:
    started = start(project, "dvc", "repro", "train")
    training_under_way(project, started).kill()
    started.communicate(timeout=PATIENCE)
    assert started.returncode != 0
    assert not is_done(project)
    assert states(project) == "['KILLED']"
    project.edit("params.yaml", "  epochs: 5000", "  epochs: 1")
    assert "train" in project.repro("train").stages
    assert is_done(project)


# DVC runs a stage by $SHELL; not every one makes way for its command
@pytest.mark.slow
@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
def test_a_second_writer_is_turned_away_and_kill_9_of_dvc_leaves_no_first_one(project: Project, shell: str) -> None:
    started = start(project, "dvc", "repro", "train", SHELL=shell)
    stage = training_under_way(project, started)
    as_dvc_does = {"DVC_STAGE": "train", "DVC_ROOT": str(project.root)}
    second = project.run("python", "-m", STAGE, "--config-dir", ".", "--config-name", "params", **as_dvc_does)
    assert second.code == 75
    assert "another process is writing the outputs of train" in second.output
    os.kill(started.pid, signal.SIGKILL)
    assert gone(stage, 60)
    started.communicate(timeout=PATIENCE)
    assert not is_done(project)
    project.edit("params.yaml", "  epochs: 5000", "  epochs: 1")
    assert "train" in project.repro("train").stages


def test_a_learning_rate_of_a_million_fails_with_its_cause(project: Project) -> None:
    project.edit("conf/optimizer/sgd.yaml", "lr: 0.02", "lr: 1000000.0")
    project.edit("conf/config.yaml", "optimizer: adamw", "optimizer: sgd")
    project.edit("conf/config.yaml", "model: cnn", "model: classic")
    ran = project.run("dvc", "repro", "train")
    assert ran.code != 0
    assert "exited with 70" in ran.output
    assert re.search(r"train failed: training diverged: the (validation )?loss .*; try optimizer\.lr=100000", ran.output)
    assert "try optimizer.lr=" in ran.output
    assert not is_done(project)
    assert states(project) == "['FAILED']"


def test_an_empty_class_fails_and_names_its_folder(project: Project) -> None:
    (project.root / "data" / "own" / "triangle").mkdir()
    (project.root / "data" / "own" / "circle" / "00.png").unlink()
    ran = project.run("dvc", "repro")
    assert ran.code != 0
    assert "exited with 65" in ran.output
    assert "fetch failed: data/own/triangle is empty" in ran.output
    (project.root / "data" / "own" / "triangle").rmdir()
    assert project.repro("resize").stages == ["fetch", "resize"]


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.mark.slow
def test_a_training_begins_without_its_server_and_its_run_appears_after_one_command_when_the_server_is_back(
    project: Project, port: int, tmp_path: Path
) -> None:
    server = f"http://127.0.0.1:{port}"
    project.edit("conf/tracking/mlflow.yaml", "uri: null", f"uri: {server}")
    project.edit("conf/training/default.yaml", "epochs: 5000", "epochs: 2")
    ran = project.ok("dvc", "repro", "evaluate", "explain")
    assert f"the MLflow store {server} can't be used" in ran.output
    assert "`python -m pipeline.command.sync` uploads it" in ran.output
    assert project.run("python", "-m", "pipeline.command.sync").code == 69
    command = ["mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    env = environment() | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{tmp_path / 'server.db'}"}
    with subprocess.Popen([sys.executable, "-m", *command], cwd=tmp_path, env=env, stderr=subprocess.DEVNULL) as away:
        wait_for(port)
        assert "synced: 3 of 3 event logs" in project.ok("python", "-m", "pipeline.command.sync").output
        assert states(project, server) == "['FINISHED']"
        assert "registered as folder version 1, the champion" in project.repro().output
        away.terminate()
