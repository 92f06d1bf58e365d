"""A training that is killed, however often and whenever, ends in the bits of one that was left alone, in one MLflow run."""

import hashlib
import os
import random
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from mlflow import MlflowClient
from mlflow.entities import Run

from tests.project import Project, draw_images, environment, small_project

pytestmark = pytest.mark.slow

KILLS = 30
EPOCHS = 24
EACH = 300  # images per class
OUTPUT = "output.txt"
SIGNALS = (signal.SIGTERM, signal.SIGKILL, signal.SIGINT)
NETWORK = """name: tested
_target_: pipeline.model.cnn.CNN
layers:
  conv1: {kind: conv, filters: 8, kernel: 3, padding: same}
  norm1: {kind: batch_norm}
  relu1: {kind: relu}
  pool1: {kind: max_pool, kernel: 2}
  dropout: {kind: dropout, rate: 0.3}
  scores: {kind: linear}
"""
LOCAL = f"""# @package _global_
defaults:
  - override /model: tested
  - override /augmentation: shift
  - override /optimizer: sgd
  - override /scheduler: warmup_cosine
training: {{epochs: {EPOCHS}, average: 0.98}}
machine: {{checkpoint: 0}}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = small_project(tmp_path_factory.mktemp("killed") / "project")
    shutil.rmtree(project.root / "data" / "own")
    draw_images(project.root / "data" / "own", EACH)
    project.write("conf/model/tested.yaml", NETWORK)
    project.write("conf/local/overrides.yaml", LOCAL)
    project.repro("resize")
    return project


def command(name: str, workers: int) -> list[str]:
    return ["python", "-m", "pipeline.stage.train", f"hydra.run.dir=runs/{name}", f"machine.workers={workers}"]


def start(project: Project, words: list[str]) -> subprocess.Popen[bytes]:
    """Start a command that says into a file what it has to say."""
    with (project.root / OUTPUT).open("wb") as said:
        return subprocess.Popen(words, cwd=project.root, env=environment(), stdout=said, stderr=subprocess.STDOUT, start_new_session=True)


def kill(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send a signal as it comes in life: Ctrl-C to all processes in the terminal, others to the one."""
    if number is signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)


def is_done(project: Project, name: str) -> bool:
    """Tell whether this training, the only one at work, has come to its end, after which the same command begins another."""
    return (project.root / "runs" / name / "bundle").exists() and not list((project.root / "checkpoints").glob("*/training.json"))


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def is_alive_after(process: subprocess.Popen[bytes], project: Project, chance: random.Random) -> bool:
    """Wait for a random number of epochs and a random part of one; tell whether the training still goes on."""
    epochs = chance.randrange(8)
    while process.poll() is None and project.read(OUTPUT).count("train loss") < epochs:
        time.sleep(0.01)
    with suppress(subprocess.TimeoutExpired):
        process.wait(chance.uniform(0, 0.4 if epochs else 4))
    return process.poll() is None


def test_thirty_kills_at_random_moments_change_no_bit_and_make_no_second_run(project: Project) -> None:
    project.ok(*command("undisturbed", 0))
    expected = digests(project.root / "runs" / "undisturbed" / "bundle")
    chance = random.Random(0)
    trainings = killed = 0
    while killed < KILLS:
        name, ends = f"training-{trainings}", []
        while (process := start(project, command(name, chance.choice((0, 1, 2))))) and is_alive_after(process, project, chance):
            kill(process, SIGNALS[killed % 3])
            ends.append(process.wait(60))
            killed += 1
            if killed >= KILLS or is_done(project, name):  # the signal came too late
                break
        if not is_done(project, name):
            project.ok(*command(name, 0))
        assert digests(project.root / "runs" / name / "bundle") == expected, ends
        trainings += 1
    project.ok("python", "-m", "pipeline.command.sync")
    runs = runs_of(project)
    assert len(runs) == trainings + 1
    histories = [history(project, run) for run in runs]
    assert all(found == histories[-1] for found in histories)
    assert {run.info.status for run in runs} == {"FINISHED"}


