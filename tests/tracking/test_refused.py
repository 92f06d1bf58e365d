"""What MLflow does not take keeps nothing else from arriving: it stays on disk, in a line, and the run's end is true."""

import dataclasses
import errno
import json
import math
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run as MlflowRun
from PIL import Image

from pipeline.config.errors import NetworkError
from pipeline.config.schema import Config
from pipeline.dataset.manifest import Manifest
from pipeline.tracking.comparison import differing, listed
from pipeline.tracking.events import EVENTS, REFUSED, EventLog, Reader, refused, waiting
from pipeline.tracking.mlflow_writer import key_of
from pipeline.tracking.run import Run, begin
from pipeline.tracking.store import Store
from pipeline.tracking.sync import Upload, sync_refused, sync_waiting

Tell = Callable[[Run], None]
Told = Callable[..., Path]


@pytest.fixture
def told(home: Path, cfg: Config, manifest: Manifest) -> Told:
    """Writes the log of a training that said this between its beginning and its end; returns its folder."""

    def told(*says: Tell, end: str | None = "FINISHED", **tags: str) -> Path:
        run = Run(EventLog(home))
        begin(run, dataclasses.asdict(cfg), manifest, **tags)
        for say in says:
            say(run)
        if end:
            run.end(end)
        run.events.close()
        return run.events.folder

    return told


def loss(step: int, value: float = 1.0) -> Tell:
    return lambda run: run.log_metrics({"train/loss": value}, step)


def the_run(home: Path, cfg: Config) -> MlflowRun:
    store = Store(cfg.tracking, home)
    [run] = store.client.search_runs([store.experiment])
    return run


def losses(home: Path, cfg: Config) -> list[float]:
    store = Store(cfg.tracking, home)
    return [point.value for point in store.client.get_metric_history(the_run(home, cfg).info.run_id, "train/loss")]


# Names


def test_classes_layers_and_pictures_of_any_name_arrive(home: Path, cfg: Config, told: Told, tmp_path: Path) -> None:
    cfg.dataset.take = {"Cats & dogs (big), v2+": "circle", "Cats & dogs [big], v2+": "square"}
    cfg.model["layers"]["conv(1)"] = cfg.model["layers"].pop("conv")
    Image.new("L", (8, 8)).save(tmp_path / "50%#ß.png")
    folder = told(
        lambda run: run.log_metrics({"accuracy/Cats & dogs (big)": 0.5}, 1),
        lambda run: run.tag(**{"best+class": "x" * 9000}),
        lambda run: run.log_image("pictures/Größe+~", tmp_path / "50%#ß.png", 0),
        lambda run: run.log_file(tmp_path / "50%#ß.png", "reports"),
    )
    assert sync_waiting(home) == []
    assert not folder.exists()
    run = the_run(home, cfg)
    assert run.info.status == "FINISHED"
    assert run.data.params[key_of("dataset.take.Cats & dogs (big), v2+")] == "circle"
    assert run.data.params[key_of("dataset.take.Cats & dogs [big], v2+")] == "square"
    assert run.data.params[key_of("model.layers.conv(1).filters")] == "8"
    assert run.data.metrics[key_of("accuracy/Cats & dogs (big)")] == 0.5
    assert "not_delivered" not in run.data.tags
    artifacts = Path(run.info.artifact_uri)
    assert "Cats & dogs (big), v2+" in (artifacts / "config.yaml").read_text()
    assert len(list((artifacts / "images").glob("*.png"))) == len(list((artifacts / "reports").iterdir())) == 1


def test_runs_whose_names_are_not_mlflows_are_compared_by_them(home: Path, cfg: Config, told: Told) -> None:
    for filters in (8, 16):
        cfg.model["layers"] = {"conv(1)": {"filters": filters}, "conv[1]": {"filters": 24 - filters}, "x" * 300: {"rate": 0.5}}
        cfg.dataset.classes = ["c" * 7000, str(filters)]
        told()
    assert sync_waiting(home) == []
    rows = differing(listed(Store(cfg.tracking, home)))
    assert {key: sorted(values) for key, values in rows.items() if key.startswith("model")} == {
        key_of("model.layers.conv(1).filters"): ["16", "8"],
        key_of("model.layers.conv[1].filters"): ["16", "8"],
    }
    assert "dataset.classes" in rows  # which differ only behind what MLflow takes of them


def test_a_picture_s_long_name_leaves_room_for_what_mlflow_puts_around_it(home: Path, cfg: Config, told: Told, tmp_path: Path) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    names = [f"pictures/{'x' * 240}{end}" for end in "ab"] + [f"pictures/{'ü' * 200}"]
    folder = told(*[lambda run, name=name: run.log_image(name, tmp_path / "a.png", 1_000_000) for name in names])
    assert sync_waiting(home) == []
    assert not folder.exists()
    assert len(list((Path(the_run(home, cfg).info.artifact_uri) / "images").glob("*.png"))) == len(names)


