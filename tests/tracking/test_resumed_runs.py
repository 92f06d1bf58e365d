"""All starts of one training are one run in MLflow, in which each epoch is one point, whatever each of them has told."""

import dataclasses
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from mlflow.entities import Run as MlflowRun

from pipeline.config.errors import NetworkError
from pipeline.config.schema import Config
from pipeline.dataset.manifest import Manifest
from pipeline.tracking import sync
from pipeline.tracking.events import NOTE, UPLOADER, EventLog, waiting
from pipeline.tracking.resume import resumed_run
from pipeline.tracking.run import Run, begin, tracked_training
from pipeline.tracking.store import Store
from pipeline.tracking.sync import Upload, sync_earlier_starts, sync_waiting
from tests.tracking.conftest import MakeBundle
from tests.tracking.test_upload import FILTERS, client, only_run, pictures

Start = Callable[..., Run]


@pytest.fixture
def start(home: Path, cfg: Config, manifest: Manifest) -> Start:
    """Begins a start of a training that tells these epochs; ends by dying, or by this status."""

    def started(*epochs: int, training: str = "t1", samples: int = 0, status: str | None = None) -> Run:
        run = Run(EventLog(home))
        begin(run, dataclasses.asdict(cfg), manifest, training=training)
        for epoch in epochs:
            run.log_filters(FILTERS[epoch], epoch)
            if epoch:
                run.log_metrics({"train/loss": 10.0 - epoch}, epoch)
        for sample in range(samples):
            run.log_metrics({"system/disk": float(sample)}, sample)
        if status:
            run.end(status)
        run.events.close()
        return run

    return started


def points(home: Path, run: MlflowRun, name: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in client(home).get_metric_history(run.info.run_id, name)]


def test_a_later_start_goes_on_in_the_run_of_the_first_and_each_epoch_counts_once(home: Path, cfg: Config, start: Start) -> None:
    start(0, 1)
    assert sync_waiting(home) == []
    stopped = only_run(home, cfg)
    assert (stopped.info.status, "resumed" in stopped.data.tags) == ("KILLED", False)
    start(0, 1, 2, status="FINISHED")  # it tells its checkpoint's epochs again
    run = only_run(home, cfg)
    assert (run.info.status, run.data.tags["resumed"]) == ("FINISHED", "true")
    assert "the training was stopped and resumed" in run.data.tags[NOTE]
    assert points(home, run, "train/loss") == [(1, 9.0), (2, 8.0)]
    assert sorted(pictures(home, run)) == [f"filters/first_layer+step+{step}" for step in range(3)]


def test_a_run_that_went_on_well_does_not_say_why_its_first_start_failed(home: Path, cfg: Config, manifest: Manifest, start: Start) -> None:
    first = Run(EventLog(home))
    begin(first, dataclasses.asdict(cfg), manifest, training="t1")
    first.fail("the disk is full")
    first.events.close()
    assert only_run(home, cfg).data.tags["error"] == "the disk is full"
    start(0, 1, status="FINISHED")
    run = only_run(home, cfg)
    assert run.info.status == "FINISHED"
    assert "error" not in run.data.tags


def test_an_epoch_that_the_first_told_and_did_not_save_is_not_told_twice(home: Path, cfg: Config, start: Start) -> None:
    start(0, 1, 2)
    start(0, 1, 2, status="FINISHED")
    assert points(home, only_run(home, cfg), "train/loss") == [(1, 9.0), (2, 8.0)]


def test_what_the_first_never_uploaded_the_second_brings(home: Path, cfg: Config, start: Start) -> None:
    """Its log was lost with the disk's last seconds; the checkpoint's epochs are told again."""
    start(0)
    sync_waiting(home)
    start(0, 1, 2, status="FINISHED")
    assert points(home, only_run(home, cfg), "train/loss") == [(1, 9.0), (2, 8.0)]


def test_while_it_goes_on_the_run_says_so(home: Path, cfg: Config, start: Start, manifest: Manifest) -> None:
    start(0, 1)
    sync_waiting(home)
    second = Run(EventLog(home))
    begin(second, dataclasses.asdict(cfg), manifest, training="t1")
    Upload(second.events.folder, home).catch_up()
    store = Store(cfg.tracking, home)
    [run] = store.client.search_runs([store.experiment])
    assert run.info.status == "RUNNING"
    second.events.close()


def test_the_filters_of_all_starts_have_the_scale_of_those_before_training(home: Path, cfg: Config, start: Start) -> None:
    start(0, 1)
    sync_waiting(home)
    start(0, 1, 2, status="FINISHED")
    resumed = {name: path.read_bytes() for name, path in pictures(home, only_run(home, cfg)).items()}
    start(0, 1, 2, training="t2", status="FINISHED")
    sync_waiting(home)
    store = Store(cfg.tracking, home)
    [undisturbed] = store.client.search_runs([store.experiment], "tags.training = 't2'")
    assert {name: path.read_bytes() for name, path in pictures(home, undisturbed).items()} == resumed


