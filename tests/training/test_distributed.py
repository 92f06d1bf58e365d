"""A training on two devices, here two processes of the processor, is the training on one; and none of them outlives another."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import torch
from mlflow.entities import Run
from safetensors.torch import load_file

from pipeline.config.errors import ConfigError, DivergedError, RankError, Stopped
from pipeline.config.paths import Places
from pipeline.training.distributed import FIRST_FAILURE, rank_failures
from pipeline.training.fit import launch_fabric
from pipeline.training.launch import launch
from tests.conftest import MakeConfig
from tests.project import ROOT, Project, draw_images, environment, gone, small_project
from tests.tracking.proxy import free_port
from tests.training.ranks import FAULT, fail_as_rank_1, tell_rank
from tests.training.test_killed import client_of, digests, kill, runs_of, start

EACH = 100  # images per class, of which 175 train
EPOCHS = 6
LAYERS = """name: {name}
_target_: pipeline.model.cnn.CNN
layers:
  conv1: {{kind: conv, filters: 8, kernel: 3, padding: same}}
  {norm}
  relu1: {{kind: relu}}
  pool1: {{kind: max_pool, kernel: 2}}
  {dropout}
  scores: {{kind: linear}}
"""
LOCAL = f"""# @package _global_
defaults:
  - override /model: plain
  - override /augmentation: shift
  - override /optimizer: sgd
  - override /scheduler: warmup_cosine
training: {{epochs: {EPOCHS}, batch_size: 32}}
machine: {{checkpoint: 0}}
"""
LONG = ("training.epochs=80", "model=hard", "training.average=0.98")  # long enough to be killed in it


def network(name: str, norm: str = "", dropout: str = "") -> str:
    return "\n".join(line for line in LAYERS.format(name=name, norm=norm, dropout=dropout).splitlines() if line.strip()) + "\n"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = small_project(tmp_path_factory.mktemp("distributed") / "project")
    shutil.rmtree(project.root / "data" / "own")
    draw_images(project.root / "data" / "own", EACH)
    project.write("conf/model/plain.yaml", network("plain"))
    project.write("conf/model/hard.yaml", network("hard", "norm1: {kind: batch_norm}", "dropout: {kind: dropout, rate: 0.3}"))
    project.write("conf/local/overrides.yaml", LOCAL)
    project.repro("resize")
    return project


@pytest.fixture(scope="module")
def undisturbed(project: Project) -> dict[str, str]:
    """The bytes of the long training's bundle, by two processes that nobody disturbs."""
    project.ok(*command("undisturbed", "training=ddp", *LONG))
    return digests(project.root / "runs" / "undisturbed" / "bundle")


def command(name: str, *overrides: str) -> list[str]:
    return ["python", "-m", "pipeline.stage.train", f"hydra.run.dir=runs/{name}", *overrides]


def history(project: Project, name: str) -> list[dict[str, float]]:
    with (project.root / "runs" / name / "bundle" / "history.csv").open() as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def run_of(project: Project, seed: int) -> Run:
    """Return the one MLflow run of the training with this seed."""
    project.ok("python", "-m", "pipeline.command.sync")
    (run,) = [run for run in runs_of(project) if run.data.params["seed"] == str(seed)]
    return run


def last_state(project: Project) -> str:
    """Return the state of the run that was begun last."""
    project.ok("python", "-m", "pipeline.command.sync")
    return str(runs_of(project)[0].info.status)


