"""What a run tells arrives in MLflow: each thing once and in order, through cuts, deaths and a store that is away."""

import dataclasses
import functools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Run as MlflowRun
from PIL import Image

from pipeline.analysis.filters import colour_limit, first_layer
from pipeline.analysis.layer_table import layer_table
from pipeline.bundle import make_network, summary_of
from pipeline.command.ui import view
from pipeline.config.errors import NetworkError, Settled, Stopped
from pipeline.config.schema import Config
from pipeline.config.tree import leaves, with_order
from pipeline.dataset.manifest import Manifest
from pipeline.tracking.events import EVENTS, UPLOADER, EventLog, waiting
from pipeline.tracking.resume import resumed_run
from pipeline.tracking.run import Run, begin, tracked_training
from pipeline.tracking.store import Store
from pipeline.tracking.sync import Upload, sync_waiting
from pipeline.tracking.uploader import Throttle
from tests.project import ROOT, environment
from tests.tracking.conftest import MakeBundle

PATIENCE = 120  # seconds that a busy machine may take to import MLflow and upload a run
FILTERS = np.linspace(-1, 1, 3 * 4 * 9, dtype=np.float32).reshape(3, 4, 1, 3, 3)  # (steps, out, in, kh, kw)


def only_run(home: Path, cfg: Config) -> MlflowRun:
    """Return the one run of the store, once what waits has been uploaded, as by a following command."""
    assert sync_waiting(home) == []
    store = Store(cfg.tracking, home)
    [run] = store.client.search_runs([store.experiment])
    return run