# Values and sizes


def test_values_that_are_no_numbers_and_batches_of_thousands_arrive(home: Path, cfg: Config, told: Told) -> None:
    told(
        lambda run: run.log_metrics({"nan": math.nan, "inf": math.inf, "-inf": -math.inf}, 1),
        lambda run: run.log_metrics({f"class/{number}": float(number) for number in range(2500)}, 1),
        lambda run: run.tag(**{f"tag{number}": str(number) for number in range(250)}),
    )
    assert sync_waiting(home) == []
    run = the_run(home, cfg)
    assert math.isnan(run.data.metrics["nan"])
    assert run.data.metrics["inf"] > 1e300
    assert run.data.metrics["-inf"] < -1e300
    assert sum(name.startswith("class/") for name in run.data.metrics) == 2500
    assert sum(name.startswith("tag") for name in run.data.tags) == 250


# What is refused all the same, or can't be read


def refused_metric(run: Run) -> None:
    run.events.write("metrics", values={"train/loss": "much", "good": 1.0}, step=2, unless=None)


def no_picture(run: Run) -> None:
    path = run.events.new_file("gone.png")
    run.events.write("image", file=str(path.relative_to(run.events.folder)), key="gone", step=0, unless=None)


def half_a_picture(run: Run) -> None:
    path = run.events.new_file("half.png")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:300])
    run.events.write("image", file=str(path.relative_to(run.events.folder)), key="half", step=0, unless=None)


def no_file(run: Run) -> None:
    run.events.write("artifact", file="files/9/gone.txt", folder=None, unless=None)


def half_an_array(run: Run) -> None:
    path = run.events.new_file("filters.npy")
    path.write_bytes(b"\x93NUMPY")
    run.events.write("filters", file=str(path.relative_to(run.events.folder)), step=0, unless=None)


def torn_line(run: Run) -> None:
    with (run.events.folder / EVENTS).open("ab") as file:
        file.write(b'\n{"time": 17, "event": "metr')


def zeros(run: Run) -> None:
    with (run.events.folder / EVENTS).open("ab") as file:
        file.write(bytes(512))


def of_a_later_version(run: Run) -> None:
    run.events.write("hologram", unless=None)