def ranks_of(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Return the processes of both ranks, as soon as there are two."""
    for _ in range(1200):
        started = [child for child in psutil.Process(process.pid).children() if "--multiprocessing-fork" in child.cmdline()]
        if len(started) == 2:
            return sorted(started, key=lambda child: child.pid)
        time.sleep(0.05)
    raise AssertionError("no two processes came")


def wait_for_epoch(project: Project, epoch: int) -> None:
    for _ in range(1200):
        if any(int(path.stem[-6:]) >= epoch for path in (project.root / "checkpoints").glob("*/epoch-*.ckpt")):
            return
        time.sleep(0.05)
    raise AssertionError(f"no checkpoint of epoch {epoch} came: {project.read('output.txt')}")


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "parts", "parts_of_two"), [(11, 1, 1), (12, 2, 29)])
def test_two_processes_learn_what_one_does(seed: int, parts: int, parts_of_two: int, project: Project) -> None:
    # Batches of 58: of 175 images one is left over by one process too, while of an odd rest two processes would leave out one.
    chosen = (f"seed={seed}", "training.batch_size=58")
    project.ok(*command(f"alone-{seed}", *chosen, f"training.accumulate={parts}"))
    project.ok(*command(f"both-{seed}", *chosen, f"training.accumulate={parts_of_two}", "training=ddp"))
    expected, found = history(project, f"alone-{seed}"), history(project, f"both-{seed}")
    assert len(found) == EPOCHS
    for row, other in zip(expected, found, strict=True):
        assert other == {key: pytest.approx(value, abs=1e-4) for key, value in row.items()}
    assert expected[-1]["train/loss"] < 0.8 * expected[0]["train/loss"]
    of_one, of_two = (load_file(project.root / "runs" / f"{how}-{seed}" / "bundle" / "weights.safetensors") for how in ("alone", "both"))
    assert all((of_one[name] - of_two[name]).abs().max() < 1e-4 for name in of_one)


RANK = """
import sys, torch
from pipeline.training.losses import loss_weight
from pipeline.training.distributed import rank_loss_scale
rank, place = int(sys.argv[1]), sys.argv[2]
torch.distributed.init_process_group("gloo", f"file://{place}", rank=rank, world_size=2)
torch.manual_seed(0)
scores, labels = torch.randn(8, 3).split(4)[rank], torch.tensor([0, 0, 1, 0, 2, 2, 1, 2]).split(4)[rank]
loss = torch.nn.CrossEntropyLoss(torch.tensor([0.2, 1.0, 5.0]))
of_rank = loss(scores, labels) * rank_loss_scale(loss_weight(loss, labels))
torch.distributed.all_reduce(of_rank)
print(of_rank.item() / 2)
"""


@pytest.mark.slow
def test_where_classes_have_weights_the_loss_is_the_mean_over_the_images_of_all_processes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    scores, labels = torch.randn(8, 3), torch.tensor([0, 0, 1, 0, 2, 2, 1, 2])
    expected = torch.nn.CrossEntropyLoss(torch.tensor([0.2, 1.0, 5.0]))(scores, labels).item()
    words = [[sys.executable, "-c", RANK, str(rank), str(tmp_path / "meeting")] for rank in (0, 1)]
    processes = [subprocess.Popen(rank, cwd=ROOT, stdout=subprocess.PIPE, text=True) for rank in words]
    assert [float(process.communicate(timeout=60)[0]) for process in processes] == pytest.approx([expected] * 2, rel=1e-5)


@pytest.mark.slow
def test_two_processes_are_one_training_with_one_run_one_folder_and_one_voice(project: Project) -> None:
    said = project.ok(*command("one", "training=ddp", "seed=20")).output
    assert [said.count(f"epoch {epoch:3}/{EPOCHS}") for epoch in range(1, EPOCHS + 1)] == [1] * EPOCHS
    assert said.count("parameters, all trained") == said.count("the network is in") == 1
    assert "Lightning" not in said
    assert "rank" not in said.lower()
    run = run_of(project, 20)
    assert run.info.status == "FINISHED"
    told = client_of(project).get_metric_history(run.info.run_id, "train/loss")
    assert [point.step for point in told] == list(range(1, EPOCHS + 1))
    assert sorted(path.name for path in (project.root / "runs" / "one").glob("[!.]*")) == ["bundle", "config.yaml"]
    assert not [path for path in (project.root / "checkpoints").iterdir() if path.is_dir()]


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["torchrun", "slurm", "machines"])
def test_processes_that_were_started_from_outside_are_the_same_training(
    launcher: str, project: Project, undisturbed: dict[str, str]
) -> None:
    name = f"by-{launcher}"
    words = command(name, "training=ddp", *LONG)
    if launcher == "torchrun":
        project.ok("torchrun", "--nproc-per-node", "2", *words[1:])
    elif launcher == "machines":
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
        machines = [environment() | meeting | {"NODE_RANK": str(node)} for node in (0, 1)]
        words += ["training.devices=1", "training.nodes=2"]
        processes = [subprocess.Popen(words, cwd=project.root, env=machine) for machine in machines]
        assert [process.wait(120) for process in processes] == [0, 0]
    else:
        slurm = {"SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2", "SLURM_JOB_ID": "77", "SLURM_JOB_NAME": "train"}
        slurm |= {"SLURM_NODELIST": "127.0.0.1", "SLURM_NODEID": "0", "SLURM_NNODES": "1"}
        ranks = [environment() | slurm | {"SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank)} for rank in (0, 1)]
        processes = [subprocess.Popen(words, cwd=project.root, env=rank) for rank in ranks]
        assert [process.wait(120) for process in processes] == [0, 0]
    found = digests(project.root / "runs" / name / "bundle")
    if launcher == "machines":  # its bundle.json holds other training.devices and nodes
        found["bundle.json"] = undisturbed["bundle.json"]
    assert found == undisturbed


@pytest.mark.slow
def test_helpers_that_torchrun_starts_leave_no_folder(project: Project) -> None:
    before = set((project.root / "runs").iterdir())
    project.ok("torchrun", "--nproc-per-node", "2", "-m", "pipeline.stage.train", "training=ddp", "training.epochs=1", "seed=21")
    (folder,) = set((project.root / "runs").iterdir()) - before
    assert (folder / "bundle").is_dir()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("victim", "number", "code", "said", "state"),
    [
        ("rank-1", signal.SIGKILL, 137, "rank 1 of this training's 2 processes was killed by SIGKILL", "FAILED"),
        ("rank-1", signal.SIGTERM, 143, "rank 1 of this training's 2 processes ended with exit code 143", "FAILED"),
        ("rank-0", signal.SIGKILL, 137, "rank 0 of this training's 2 processes was killed by SIGKILL", "KILLED"),
        ("command", signal.SIGKILL, -9, "", "KILLED"),
        ("command", signal.SIGTERM, 143, "stopped by signal 15", "KILLED"),
        ("all", signal.SIGINT, 130, "stopped by signal 2", "KILLED"),
    ],
)
def test_a_process_that_ends_takes_the_others_with_it_and_the_same_command_goes_on(
    victim: str, number: signal.Signals, code: int, said: str, state: str, project: Project, undisturbed: dict[str, str]
) -> None:
    name = f"{victim}-{number.name}"
    words = command(name, "training=ddp", *LONG)
    shutil.rmtree(project.root / "checkpoints", ignore_errors=True)  # of one that failed before
    process = start(project, words)
    ranks = ranks_of(process)
    wait_for_epoch(project, 5)
    if victim.startswith("rank"):
        ranks[int(victim[-1])].send_signal(number)
    else:
        kill(process, number)
    assert process.wait(60) == code, project.read("output.txt")
    if said:
        told = [line for line in project.read("output.txt").splitlines() if not line.startswith("epoch")][-1]
        assert told.startswith(f"train failed: {said}")
        assert "; the same command resumes " in told
        assert project.read("output.txt").count("failed") == 1
        assert "Traceback" not in project.read("output.txt")
    assert all(gone(rank, 30) for rank in ranks)
    assert last_state(project) == state
    again = project.ok(*words)
    assert "resumes from" in again.output
    assert digests(project.root / "runs" / name / "bundle") == undisturbed
    assert last_state(project) == "FINISHED"


@pytest.mark.slow
def test_a_helper_that_dies_before_they_have_met_ends_the_training_too(project: Project) -> None:
    process = start(project, command("early", "training=ddp", "seed=22"))
    ranks_of(process)[1].kill()
    assert process.wait(60) == 137, project.read("output.txt")
    assert "train failed: rank 1 of this training's 2 processes was killed by SIGKILL" in project.read("output.txt")
    project.ok("python", "-m", "pipeline.command.sync")  # rank 0 may not have begun a run yet
    assert {run.info.status for run in runs_of(project) if run.data.params["seed"] == "22"} <= {"FAILED"}


@pytest.mark.slow
def test_a_checkpoint_that_has_no_room_makes_no_process_wait_for_ever(project: Project) -> None:
    most = 200_000  # bytes of a file: a checkpoint of this network has more, nothing else has that training writes itself
    words = command("full", "training=ddp", "training.epochs=2", "model=cnn", "seed=26")
    ran = project.run("prlimit", f"--fsize={most}", *words, timeout=120)
    assert ran.code == 0, ran.output
    assert [ran.output.count(f"note: no checkpoint after epoch {epoch}: File too large") for epoch in (1, 2)] == [1, 1]


@pytest.mark.slow
def test_each_training_of_a_sweep_has_helpers_of_its_own(project: Project) -> None:
    words = ["hydra.sweep.dir=runs/sweep", "training=ddp", "training.epochs=2", "seed=23,24"]
    project.ok("python", "-m", "pipeline.stage.train", "-m", *words)
    bundles = [digests(project.root / "runs" / "sweep" / job / "bundle")["weights.safetensors"] for job in ("0", "1")]
    assert bundles[0] != bundles[1]


@pytest.mark.slow
def test_a_budget_ends_both_processes_at_the_same_step(project: Project) -> None:
    project.ok(*command("budget", "training=ddp", "training.budget=6s", "seed=25"))
    rates = [row["learning_rate"] for row in history(project, "budget")]
    assert rates[-1] < max(rates) / 4


@pytest.mark.slow
def test_both_processes_validate_with_what_the_batch_norms_of_the_first_have_measured(project: Project) -> None:
    said = project.ok(*command("norms", "training=ddp", "model=hard", "seed=27")).output
    assert said.count("note: each process's batch norm measures its own images only") == 1
    project.ok("python", "-m", "pipeline.stage.evaluate", "hydra.run.dir=runs/norms")
    told = json.loads(project.read("runs/norms/bundle/bundle.json"))["validation"]["validation/loss"]
    assert told == pytest.approx(json.loads(project.read("runs/norms/reports/metrics.json"))["validation"]["loss"], abs=2e-6)


@pytest.mark.slow
def test_dvc_repro_trains_on_two_devices(project: Project) -> None:
    project.write("conf/local/overrides.yaml", LOCAL.replace("defaults:", "defaults:\n  - override /training: ddp"))
    try:
        assert project.repro("train").output.count("epoch   1/") == 1
    finally:
        project.write("conf/local/overrides.yaml", LOCAL)
    assert (project.root / "bundle" / "weights.safetensors").exists()


LOST = RuntimeError("[../third_party/gloo/gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:1234")
DEATH = {"what": "rank 1 of this training's 2 processes was killed by SIGKILL", "exit_code": 137}


@pytest.fixture
def as_rank(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let this process be one of several ranks, and as before afterwards."""
    handler = signal.getsignal(signal.SIGTERM)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    yield
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture
def death(as_rank: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "first_failure.json").write_text(json.dumps(DEATH))
    monkeypatch.setenv(FIRST_FAILURE, str(tmp_path / "first_failure.json"))


@pytest.mark.parametrize("consequence", [LOST, Stopped(signal.SIGTERM)])
@pytest.mark.usefixtures("death")
def test_what_the_death_of_another_rank_causes_is_told_as_that(consequence: BaseException, config: MakeConfig) -> None:
    with pytest.raises(RankError, match=r"^rank 1 of .* 2 processes was killed by SIGKILL; the same command resumes") as caught:
        fail_in_a_rank(consequence, config)
    assert caught.value.exit_code == 137


def stop(number: int, _: object) -> None:
    raise Stopped(number)


@pytest.mark.usefixtures("as_rank")
def test_torchruns_signal_does_not_hide_the_death_for_which_a_rank_is_looking(
    config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FIRST_FAILURE, str(tmp_path / "first_failure.json"))
    signal.signal(signal.SIGTERM, stop)

    def end_all() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.1)
        (tmp_path / "first_failure.json").write_text(json.dumps(DEATH))

    agent = threading.Timer(0.2, end_all)
    with pytest.raises(RankError, match="was killed by SIGKILL"):
        fail_in_a_rank(LOST, config, agent.start)
    agent.join()