def client(home: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{home / 'mlflow.db'}")


def pictures(home: Path, run: MlflowRun) -> dict[str, Path]:
    """Return key and step -> picture of a run."""
    folder = home / "mlruns" / "images" / run.info.run_id / "artifacts" / "images"
    return {"+".join(path.name.split("+")[:3]).replace("~", "/"): path for path in folder.glob("*.png")}


def test_a_training_is_one_finished_run_with_the_names_of_dvc_params_diff(home: Path, cfg: Config, manifest: Manifest) -> None:
    with tracked_training(cfg, manifest, home) as run:
        run.log_metrics({"train/loss": 2.0}, 1)
        run.log_metrics({"train/loss": 1.0}, 2)
    found = only_run(home, cfg)
    assert found.info.status == "FINISHED"
    assert found.data.params == {key: str(value) for key, value in leaves(with_order(dataclasses.asdict(cfg)))}
    history = client(home).get_metric_history(found.info.run_id, "train/loss")
    assert [(point.step, point.value) for point in history] == [(1, 2.0), (2, 1.0)]
    assert found.data.tags["data_digest"] == manifest.data_digest
    assert waiting(home) == []


def test_a_run_has_the_table_of_its_layers_and_the_network_as_a_figure(home: Path, cfg: Config, manifest: Manifest, begun: Run) -> None:
    make = functools.partial(make_network, cfg.model, manifest)
    summary = summary_of(make(manifest.size), make, cfg.optimizer, manifest.channels, manifest.size)
    begun.log_layers("small", summary, batch_size=4)
    begun.end("FINISHED")
    begun.events.close()
    run = only_run(home, cfg)
    folder = Path(run.info.artifact_uri)
    assert (folder / "layers.txt").read_text() == layer_table(summary, 4)
    with Image.open(folder / "network.png") as picture:
        assert picture.width > 256


def test_a_run_tells_its_data_its_packages_and_its_whole_config(home: Path, cfg: Config, manifest: Manifest, begun: Run) -> None:
    begun.log_lock()
    begun.end("FINISHED")
    begun.events.close()
    assert sync_waiting(home) == []
    run = only_run(home, cfg)
    [data] = run.inputs.dataset_inputs
    assert (data.dataset.name, data.dataset.digest) == ("mnist", manifest.data_digest[:36])
    assert json.loads(data.dataset.profile) == {"images": {"train": 12, "validation": 9, "test": 6}, "shape": [8, 8, 1]}
    files = client(home).list_artifacts(run.info.run_id)
    assert [file.path for file in files] == ["config.yaml", "dvc.lock", "packages.txt"]
    folder = home / "mlruns" / "images" / run.info.run_id / "artifacts"
    assert "\ntorch==" in (folder / "packages.txt").read_text()
    assert (folder / "dvc.lock").read_text() == (ROOT / "dvc.lock").read_text()


def test_a_network_of_many_layers_keeps_all_its_parameters_and_long_values_stay_whole(home: Path, cfg: Config, manifest: Manifest) -> None:
    cfg.model["layers"] |= {f"relu{i}": {"kind": "relu"} for i in range(250)}
    cfg.dataset.classes = [f"class number {i}" for i in range(300)]
    with tracked_training(cfg, manifest, home):
        pass
    params = only_run(home, cfg).data.params
    assert {f"model.layers.relu{i}.kind" for i in range(250)} | {"optimizer.lr", "seed"} <= params.keys()
    assert params["dataset.classes"] == str(cfg.dataset.classes)


def test_filters_are_drawn_before_training_and_after_each_epoch_on_one_scale(home: Path, cfg: Config, begun: Run) -> None:
    for step, weight in enumerate(FILTERS):
        begun.log_filters(weight, step)
    begun.end("FINISHED")
    begun.events.close()
    sync_waiting(home)
    found = pictures(home, only_run(home, cfg))
    assert sorted(found) == [f"filters/first_layer+step+{step}" for step in range(3)]
    for step, path in enumerate(found[key] for key in sorted(found)):
        when = ("before training", "after epoch 1", "after epoch 2")[step]
        assert (np.asarray(Image.open(path)) == np.asarray(first_layer(FILTERS[step], colour_limit(FILTERS[0]), when))).all()


@pytest.mark.parametrize(
    ("error", "status"),
    [(ValueError("no"), "FAILED"), pytest.param(Stopped(15), "KILLED", marks=pytest.mark.slow), (Settled("pruned"), "KILLED")],
)
def test_a_training_that_does_not_end_well_is_no_finished_run(
    error: BaseException, status: str, home: Path, cfg: Config, manifest: Manifest
) -> None:
    with pytest.raises(type(error)), tracked_training(cfg, manifest, home):
        raise error
    run = only_run(home, cfg)
    assert run.info.status == status
    assert run.data.tags.get("error") == ("no" if status == "FAILED" else None)
    assert run.data.tags.get("pruned") == ("pruned" if isinstance(error, Settled) else None)


def test_a_trial_that_fails_leaves_its_log_to_the_uploader_and_its_run_fails_all_the_same(
    home: Path, cfg: Config, manifest: Manifest
) -> None:
    with pytest.raises(ValueError, match="no"), tracked_training(cfg, manifest, home, trial="3"):
        raise ValueError("no")
    assert waiting(home)
    while waiting(home):
        time.sleep(0.1)
    assert only_run(home, cfg).info.status == "FAILED"


TRAINER = """
import sys, time
from pathlib import Path
from pipeline.config.compose import parse, read_yaml
from pipeline.dataset.manifest import Manifest
from pipeline.tracking.run import tracked_training

home, config, prepared = map(Path, sys.argv[1:])
with tracked_training(parse(read_yaml(config)), Manifest.read(prepared), home) as run:
    run.log_metrics({"train/loss": 2.0}, 1)
    print("training", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def trainer(home: Path, cfg: Config, prepared: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process in the midst of a training, whose uploader uploads at once."""
    from pipeline.config.compose import dump

    cfg.tracking.share, cfg.tracking.first_upload = 1, 0
    (tmp_path / "config.yaml").write_text(dump(dataclasses.asdict(cfg)))
    command = [sys.executable, "-c", TRAINER, str(home), str(tmp_path / "config.yaml"), str(prepared)]
    process = subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "training\n"
    yield process
    process.kill()
    process.communicate()


def comes_to_pass(is_so: Callable[[], bool]) -> bool:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if is_so():
            return True
        time.sleep(0.1)
    return False


def uploaders(home: Path) -> list[int]:
    found = subprocess.run(["pgrep", "-f", f"pipeline.tracking.uploader {home}"], capture_output=True, text=True).stdout
    return [int(line) for line in found.split()]


def test_a_training_killed_outright_is_ended_by_its_uploader(home: Path, cfg: Config, trainer: subprocess.Popen[str]) -> None:
    trainer.kill()
    assert comes_to_pass(lambda: waiting(home) == [])
    run = only_run(home, cfg)
    assert run.info.status == "KILLED"
    assert run.data.metrics["train/loss"] == 2.0


def test_a_training_killed_with_its_uploader_is_ended_by_the_next_command(home: Path, cfg: Config, trainer: subprocess.Popen[str]) -> None:
    assert comes_to_pass(lambda: (home / "mlflow.db").exists() and bool(list(home.glob("journals/*/delivered.json"))))
    for process in [trainer.pid, *uploaders(home)]:
        os.kill(process, signal.SIGKILL)
    trainer.wait()
    assert len(waiting(home)) == 1
    assert comes_to_pass(lambda: sync_waiting(home) == [])
    run = only_run(home, cfg)
    assert run.info.status == "KILLED"
    assert run.info.end_time - run.info.start_time < 30_000  # ms: it ended when it last told something, not now


def test_a_training_of_some_seconds_leaves_upload_to_an_uploader_that_goes_on_alone(home: Path, cfg: Config, manifest: Manifest) -> None:
    with tracked_training(cfg, manifest, home) as run:
        run.log_metrics({"train/loss": 2.0}, 1)
    assert len(waiting(home)) == 1
    assert comes_to_pass(lambda: waiting(home) == [])
    assert only_run(home, cfg).info.status == "FINISHED"


def test_a_failed_training_waits_until_its_run_says_so(
    home: Path, cfg: Config, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.tracking.run.PATIENCE", PATIENCE)
    with pytest.raises(ValueError, match="no"), tracked_training(cfg, manifest, home):
        raise ValueError("no")
    assert waiting(home) == []


@pytest.mark.slow
def test_an_uploader_whose_copy_of_the_code_is_gone_goes_on_with_the_project_s_own(
    home: Path, cfg: Config, begun: Run, tmp_path: Path
) -> None:
    copy, [folder] = tmp_path / "copy", waiting(home)
    for root in (copy, home):
        shutil.copytree(ROOT / "pipeline", root / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    with subprocess.Popen([sys.executable, "-m", "pipeline.tracking.uploader", folder, home], cwd=copy, env=environment()) as uploader:
        assert comes_to_pass((folder / UPLOADER).exists)
        shutil.rmtree(copy)
        begun.end("FINISHED")
        begun.events.close()
    assert uploader.returncode == 0
    assert waiting(home) == []
    assert only_run(home, cfg).info.status == "FINISHED"


def test_a_run_is_there_soon_after_its_training_has_begun_and_its_uploader_rests_for_that(
    home: Path, cfg: Config, manifest: Manifest
) -> None:
    cfg.tracking.share, cfg.tracking.first_upload = 0.001, 0
    with tracked_training(cfg, manifest, home) as run:
        run.log_metrics({"train/loss": 2.0}, 1)
        assert comes_to_pass(lambda: bool(list(home.glob("journals/*/delivered.json"))) and begun_in(home) == "RUNNING")
        run.log_metrics({"train/loss": 1.0}, 2)
        time.sleep(3)  # an uploader that did not rest would tell within a second
        [found] = client(home).search_runs(["1"])
        assert found.data.params["optimizer.lr"] == str(cfg.optimizer["lr"])
        assert found.data.metrics.get("train/loss") in (None, 2.0)
    assert comes_to_pass(lambda: waiting(home) == [])
    assert only_run(home, cfg).data.metrics["train/loss"] == 1.0


def begun_in(home: Path) -> str | None:
    """Return the state of the store's run that has its parameters; None: there is none."""
    runs = client(home).search_runs(["1"])
    return runs[0].info.status if runs and runs[0].data.params else None


def test_an_uploader_that_comes_after_another_command_has_uploaded_ends_at_once(home: Path) -> None:
    folder = home / "journals" / "gone"
    subprocess.run([sys.executable, "-m", "pipeline.tracking.uploader", folder, home], cwd=ROOT, env=environment(), check=True)
    assert waiting(home) == []


def test_the_machine_is_sampled_while_a_training_goes_on(home: Path, cfg: Config, manifest: Manifest) -> None:
    cfg.tracking.system_metrics = 0.5
    with tracked_training(cfg, manifest, home) as run:
        assert comes_to_pass(lambda: (run.events.folder / EVENTS).read_text().count("system/cpu_utilization_percentage") >= 3)
    assert comes_to_pass(lambda: waiting(home) == [])
    found = only_run(home, cfg)
    history = client(home).get_metric_history(found.info.run_id, "system/cpu_utilization_percentage")
    assert [point.step for point in history][:3] == [0, 1, 2]
    assert all(0 <= point.value <= 100 for point in history)
    assert 0 < found.data.metrics["system/system_memory_usage_percentage"] < 100


def test_an_uploaders_work_keeps_to_its_share_while_the_training_goes_on(home: Path, cfg: Config, begun: Run) -> None:
    share = 0.25
    cfg.tracking.share = share
    throttle = Throttle(begun.events.folder, dataclasses.asdict(cfg.tracking))
    start = time.monotonic()
    while time.process_time() - throttle.rested_at < 0.2:
        pass
    throttle.rest()
    assert time.monotonic() - start > 0.2 / share
    begun.events.close()
    start = time.monotonic()
    throttle.wait(10)
    assert time.monotonic() - start < 1


def test_what_a_living_training_tells_is_left_to_its_uploader(home: Path, begun: Run) -> None:
    assert sync_waiting(home) == []
    [folder] = waiting(home)
    assert not (folder / "delivered.json").exists()


def test_a_cut_upload_goes_on_where_it_stopped(home: Path, cfg: Config, begun: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for step in range(1, 5):
        begun.log_metrics({"train/loss": 1 / step}, step)
    begun.end("FINISHED")
    begun.events.close()
    taken: list[object] = []
    log_batch = MlflowClient.log_batch

    def until_third(self: MlflowClient, run_id: str, **told: Any) -> None:
        if "metrics" in told and len(taken) == 3:
            raise ConnectionError("the server went away")
        taken.extend(told.get("metrics", []))
        log_batch(self, run_id, **told)

    monkeypatch.setattr(MlflowClient, "log_batch", until_third)
    [folder] = waiting(home)
    with pytest.raises(NetworkError, match="the MLflow store can't be used: the server went away"):
        Upload(folder, home).catch_up()
    monkeypatch.setattr(MlflowClient, "log_batch", log_batch)
    assert Upload(folder, home).catch_up()
    run = only_run(home, cfg)
    points = client(home).get_metric_history(run.info.run_id, "train/loss")
    assert [point.step for point in points] == [1, 2, 3, 4]
    assert run.info.status == "FINISHED"


def test_a_upload_that_is_cut_within_an_event_does_not_repeat_what_has_arrived_of_it(
    home: Path, begun: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    begun.log_image("a", tmp_path / "a.png", 0)
    begun.end("FINISHED")
    begun.events.close()
    stored: list[str] = []
    log_batch, log_artifact = MlflowClient.log_batch, MlflowClient.log_artifact

    def away_for_tags(self: MlflowClient, run_id: str, **told: Any) -> None:
        if any(tag.key == "mlflow.loggedImages" for tag in told.get("tags", [])):
            raise ConnectionError("the server went away")
        log_batch(self, run_id, **told)

    def counted(self: MlflowClient, run_id: str, file: str, place: str | None) -> None:
        stored.extend([Path(file).name] * (place == "images"))
        log_artifact(self, run_id, file, place)

    monkeypatch.setattr(MlflowClient, "log_artifact", counted)
    [folder] = waiting(home)
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_batch", away_for_tags)
        with pytest.raises(NetworkError, match="the server went away"):
            Upload(folder, home).catch_up()
    assert Upload(folder, home).catch_up()
    assert len(stored) == len(set(stored)) == 2  # the picture and its thumbnail


def test_a_store_that_is_away_costs_a_training_nothing_and_gets_the_run_later(
    home: Path, cfg: Config, manifest: Manifest, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        cfg.tracking.uri = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        start = time.monotonic()
        with tracked_training(cfg, manifest, home) as run:
            assert time.monotonic() - start < 10
            run.log_metrics({"train/loss": 2.0}, 1)
        [folder] = waiting(home)
        assert comes_to_pass(lambda: not uploaders(home))
    said = capfd.readouterr().err
    assert f"the MLflow store {cfg.tracking.uri} can't be used" in said
    assert f"What MLflow lacks waits in journals/{folder.name}; `python -m pipeline.command.sync` uploads it" in said


def test_a_bundles_run_is_found_again_and_made_where_the_store_has_none(home: Path, cfg: Config, trained: MakeBundle) -> None:
    bundle = trained(1.0)
    for step in (1, 2):
        with resumed_run(cfg, bundle, home) as run:
            run.log_metrics({"test/loss": 0.5}, step)
    found = only_run(home, cfg)
    assert (found.info.status, found.data.tags["restored"], found.data.metrics["validation/loss"]) == ("FINISHED", "true", 1.0)
    assert sorted(pictures(home, found)) == ["filters/first_layer+step+0", "filters/first_layer+step+1"]
    assert [point.step for point in client(home).get_metric_history(found.info.run_id, "test/loss")] == [1, 2]
    assert len(client(home).get_metric_history(found.info.run_id, "validation/loss")) == 1


def test_the_table_of_runs_has_the_kept_network_s_figures_beside_those_of_the_last_epoch(
    home: Path, cfg: Config, trained: MakeBundle
) -> None:
    worse = {"epoch": 2.0, "validation/loss": 3.0, "validation/accuracy": 0.25}
    bundle = trained(1.0)
    with resumed_run(cfg, dataclasses.replace(bundle, history=[*bundle.history, worse]), home):
        pass
    metrics = only_run(home, cfg).data.metrics
    assert (metrics["validation/loss"], metrics["validation/accuracy"]) == (3.0, 0.25)
    assert (metrics["best/validation/loss"], metrics["best/validation/accuracy"]) == (1.0, 0.5)
    assert "metrics.`best/validation/loss`" in view([])["selectedColumns"]


def test_what_is_told_of_a_run_waits_for_it_where_its_uploader_takes_long(
    home: Path, cfg: Config, begun: Run, trained: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = trained(1.0)
    begun.tag(bundle=bundle.digest)
    begun.end("FINISHED")
    begun.events.close()
    monkeypatch.setattr("pipeline.tracking.sync.PATIENCE", 0.1)
    with FileLock(begun.events.folder / UPLOADER), resumed_run(cfg, bundle, home) as run:
        run.log_metrics({"test/loss": 0.5}, 1)
    found = only_run(home, cfg)
    assert "restored" not in found.data.tags
    assert found.data.metrics["test/loss"] == 0.5


def test_what_a_run_has_already_is_not_told_twice(home: Path, cfg: Config, trained: MakeBundle) -> None:
    bundle = trained(1.0)
    for value in (0.5, 0.7):
        with resumed_run(cfg, bundle, home) as run, run.unless_tagged("evaluated"):
            run.log_metrics({"test/loss": value}, 1)
            run.tag(evaluated="true")
    assert only_run(home, cfg).data.metrics["test/loss"] == 0.5


def test_an_experiment_that_dvc_took_from_its_cache_has_a_run_of_its_own(
    home: Path, cfg: Config, trained: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = trained(1.0)
    for name in ("grid-1", "grid-2", "grid-2"):
        monkeypatch.setenv("DVC_EXP_NAME", name)
        with resumed_run(cfg, bundle, home):
            pass
    store = Store(cfg.tracking, home)
    assert sorted(run.info.run_name for run in store.client.search_runs([store.experiment])) == ["grid-1", "grid-2"]


def test_an_uploader_of_one_experiment_adds_what_another_tells_to_the_others_run(
    home: Path, cfg: Config, manifest: Manifest, trained: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = trained(1.0)
    monkeypatch.setenv("DVC_EXP_NAME", "grid-1")
    run = Run(EventLog(home))
    begin(run, dataclasses.asdict(cfg), manifest)
    run.tag(bundle=bundle.digest)
    run.end("FINISHED")
    with resumed_run(cfg, bundle, home) as addition:
        addition.log_metrics({"test/loss": 0.5}, 1)
    run.events.close()
    monkeypatch.setenv("DVC_EXP_NAME", "grid-2")
    assert only_run(home, cfg).data.metrics["test/loss"] == 0.5


def test_a_log_that_an_uploader_finishes_meanwhile_is_no_error(home: Path, begun: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    begun.end("FINISHED")
    begun.events.close()
    folders = waiting(home)
    assert sync_waiting(home) == []
    monkeypatch.setattr("pipeline.tracking.sync.waiting", lambda _: folders)
    assert sync_waiting(home) == []
    assert waiting(home) == []


def ended(home: Path, cfg: Config, manifest: Manifest) -> Path:
    """Write the log of a training that has ended; return its folder."""
    run = Run(EventLog(home))
    begin(run, dataclasses.asdict(cfg), manifest)
    run.end("FINISHED")
    run.events.close()
    return run.events.folder


def test_a_run_of_a_store_that_a_variable_named_waits_where_that_is_not_set(
    home: Path, cfg: Config, manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = f"sqlite:///{shutil.copy(home / 'mlflow.db', tmp_path / 'shared.db')}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", shared)
    folder = ended(home, cfg, manifest)
    assert "shared.db" not in (folder / EVENTS).read_text()  # an address may hold a password
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    [note] = sync_waiting(home)
    assert "this run's store was named by MLFLOW_TRACKING_URI, which is not set here; set it and repeat" in note
    assert waiting(home) == [folder]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", shared)
    assert only_run(home, cfg).info.status == "FINISHED"
    assert runs_in(f"sqlite:///{home / 'mlflow.db'}") == 0


def test_a_run_of_the_project_s_own_store_goes_there_whatever_a_variable_names(
    home: Path, cfg: Config, manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    ended(home, cfg, manifest)
    shared = f"sqlite:///{shutil.copy(home / 'mlflow.db', tmp_path / 'shared.db')}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", shared)
    assert sync_waiting(home) == []
    assert (runs_in(f"sqlite:///{home / 'mlflow.db'}"), runs_in(shared)) == (1, 0)


def runs_in(uri: str) -> int:
    store = MlflowClient(uri, uri)
    return len(store.search_runs([experiment.experiment_id for experiment in store.search_experiments()]))


def test_a_log_of_another_version_of_the_config_arrives(home: Path, cfg: Config, manifest: Manifest) -> None:
    folder = ended(home, cfg, manifest)
    first, *others = (folder / EVENTS).read_text().split("\n\n")
    opening = json.loads(first)
    opening["tracking"] = {"retired": 1, **{key: value for key, value in opening["tracking"].items() if key != "wait"}}
    (folder / EVENTS).write_text("\n\n".join([json.dumps(opening), *others]))
    assert only_run(home, cfg).info.status == "FINISHED"
