"""A sweep may have a second objective, and end when nothing gets better."""

from functools import partial
from pathlib import Path

import pytest

from pipeline.config.search import PARAMETERS, SECONDS
from pipeline.search.costs import costs_of
from pipeline.search.driver import Driver
from pipeline.search.ledger import Ledger
from pipeline.search.report import write_report
from pipeline.search.rows import front_of
from pipeline.search.status import description, summary
from pipeline.search.task import Task
from pipeline.search.trial import TrialProcess
from tests.search.samples import KIND, RATE, begun, ledger_in, search, two_objectives
from tests.search.test_driver import make_marks
from tests.search.test_report import lines, row


def test_none_begins_when_as_many_as_its_patience_have_brought_nothing_better(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path, search(trials=None, patience=3))
    for score in (0.5, 0.7, 0.6, 0.7):
        ledger.complete(begun(ledger).number, 0, score)
    ledger.fail(begun(ledger).number, "a bug", again=False)
    assert ledger.next() is None
    assert "ended early, as 3 points brought nothing better" in summary(ledger)


def test_a_better_one_starts_the_count_anew_in_the_order_in_which_they_end(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path, search(trials=None, patience=2))
    tasks = [begun(ledger) for _ in range(3)]
    for task, score in zip(tasks[::-1], (0.5, 0.6, 0.9), strict=True):
        ledger.complete(task.number, 0, score)
    for score in (0.8, 0.95, 0.1):
        ledger.complete(begun(ledger).number, 0, score)
    assert not ledger.is_over_early
    ledger.complete(begun(ledger).number, 0, 0.1)
    assert ledger.next() is None


@pytest.mark.parametrize("sampler", ["random", "tpe", "qmc"])
def test_the_front_is_what_no_other_beats_in_both(tmp_path: Path, sampler: str) -> None:
    ledger = ledger_in(tmp_path, search(RATE, KIND, trials=6, sampler=sampler, against=PARAMETERS))
    for scores in ((0.9, 500), (0.8, 100), (0.85, 600), (0.9, 400), (0.7, 100), (0.95, 900)):
        task = begun(ledger)
        ledger.report(task.number, 1, scores[0])
        ledger.complete(task.number, 0, *scores)
    assert [(found.number, found.value, found.cost) for found in ledger.front()] == [(1, 0.8, 100), (3, 0.9, 400), (5, 0.95, 900)]
    best = ledger.best()
    assert best is not None
    assert best.number == 5
    assert ledger.rows()[0].curve == {1: 0.9}
    assert "3 points that no other beats: trial 1 (0.8000 with 100 parameters), trial 3 (0.9000 with 400 parameters), " in summary(ledger)
    assert "against few parameters" in description(ledger)


def test_of_losses_the_small_ones_are_on_the_front() -> None:
    rows = [row(0, 0.5), row(1, 0.4), row(2, 0.6)]
    costed = [type(found)(**vars(found) | {"cost": cost}) for found, cost in zip(rows, (10.0, 20.0, 30.0), strict=True)]
    assert [found.number for found in front_of(costed, -1)] == [0, 1]


def test_a_new_member_of_the_front_is_something_better(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path, search(trials=None, patience=2, against=SECONDS))
    for scores in ((0.9, 50), (0.8, 60), (0.7, 20), (0.6, 70)):
        ledger.complete(begun(ledger).number, 0, *scores)
    assert not ledger.is_over_early
    ledger.complete(begun(ledger).number, 0, 0.6, 70)
    assert ledger.is_over_early


def test_objectives_of_repetitions_are_averaged_and_the_report_shows_the_front(tmp_path: Path) -> None:
    make_marks(tmp_path)
    ledger = ledger_in(tmp_path, search(KIND, sampler="grid", seeds=2, against=PARAMETERS))
    told: list[str] = []
    Driver(ledger, partial(two_objectives, tmp_path / "marks"), tmp_path / "runs", 1, told.append).run()
    assert [(found.value, found.cost, found.scores) for found in ledger.front()] == [
        (0.3125, 1000.5, {0: 0.25, 1: 0.375}),
        (0.5625, 2000.5, {0: 0.5, 1: 0.625}),
    ]
    assert "trial 1 (kind=bad, seed=1): validation/accuracy 0.3750 with 1,001 parameters" in told
    write_report(ledger, tmp_path / "report.html", tmp_path, tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "What no other beats" in page
    assert any(
        line.startswith("2 trials are beaten by no other in both validation/accuracy and parameters: 0.3125 ± 0.0884 with 1,000 parameters")
        for line in lines(page, "What it teaches")
    )


def test_the_time_of_a_training_that_went_on_is_that_of_all_its_epochs(written_bundle: Path) -> None:
    process = TrialProcess.__new__(TrialProcess)
    process.epochs = [7, 8, 9, 10]
    task = Task("s", "id", 0, 0, (), (), against=SECONDS)
    assert costs_of(task, process, written_bundle, 8.0) == (20.0,)
    task = Task("s", "id", 0, 0, (), (), against=PARAMETERS)
    [parameters] = costs_of(task, process, written_bundle, 8.0)
    assert parameters > 10
    assert costs_of(Task("s", "id", 0, 0, (), ()), process, written_bundle, 8.0) == ()


def test_an_equal_training_has_the_same_objectives(tmp_path: Path) -> None:
    ledger: Ledger = ledger_in(tmp_path, search(trials=2, against=SECONDS))
    first, second = begun(ledger), begun(ledger)
    ledger.claim(first.number, 0, "k")
    ledger.complete(first.number, 0, 0.5, 12.5)
    assert ledger.claim(second.number, 0, "k") is False
    assert [(found.value, found.cost) for found in ledger.rows()] == [(0.5, 12.5)] * 2