@pytest.mark.usefixtures("as_rank")
def test_a_connection_that_is_lost_to_a_rank_which_another_has_started_is_told_as_such(config: MakeConfig) -> None:
    with pytest.raises(RankError, match=r"^rank 0 lost its connection to the others of this training's 2 processes: one has ended; the"):
        fail_in_a_rank(LOST, config)


@pytest.mark.parametrize("error", [DivergedError("training diverged"), RuntimeError("a size does not fit"), ValueError()])
@pytest.mark.usefixtures("death")
def test_what_went_wrong_here_is_not_blamed_on_another(error: BaseException, config: MakeConfig) -> None:
    with pytest.raises(type(error)) as caught:
        fail_in_a_rank(error, config)
    assert caught.value is error


@pytest.mark.usefixtures("as_rank")
def test_a_signal_without_a_death_is_a_signal(config: MakeConfig) -> None:
    with pytest.raises(Stopped):
        fail_in_a_rank(Stopped(signal.SIGTERM), config)


def fail_in_a_rank(error: BaseException, config: MakeConfig, first: Callable[[], None] = lambda: None) -> None:
    """Raise an error in a rank. first: what happens just before."""
    training = config("training=ddp").training
    with rank_failures(training, pytest.fail):
        first()
        raise error


BLOCKED = """
import sys, time
from pathlib import Path
from pipeline.config.schema import Training
from pipeline.training import distributed
distributed.STUCK = 0.1
training = type("", (), {"devices": 2, "nodes": 1, "threads": 1})
with distributed.rank_failures(training, print):
    time.sleep(60)
"""