def test_the_machine_s_samples_are_counted_on(home: Path, cfg: Config, start: Start) -> None:
    start(0, samples=2)
    start(0, samples=2, status="FINISHED")
    assert points(home, only_run(home, cfg), "system/disk") == [(0, 0.0), (1, 1.0), (2, 0.0), (3, 1.0)]


def test_other_trainings_have_runs_of_their_own(home: Path, cfg: Config, start: Start) -> None:
    start(0, 1, status="FINISHED")
    start(0, 1, training="t2", status="FINISHED")
    assert sync_waiting(home) == []
    store = Store(cfg.tracking, home)
    assert len(store.client.search_runs([store.experiment])) == 2


def test_a_later_start_waits_for_the_log_of_the_earlier_one(home: Path, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = start(0, 1), start(0, 1, 2, status="FINISHED")
    monkeypatch.setattr(sync, "PATIENCE", 0.1)
    with FileLock(first.events.folder / UPLOADER):
        with pytest.raises(NetworkError, match="an earlier start of this training, is still at work"):
            sync_earlier_starts(second.events.folder, home)
        assert len(sync_waiting(home)) == 1  # the first's uploader is at work; the second is not touched
        assert second.events.folder.exists()
    sync_earlier_starts(second.events.folder, home)
    assert not first.events.folder.exists()
    assert sync_waiting(home) == []


HOUR = 3600  # seconds


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Moves this machine to another time zone, or its clock by so many hours."""
    now, now_ns = time.time, time.time_ns

    def set_clock(zone: str | None = None, hours: float = 0) -> None:
        if zone:
            monkeypatch.setenv("TZ", zone)
            time.tzset()
        monkeypatch.setattr(time, "time", lambda: now() + hours * HOUR)
        monkeypatch.setattr(time, "time_ns", lambda: now_ns() + int(hours * HOUR * 1e9))

    yield set_clock
    monkeypatch.undo()
    time.tzset()


CLOCKS = {  # of each start of a training
    "a journey west": [{"zone": "Asia/Tokyo"}, {"zone": "America/New_York"}],
    "the end of summer time": [{"zone": "UTC-2"}, {"zone": "UTC-1"}],
    "a clock that is set back": [{}, {"hours": -5}],
    "a clock that is set back by a second, twice": [{}, {"hours": -1 / HOUR}, {"hours": -2 / HOUR}],
    "a clock that is set to the year 1970": [{}, {"hours": -24 * 365 * 50}],
}


@pytest.mark.parametrize("clocks", CLOCKS.values(), ids=CLOCKS)
def test_the_last_start_says_how_a_training_ended_whatever_the_clock_says(
    clocks: list[dict[str, Any]], home: Path, cfg: Config, start: Start, set_clock: Callable[..., None]
) -> None:
    for number, clock in enumerate(clocks, 1):
        set_clock(**clock)
        start(*range(min(number, 2) + 1), status="FINISHED" if number == len(clocks) else None)
    run = only_run(home, cfg)
    assert run.info.status == "FINISHED"
    assert sorted(points(home, run, "train/loss")) == [(1, 9.0), (2, 8.0)]
    assert run.info.end_time >= run.info.start_time


def test_a_start_of_before_logs_were_numbered_comes_first(home: Path, cfg: Config, start: Start) -> None:
    first = start(0, 1).events.folder
    first.rename(first.with_name("20260504-123000-000000017-abcdef"))
    start(0, 1, 2, status="FINISHED")
    assert only_run(home, cfg).info.status == "FINISHED"


def test_what_was_told_of_a_training_after_the_clock_was_set_back_arrives_with_it(
    home: Path, cfg: Config, start: Start, trained: MakeBundle, set_clock: Callable[..., None]
) -> None:
    bundle = trained(1.0)
    second = Run(EventLog(home))
    begin(second, dataclasses.asdict(cfg), bundle.manifest, training="t1")
    second.tag(bundle=bundle.digest)
    second.end("FINISHED")
    set_clock(hours=-5)
    with resumed_run(cfg, bundle, home) as addition:
        addition.log_metrics({"test/loss": 0.5}, 1)
    second.events.close()
    assert sync_waiting(home) == []
    assert waiting(home) == []
    assert only_run(home, cfg).data.metrics["test/loss"] == 0.5


def test_starts_that_begin_at_once_have_numbers_of_their_own(home: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        logs = list(pool.map(lambda _: EventLog(home), range(24)))
    for log in logs:
        log.close()
    assert [int(folder.name.partition("-")[0]) for folder in waiting(home)] == list(range(1, 25))


def test_a_training_begins_with_its_name_and_whether_it_can_be_repeated(home: Path, cfg: Config, manifest: Manifest) -> None:
    with tracked_training(cfg, manifest, home, training="t1"):
        pass
    assert {name: only_run(home, cfg).data.tags[name] for name in ("training", "repeatable")} == {"training": "t1", "repeatable": "true"}
    cfg.training.budget = "30m"
    with tracked_training(cfg, manifest, home, training="t2"):
        pass
    sync_waiting(home)
    store = Store(cfg.tracking, home)
    [run] = store.client.search_runs([store.experiment], "tags.training = 't2'")
    assert run.data.tags["repeatable"] == "false"
