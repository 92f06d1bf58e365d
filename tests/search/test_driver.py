"""Trials as processes: whatever one does, it is a row and the sweep goes on; after a kill of everything, nothing finished is done again."""

import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil
import pytest

from pipeline.config.errors import Stopped
from pipeline.config.search import Entry, Search
from pipeline.config.sweep_words import Options
from pipeline.search.driver import Driver
from pipeline.search.ledger import Ledger
from tests.project import ROOT, gone
from tests.search.samples import KIND, RATE, by_kind, epochs, equal, ledger_in, rate, search, slow


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    """A folder in which each start of a trial leaves a mark."""
    return make_marks(tmp_path)


def make_marks(folder: Path) -> Path:
    (folder / "marks").mkdir()
    return folder / "marks"


def run(marks: Path, wanted: Search, work: Callable[..., float], workers: int = 1) -> tuple[Ledger, list[str]]:
    """Run a sweep to its end; return its ledger and the lines that it told."""
    told: list[str] = []
    ledger = ledger_in(marks.parent, wanted)
    Driver(ledger, partial(work, marks), marks.parent / "runs", workers, told.append).run()
    return ledger, told


def kinds(*names: str, **settings: object) -> Search:
    return search(Entry("kind", Options(names), ""), sampler="grid", **settings)


def starts(marks: Path) -> list[str]:
    return sorted(path.name for path in marks.iterdir())


def test_each_point_is_trained_once_and_its_score_is_in_its_row(marks: Path) -> None:
    ledger, told = run(marks, search(trials=3), rate, workers=2)
    rows = ledger.rows()
    assert [(row.state, row.words[1]) for row in rows] == [("complete", f"lr={row.value!r}") for row in rows]
    assert starts(marks) == ["0-0", "1-1", "2-2"]
    assert sorted(line.partition(" (")[0] for line in told) == ["trial 0", "trial 1", "trial 2"]
    assert not ledger.is_at_work


def test_trials_that_fail_are_rows_with_their_reasons_and_the_sweep_goes_on(marks: Path) -> None:
    ledger, told = run(marks, kinds("raises", "refused", "nan", "killed once", "fine"), by_kind)
    found = {row.words[1].removeprefix("kind="): row for row in ledger.points()}
    assert {kind: (row.state, row.attempt) for kind, row in found.items()} == {
        "raises": ("fail", 1),
        "refused": ("fail", 1),
        "nan": ("fail", 1),
        "killed once": ("complete", 2),
        "fine": ("complete", 1),
    }
    assert "Traceback" in found["raises"].reason
    assert "unexpected RuntimeError: a bug" in found["raises"].reason
    assert found["refused"].reason == "that does not go together"
    assert found["nan"].reason == "validation/accuracy is nan, which is no score"
    assert [row.reason for row in ledger.rows() if row.state == "retried"] == [
        "its process was killed by signal 9; a machine whose memory is full kills, too"
    ]
    assert "trial 3 (kind=killed once): failed: its process was killed by signal 9" in "\n".join(told)
    assert "unexpected RuntimeError: a bug" in (marks.parent / "runs" / "0" / "log.txt").read_text()


def test_what_may_pass_is_tried_as_often_as_the_settings_say(marks: Path) -> None:
    ledger, _ = run(marks, kinds("killed", "offline", attempts=2), by_kind)
    assert [(row.point, row.attempt, row.state) for row in ledger.points()] == [(0, 2, "fail"), (1, 2, "fail")]
    assert len(starts(marks)) == 4


def test_a_trial_that_hangs_is_ended(marks: Path) -> None:
    ledger, told = run(marks, kinds("hangs", attempts=1, silence="2s"), by_kind)
    assert [row.state for row in ledger.points()] == ["fail"]
    assert told == [
        f"trial 0 (kind=hangs): failed: ended, as it had not told the end of an epoch for 2s   ({marks.parent / 'runs' / '0' / 'log.txt'})"
    ]


def test_a_bad_trial_is_pruned_and_its_row_says_after_which_epoch(marks: Path) -> None:
    ledger, _ = run(marks, search(KIND, sampler="grid", pruner="median", startup=1), epochs)
    rows = {row.words[1]: row for row in ledger.rows()}
    assert (rows["kind=good"].state, rows["kind=bad"].state) == ("complete", "pruned")
    assert rows["kind=bad"].reason == "pruned after epoch 1"
    assert rows["kind=bad"].value == pytest.approx(0.01)