def runs_of(project: Project) -> list[Run]:
    client = client_of(project)
    (experiment,) = [found for found in client.search_experiments() if found.name != "Default"]
    return list(client.search_runs([experiment.experiment_id]))


def client_of(project: Project) -> MlflowClient:
    return MlflowClient(f"sqlite:///{project.root / 'mlflow.db'}")


def history(project: Project, run: Run) -> dict[str, list[tuple[int, float]]]:
    """Return each metric's points, without those of the clock and of the machine, whose steps alone count."""
    client, found = client_of(project), {}
    for name in run.data.metrics:
        points = sorted((point.step, point.value) for point in client.get_metric_history(run.info.run_id, name))
        if not name.startswith("system/"):
            timed = name in ("epoch_seconds", "images_per_second")
            found[name] = [(step, 0.0 if timed else value) for step, value in points]
    assert [step for step, _ in found["train/loss"]] == list(range(1, EPOCHS + 1))
    pictures = [file.path for file in client.list_artifacts(run.info.run_id, "images")]
    assert len([path for path in pictures if "filters~first_layer" in path and path.endswith(".png")]) == EPOCHS + 1
    return found


def test_a_killed_dvc_repro_goes_on_where_it_was(project: Project) -> None:
    project.ok(*command("expected", 0))
    process = start(project, ["dvc", "repro", "train"])
    wait_for_checkpoint(project)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    ran = project.run("dvc", "repro", "train")
    if ran.code:  # the kill hit DVC itself while it wrote one of its files
        project.ok("python", "-m", "pipeline.command.doctor")
        ran = project.repro("train")
    assert "resumes from" in ran.output
    assert digests(project.root / "bundle") == digests(project.root / "runs" / "expected" / "bundle")


def wait_for_checkpoint(project: Project) -> None:
    for _ in range(600):
        if list((project.root / "checkpoints").glob("*/epoch-*.ckpt")):
            return
        time.sleep(0.05)
    raise AssertionError("no checkpoint came")


SCRIPT = """
import sys
from pathlib import Path
import torch
from pipeline.bundle import make_network
from pipeline.config.compose import compose, parse, resolved
from pipeline.dataset.manifest import Manifest
from pipeline.training.checkpoints import Checkpoints
from pipeline.training.fit import fit
from tests.training.test_fit import Told
folder, *choices = sys.argv[1:]
cfg = parse(resolved(compose(Path("conf"), choices)))
torch.set_num_threads(cfg.training.threads)
torch.manual_seed(cfg.seed)
prepared = Path("data/prepared")
manifest = Manifest.read(prepared)
fit(cfg, make_network(cfg.model, manifest, None), manifest, prepared, Checkpoints(Path(folder), {}), Told())
"""


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "muon"])
def test_the_optimizers_state_is_that_of_a_training_left_alone(optimizer: str, project: Project) -> None:
    chance = random.Random(optimizer)
    states = []
    for name in ("alone", "killed"):
        words = ["python", "-c", SCRIPT, f"states/{optimizer}-{name}", f"optimizer={optimizer}"]
        while name == "killed" and (process := start(project, words)) and is_alive_after(process, project, chance):
            kill(process, signal.SIGKILL)
            process.wait()
        project.ok(*words)
        states.append(final_state(project.root / "states" / f"{optimizer}-{name}"))
    assert states[0] == states[1]


def final_state(folder: Path) -> Any:
    found = torch.load(folder / f"epoch-{EPOCHS:06}.ckpt", weights_only=True)
    return comparable({name: found[name] for name in ("model", "optimizer", "scheduler", "epoch", "step")})


def comparable(value: Any) -> Any:
    """Return nested values with the bytes of their tensors."""
    if isinstance(value, torch.Tensor):
        return value.dtype, tuple(value.shape), value.contiguous().numpy().tobytes()
    if isinstance(value, dict):
        return {key: comparable(found) for key, found in value.items()}
    return [comparable(found) for found in value] if isinstance(value, list | tuple) else value
