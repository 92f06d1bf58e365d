"""A server that fails at any call loses no run, leaves none without a part or an end, and makes nothing twice."""

import dataclasses
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from PIL import Image

from pipeline.config.schema import Config
from pipeline.dataset.manifest import Manifest
from pipeline.tracking.events import EventLog, waiting
from pipeline.tracking.run import Run, begin
from pipeline.tracking.sync import sync_waiting
from tests.project import ROOT, environment
from tests.tracking.proxy import Harm, Proxy, mlflow_server, proxy_of

pytestmark = pytest.mark.slow

RETRIES = 1  # of MLflow's client, so that a call is harmed twice before it gives up


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with mlflow_server(tmp_path_factory.mktemp("server")) as server, proxy_of(server) as proxy:
        yield proxy


Tell = Callable[[str], None]


@pytest.fixture
def tell(proxy: Proxy, home: Path, cfg: Config, manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tell:
    """Leaves the log of a whole training, whose runs go to the experiment of this name."""
    for name, value in {"MAX_RETRIES": RETRIES, "BACKOFF_FACTOR": 0, "BACKOFF_JITTER": 0}.items():
        monkeypatch.setenv(f"MLFLOW_HTTP_REQUEST_{name}", str(value))
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    cfg.tracking.uri = proxy.url

    def tell(experiment: str) -> None:
        cfg.tracking.experiment = experiment
        run = Run(EventLog(home))
        begin(run, dataclasses.asdict(cfg), manifest)
        run.log_metrics({"train/loss": 1.0}, 1)
        run.log_image("a", tmp_path / "a.png", 0)
        run.tag(bundle="b" * 64)
        run.end("FINISHED")
        run.events.close()

    return tell


def assert_whole(server: str, experiment: str, home: Path) -> None:
    """Check that the experiment has one run, with all that was told of it, once."""
    client = MlflowClient(server, server)
    found = client.get_experiment_by_name(experiment)
    assert found
    [run] = client.search_runs([found.experiment_id])
    assert run.info.status == "FINISHED"
    assert len(run.data.params) > 30
    assert run.data.tags["bundle"] == "b" * 64
    assert "not_delivered" not in run.data.tags
    assert [point.step for point in client.get_metric_history(run.info.run_id, "train/loss")] == [1]
    assert len(run.inputs.dataset_inputs) == 1
    artifacts = [file.path for file in client.list_artifacts(run.info.run_id)]
    assert artifacts == ["config.yaml", "images", "packages.txt"]
    assert len(client.list_artifacts(run.info.run_id, "images")) == 2  # the picture, and a small one
    assert waiting(home) == []


def calls_of(proxy: Proxy, home: Path, tell: Tell) -> int:
    """Return how many calls an undisturbed upload takes."""
    proxy.heal()
    proxy.calls.clear()
    tell(f"undisturbed in {home.parent.name}")
    assert sync_waiting(home) == []
    calls = len(proxy.calls)
    assert_whole(f"http://{proxy.server}", f"undisturbed in {home.parent.name}", home)
    return calls


# With the calls that are harmed, every nth: what is DROPPED is a kind of AWAY, and a PAGE is looked at by one function.
HARMS = [pytest.param(Harm.AWAY, 1, id="AWAY"), pytest.param(Harm.LOST, 1, id="LOST")]
HARMS += [pytest.param(Harm.DROPPED, 4, id="DROPPED"), pytest.param(Harm.PAGE, 4, id="PAGE")]


@pytest.mark.parametrize(("harm", "step"), HARMS)
def test_a_server_that_fails_at_any_call(
    harm: Harm, step: int, proxy: Proxy, home: Path, tell: Tell, capfd: pytest.CaptureFixture[str]
) -> None:
    for number in range(0, calls_of(proxy, home, tell), step):
        experiment = f"{harm.name} at {number}"
        tell(experiment)
        proxy.harming(number, harm, RETRIES + 1)
        notes = sync_waiting(home)
        proxy.heal()
        assert len(notes) <= 1, (experiment, notes)
        assert all(note.startswith("note: the MLflow store") and "\n" not in note for note in notes), (experiment, notes)
        assert sync_waiting(home) == []
        assert_whole(f"http://{proxy.server}", experiment, home)
        said = capfd.readouterr().err.splitlines()
        assert all(line.startswith("note: MLflow had no experiment ") for line in said), (experiment, said)


SYNCING = """
import os, sys
from pathlib import Path
from pipeline.tracking.sync import sync_waiting

for line in sys.stdin:
    child = os.fork()  # at once: to import MLflow takes seconds
    if not child:
        sync_waiting(Path(line.strip()))
        os._exit(0)
    print(child, flush=True)
    os.waitpid(child, 0)
    print("gone", flush=True)
"""


@pytest.fixture
def syncing(tell: Tell) -> Iterator[subprocess.Popen[str]]:
    """A process that makes another one for each root of a project that it reads, which uploads; writes its id, and when it is gone."""
    settings = {name: value for name, value in os.environ.items() if name.startswith("MLFLOW_HTTP")}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", SYNCING], cwd=ROOT, env=environment() | settings, **pipes) as process:
        yield process
        process.stdin.close()


def test_a_upload_that_is_killed_at_any_call(proxy: Proxy, home: Path, tell: Tell, syncing: subprocess.Popen[str]) -> None:
    for number in range(calls_of(proxy, home, tell)):
        experiment = f"killed at {number}"
        tell(experiment)
        begun, child = threading.Event(), []

        def kill(now: int, _: str, number: int = number, begun: threading.Event = begun, child: list[int] = child) -> Harm | None:
            if now < number:
                return None
            begun.wait()
            os.kill(child[0], signal.SIGKILL)
            return Harm.LOST  # the server does it; nobody notes that

        proxy.calls.clear()
        proxy.harm = kill
        print(home, file=syncing.stdin, flush=True)
        child.append(int(syncing.stdout.readline()))
        begun.set()
        assert syncing.stdout.readline() == "gone\n"
        proxy.heal()
        assert sync_waiting(home) == []
        assert_whole(f"http://{proxy.server}", experiment, home)