HARMS = {
    refused_metric: "metrics train/loss",
    no_picture: "image: its event log is damaged",
    half_a_picture: "image: its event log is damaged",
    no_file: "artifact: its event log is damaged",
    half_an_array: "filters: its event log is damaged",
    torn_line: 'a line that is torn or of another version: {"time": 17, "event": "metr',
    zeros: "a line that is torn",
    of_a_later_version: "of another version: hologram",
}


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__)
def test_one_part_that_can_not_be_uploaded_is_kept_and_told_and_the_others_arrive(
    harm: Tell, home: Path, cfg: Config, told: Told, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = told(loss(1), harm, loss(3, 0.5))
    Store(cfg.tracking, home)  # which says that it makes the experiment
    capfd.readouterr()
    assert sync_waiting(home) == []
    run = the_run(home, cfg)
    assert (run.info.status, losses(home, cfg)) == ("FINISHED", [1.0, 0.5])
    assert len(run.data.params) > 30
    [line] = capfd.readouterr().err.splitlines()
    assert line.startswith("note: MLflow rejects a part of a run: ")
    assert f"It is kept in journals/{folder.name}/{REFUSED}; `python -m pipeline.command.sync` retries it" in line
    [kept] = map(json.loads, (folder / REFUSED).read_text().splitlines())
    assert HARMS[harm] in kept["reason"]
    assert HARMS[harm] in run.data.tags["not_delivered"]
    assert waiting(home) == []
    assert sync_waiting(home) == []
    assert capfd.readouterr().err == ""  # once


def test_what_stands_beside_a_refused_value_arrives(home: Path, cfg: Config, told: Told) -> None:
    told(refused_metric)
    sync_waiting(home)
    assert the_run(home, cfg).data.metrics == {"good": 1.0}


def test_a_line_that_a_full_disk_cut_short_spoils_no_other(home: Path, cfg: Config, told: Told) -> None:
    """It is the last of a training that is killed by it, whose end is then told too."""
    told(loss(1), torn_line, end=None)
    sync_waiting(home)
    run = the_run(home, cfg)
    assert (run.info.status, losses(home, cfg)) == ("KILLED", [1.0])
    assert "torn" in run.data.tags["not_delivered"]


def test_a_log_without_its_beginning_is_kept(home: Path, told: Told, capfd: pytest.CaptureFixture[str]) -> None:
    folder = told(loss(1))
    lines = (folder / EVENTS).read_bytes().splitlines()
    (folder / EVENTS).write_bytes(b"\n".join([bytes(100), *lines[2:]]) + b"\n")
    assert sync_waiting(home) == []
    assert "the first line is torn, so that its run is unknown" in capfd.readouterr().err
    assert refused(home) == [folder]


def test_sync_offers_again_what_was_refused(home: Path, cfg: Config, told: Told) -> None:
    folder = told(no_file, loss(1))
    sync_waiting(home)
    (folder / "files" / "9").mkdir()
    (folder / "files" / "9" / "gone.txt").write_text("found again")
    sync_refused(home)
    assert (Path(the_run(home, cfg).info.artifact_uri) / "gone.txt").read_text() == "found again"
    assert not folder.exists()
    assert (the_run(home, cfg).info.status, losses(home, cfg)) == ("FINISHED", [1.0])
    assert "not_delivered" not in the_run(home, cfg).data.tags


def test_a_later_start_s_opening_that_is_offered_again_changes_no_end(
    home: Path, cfg: Config, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    told(loss(1), end=None, training="t1")
    sync_waiting(home)
    folder = told(loss(2), lambda run: run.tag(error="at the end"), training="t1", colour="strange")
    log_batch = MlflowClient.log_batch

    def picky(self: MlflowClient, run_id: str, **batch: Any) -> None:
        if any(tag.value == "strange" for tag in batch.get("tags", [])):
            refusing()
        log_batch(self, run_id, **batch)

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_batch", picky)
        sync_waiting(home)
    assert refused(home) == [folder]
    assert sync_refused(home) == []
    run = the_run(home, cfg)
    assert (run.info.status, run.data.tags["error"]) == ("FINISHED", "at the end")
    assert not folder.exists()


def test_a_run_that_can_not_be_made_waits_whole(home: Path, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = told(loss(1))
    Upload(folder, home)
    monkeypatch.setattr(MlflowClient, "create_run", refusing)
    [note] = sync_waiting(home)
    assert "no such thing" in note
    assert waiting(home) == [folder]


def refusing(*_: Any, **__: Any) -> None:
    from mlflow.exceptions import MlflowException

    raise MlflowException.invalid_parameter_value("no such thing")


# How far upload came


def test_a_full_disk_while_that_is_noted_makes_upload_wait(home: Path, cfg: Config, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = told(loss(1), loss(2))
    left = iter(range(4))

    def full(path: Path, text: str) -> None:
        if next(left, None) is None:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        path.write_text(text)

    with monkeypatch.context() as patch:
        patch.setattr("pipeline.tracking.sync.replace", full)
        with pytest.raises(NetworkError, match="the MLflow store can't be used: the disk is full; free some space and repeat"):
            Upload(folder, home).catch_up()
    assert sync_waiting(home) == []
    assert (the_run(home, cfg).info.status, losses(home, cfg)) == ("FINISHED", [1.0, 1.0])


@pytest.mark.parametrize("left", ["", '{"arrived": 3, "ru', '{"of": "another version"}'])
def test_a_note_that_can_not_be_read_makes_nothing_twice(left: str, home: Path, cfg: Config, begun: Run, tmp_path: Path) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    loss(1)(begun)
    begun.log_image("a", tmp_path / "a.png", 0)
    Upload(begun.events.folder, home).catch_up()
    (begun.events.folder / "delivered.json").write_text(left)
    begun.end("FINISHED")
    begun.events.close()
    assert sync_waiting(home) == []
    found = the_run(home, cfg)
    assert (found.info.status, losses(home, cfg)) == ("FINISHED", [1.0])
    assert len(list((Path(found.info.artifact_uri) / "images").glob("*.png"))) == 1


def test_a_database_that_was_put_anew_meanwhile_gets_the_whole_run(home: Path, cfg: Config, begun: Run) -> None:
    loss(1)(begun)
    Upload(begun.events.folder, home).catch_up()
    delete_all_runs(home)
    begun.end("FINISHED")
    begun.events.close()
    assert sync_waiting(home) == []
    assert (the_run(home, cfg).info.status, losses(home, cfg)) == ("FINISHED", [1.0])


def delete_all_runs(home: Path) -> None:
    """Leave the database as one that knows of no run."""
    with sqlite3.connect(home / "mlflow.db") as database:
        for table in ("metrics", "latest_metrics", "params", "tags", "runs"):
            database.execute(f"DELETE FROM {table}")
    database.close()


def test_every_event_stands_on_a_line_of_its_own(home: Path, told: Told) -> None:
    folder = told(loss(1), torn_line, loss(2))
    kinds = [event["event"] for event in Reader(folder).new()]
    assert kinds == ["begin", "artifact", "metrics", "torn", "metrics", "end"]