def test_a_rank_that_is_blocked_when_another_dies_tells_the_reason_and_ends(tmp_path: Path) -> None:
    (tmp_path / "note").write_text(json.dumps(DEATH))
    variables = os.environ | {FIRST_FAILURE: str(tmp_path / "note")}
    done = subprocess.run(
        [sys.executable, "-uc", BLOCKED], cwd=ROOT, env=variables, capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 137
    assert done.stdout.startswith(DEATH["what"])


@pytest.mark.slow
def test_the_command_returns_what_rank_0_returns_and_rank_0_alone_prints(config: MakeConfig, capfd: pytest.CaptureFixture[str]) -> None:
    handler = signal.getsignal(signal.SIGTERM)
    assert launch(tell_rank, config("training=ddp"), Places(None)) == 7
    assert capfd.readouterr() == ("rank 0\n", "")
    assert signal.getsignal(signal.SIGTERM) is handler


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "words", "exit_code"),
    [
        ("error", "failed: an image is missing; the same command resumes", 65),
        ("SIGKILL", "was killed by SIGKILL, as happens when memory runs out; the same command resumes", 137),
        ("SIGSEGV", "was killed by SIGSEGV; the same command resumes", 139),
        ("report", "was killed by SIGKILL, as happens when memory runs out; the same command resumes", 137),
    ],
)
def test_a_rank_that_dies_ends_the_others_and_is_named_in_one_line(
    fault: str, words: str, exit_code: int, config: MakeConfig, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(FAULT, fault)
    with pytest.raises(RankError) as caught:
        launch(fail_as_rank_1, config("training=ddp"), Places(None))
    assert str(caught.value).startswith(f"rank 1 of this training's 2 processes {words}")
    assert caught.value.exit_code == exit_code
    assert capfd.readouterr().out == ""


def test_further_machines_without_an_address_are_refused_with_what_to_type(config: MakeConfig) -> None:
    with pytest.raises(ConfigError, match=r"training.nodes is 2: start this command on each machine by srun, or by torchrun --nnodes 2"):
        launch(tell_rank, config("training=ddp", "training.nodes=2"), Places(None))


def test_a_machine_with_fewer_gpus_says_how_many_it_has(config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ConfigError, match=r"training\.devices is 2, but this machine has 1 GPU\(s\); set it no higher"):
        launch_fabric(config("training=ddp").training)