def test_an_equal_trial_waits_for_the_first_and_takes_its_score(marks: Path) -> None:
    twice = search(Entry("kind", Options(("a",)), ""), RATE, trials=2)
    ledger, told = run(marks, twice, equal, workers=2)
    assert len(starts(marks)) == 1
    assert [(row.state, row.value) for row in ledger.rows()] == [("complete", 0.5)] * 2
    assert [line.partition(": ")[2] for line in told] == ["validation/accuracy 0.5000", "validation/accuracy 0.5000, equal to trial 0"]


def test_no_trial_begins_when_the_time_is_over(marks: Path) -> None:
    ledger = ledger_in(marks.parent, search(trials=3, time="1s"))
    ledger.start -= 2
    Driver(ledger, partial(rate, marks), marks.parent / "runs", 1).run()
    assert ledger.rows() == []


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_stop_ends_the_trials_and_their_points_go_on_later(marks: Path) -> None:
    ledger = ledger_in(marks.parent, search(trials=2))

    def stop() -> None:
        until(lambda: len(starts(marks)) == 1)
        ledger_in(marks.parent, search(trials=2)).stop(True)

    stopper = threading.Thread(target=stop)
    stopper.start()
    Driver(ledger, partial(slow, marks), marks.parent / "runs", 1).run()
    stopper.join()
    assert [(row.state, row.attempt, row.reason) for row in ledger.rows()] == [
        ("retried", 1, "stopped with its sweep"),
        ("waiting", 1, ""),
    ]
    ledger.stop(False)
    Driver(ledger, partial(rate, marks), marks.parent / "runs", 1).run()
    assert [row.state for row in ledger.points()] == ["complete", "complete"]


SWEEP = """
    from functools import partial
    from pathlib import Path
    from pipeline.search.driver import Driver
    from tests.search.samples import brief, ledger_in, rate, search, slow
    if __name__ == "__main__":
        ledger = ledger_in(Path("{folder}"), search(trials={trials}))
        Driver(ledger, partial({work}, Path("{folder}") / "marks"), Path("{folder}") / "runs", 2).run()
"""


def sweep(folder: Path, work: str, trials: int = 3) -> subprocess.Popen[bytes]:
    """Start a sweep as a process of its own, by a script as its main module."""
    script = folder / f"{work}.py"
    script.write_text(textwrap.dedent(SWEEP.format(folder=folder, work=work, trials=trials)))
    return subprocess.Popen([sys.executable, script], env=os.environ | {"PYTHONPATH": str(ROOT)}, cwd=ROOT)


def test_after_a_kill_of_the_driver_its_trials_end_and_another_start_goes_on_with_them(marks: Path) -> None:
    driver = sweep(marks.parent, "slow")
    until(lambda: all((marks / name).exists() for name in ("0-0", "1-1")))
    trials = [psutil.Process(int(path.read_text())) for path in marks.iterdir()]
    driver.kill()
    driver.wait()
    assert all(gone(trial, 20) for trial in trials)
    again = sweep(marks.parent, "rate")
    assert again.wait(120) == 0
    ledger = ledger_in(marks.parent, search(trials=3))
    assert [(row.point, row.attempt, row.state) for row in ledger.points()] == [(n, 1, "complete") for n in (0, 1, 4)]
    assert starts(marks) == ["0-0", "0-2", "1-1", "1-3", "4-4"]


def test_a_signal_to_the_driver_ends_its_trials_and_says_how_to_go_on(marks: Path) -> None:
    ledger = ledger_in(marks.parent, search(trials=1))

    def stop() -> None:
        until(lambda: len(starts(marks)) == 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop).start()
    with pytest.raises(Stopped) as raised:
        Driver(ledger, partial(slow, marks), marks.parent / "runs", 1).run()
    assert raised.value.then == "what has ended is kept; `resume s` goes on, half-trained trials from their checkpoints"
    assert [row.state for row in ledger.rows()] == ["retried", "waiting"]


def has_more_than(before: int, marks: Path) -> bool:
    return len(starts(marks)) > before


@pytest.mark.slow
def test_kills_at_random_moments_lose_no_point_and_train_none_again_that_has_ended(marks: Path) -> None:
    moments = random.Random(0)
    for _ in range(10):
        driver = sweep(marks.parent, "brief", trials=60)
        until(partial(has_more_than, len(starts(marks)), marks))
        time.sleep(moments.uniform(0, 0.5))
        driver.kill()
        driver.wait()
    assert sweep(marks.parent, "brief", trials=60).wait(300) == 0
    ledger = ledger_in(marks.parent, search(trials=60))
    points = ledger.points()
    assert [row.state for row in points] == ["complete"] * 60
    assert max(row.attempt for row in points) == 1
    for row in points:
        trained = [int(path.name.partition("-")[2]) for path in marks.glob(f"{row.point}-*")]
        assert max(trained) == row.number  # after the row that is complete there is none
