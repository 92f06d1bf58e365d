"""A point that is trained several times: each training is one of its own, their mean is the score, and those that have ended are kept."""

import re
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from pipeline.search.driver import Driver
from pipeline.search.ledger import Ledger
from pipeline.search.note import note
from pipeline.search.runner_up import verdict
from pipeline.search.status import description, summary
from pipeline.search.trial import TrialProcess
from tests.search.samples import KIND, RATE, begun, ledger_in, search, second_seed_slow, seeded
from tests.search.test_driver import make_marks, starts, until
from tests.search.test_report import row


def test_each_repetition_is_a_task_and_their_mean_is_the_score(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path, search(trials=1, seeds=3))
    tasks = [begun(ledger) for _ in range(3)]
    assert [(task.number, task.repetition, task.repeated, task.folder) for task in tasks] == [
        (0, 0, ("seed=0",), "0/0"),
        (0, 1, ("seed=1",), "0/1"),
        (0, 2, ("seed=2",), "0/2"),
    ]
    assert {task.words for task in tasks} == {(*ledger.rows()[0].words, f"seed={n}") for n in range(3)}
    assert ledger.next() is None
    for task, score in zip(tasks, (0.7, 0.9, 0.8), strict=True):
        assert ledger.rows()[0].state == "running"
        ledger.complete(0, task.repetition, score)
    [found] = ledger.rows()
    assert (found.state, found.value, found.spread) == ("complete", pytest.approx(0.8), pytest.approx(0.1))
    assert "best validation/accuracy 0.8000 ± 0.1000 of trial 0" in summary(ledger)
    assert "(random, 1 trial, 3 trainings of each point)" in description(ledger)


def test_the_run_of_a_training_is_named_after_its_values_and_tagged_with_its_point(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path, search(KIND, RATE, trials=1, seeds=2))
    task = [begun(ledger), begun(ledger)][1]
    run = TrialProcess.__new__(TrialProcess)
    run.task = task
    found = run.run
    kind, rate = (word.partition("=")[2] for word in task.varied)
    assert found["name"] == f"s-0 kind={kind} lr={float(rate):.4g} seed=1"
    assert {key: found[key] for key in ("point", "varied.kind", "varied.lr", "varied.seed")} == {
        "point": "s-0",
        "varied.kind": kind,
        "varied.lr": rate,
        "varied.seed": "1",
    }


def test_a_sweep_is_described_in_markdown(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path, search(trials=2))
    assert note(ledger).startswith("A sweep for the best validation/accuracy (random, 2 trials) over lr: 0.001 to 1.0")
    for score in (0.5, 0.75):
        ledger.complete(begun(ledger).number, 0, score)
    found, best = note(ledger), ledger.rows()[1]
    assert f"### The best: trial 1\n\n```\npython -m pipeline.stage.train {' '.join(best.words)}\n```\n\n| trial | validation/acc" in found
    assert re.findall(r"^\| (\d) \| (\S+) ", found, re.M) == [("1", "0.7500"), ("0", "0.5000")]


def test_each_fold_is_trained_with_each_seed() -> None:
    assert search(folds=2, seeds=2).repetitions == tuple(
        ("dataset.split.folds=2", f"dataset.split.fold={fold}", f"seed={seed}") for fold in (0, 1) for seed in (0, 1)
    )


def test_what_has_ended_is_kept_when_its_sweep_is_killed(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path, search(trials=1, seeds=3))
    ledger.complete(begun(ledger).number, 0, 0.7)
    begun(ledger)
    ledger.fail(0, "its sweep was killed", again=True, counts=False)
    again = [begun(ledger), begun(ledger)]
    assert [(task.number, task.point, task.repetition) for task in again] == [(1, 0, 1), (1, 0, 2)]
    for task in again:
        ledger.complete(1, task.repetition, 0.7)
    assert [(found.state, found.value) for found in ledger.points()] == [("complete", pytest.approx(0.7))]


def test_a_kill_between_the_last_training_and_the_end_of_its_row_trains_nothing_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = ledger_in(tmp_path, search(trials=1, seeds=2))
    for task in (begun(ledger), begun(ledger)):
        with monkeypatch.context() as killed:
            killed.setattr(Ledger, "_end", lambda *_: True)
            ledger.complete(0, task.repetition, 0.5)
    ledger.fail(0, "its sweep was killed", again=True, counts=False)
    assert ledger.next() is None
    assert [(found.point, found.state, found.value) for found in ledger.points()] == [(0, "complete", 0.5)]


def test_where_trials_are_pruned_the_first_repetition_decides_before_others_begin(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path, search(trials=2, seeds=2, pruner="median"))
    first, other = begun(ledger), begun(ledger)
    assert [(task.number, task.repetition) for task in (first, other)] == [(0, 0), (1, 0)]
    assert ledger.next() is None
    ledger.complete(0, 0, 0.5)
    ledger.prune(1, "pruned after epoch 1")
    second = begun(ledger)
    assert (second.number, second.repetition) == (0, 1)
    ledger.complete(0, 1, 0.5)
    assert ledger.next() is None
    assert [found.state for found in ledger.points()] == ["complete", "pruned"]


def test_an_equal_point_gets_all_scores_of_the_first(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path, search(trials=2, seeds=2))
    tasks = [begun(ledger) for _ in range(4)]
    for task in tasks[:2]:
        assert ledger.claim(0, task.repetition, f"key {task.repetition}") is True
    assert ledger.claim(1, 0, "key 0") is None
    for task, score in zip(tasks[:2], (0.4, 0.6), strict=True):
        ledger.complete(0, task.repetition, score)
    assert [ledger.claim(1, task.repetition, f"key {task.repetition}") for task in tasks[2:]] == [False, False]
    found = ledger.rows()[1]
    assert (found.state, found.value, found.reason, found.same_as) == ("complete", 0.5, "equal to trial 0", 0)


def run(folder: Path, ledger: Ledger, workers: int) -> list[str]:
    told: list[str] = []
    Driver(ledger, partial(seeded, folder / "marks"), folder / "runs", workers, told.append).run()
    return told


def test_repetitions_run_side_by_side_each_in_a_folder_of_its_own(tmp_path: Path) -> None:
    make_marks(tmp_path)
    ledger = ledger_in(tmp_path, search(KIND, sampler="grid", seeds=2))
    told = run(tmp_path, ledger, workers=2)
    assert [(found.state, found.scores) for found in ledger.points()] == [("complete", {0: 0.0, 1: 0.1})] * 2
    assert sorted(str(path.relative_to(tmp_path / "runs").parent) for path in tmp_path.rglob("log.txt")) == ["0/0", "0/1", "1/0", "1/1"]
    assert "trial 0 (kind=good, seed=1): validation/accuracy 0.1000" in told
    assert "trial 0 (kind=good): validation/accuracy 0.0500 ± 0.0707, the mean of 2 trainings" in told


def test_a_training_that_fails_ends_its_point_s_others_and_the_next_attempt_keeps_what_has_ended(tmp_path: Path) -> None:
    marks = make_marks(tmp_path)
    ledger = ledger_in(tmp_path, search(trials=1, seeds=4))
    (marks / "killed").touch()  # the training with seed 1 is killed once
    told = run(tmp_path, ledger, workers=2)
    assert [(found.state, found.attempt) for found in ledger.rows()] == [("retried", 1), ("complete", 2)]
    assert ledger.points()[0].scores == pytest.approx({0: 0.0, 1: 0.1, 2: 0.2, 3: 0.3})
    assert any("seed=1): failed: its process was killed by signal 9" in line for line in told)
    trained = [line.split()[0] for line in (marks / "trained").read_text().splitlines()]
    assert trained.count("seed=0") == 1


def test_a_stop_keeps_the_trainings_that_have_ended(tmp_path: Path) -> None:
    marks = make_marks(tmp_path)
    ledger = ledger_in(tmp_path, search(RATE, trials=1, seeds=3))

    def stop() -> None:
        until(lambda: "1" in starts(marks))
        ledger_in(tmp_path, search(RATE, trials=1, seeds=3)).stop(True)

    stopper = threading.Thread(target=stop)
    stopper.start()
    Driver(ledger, partial(second_seed_slow, marks), tmp_path / "runs", 1).run()
    stopper.join()
    assert [(found.state, found.scores) for found in ledger.rows()] == [("retried", {0: 0.5}), ("waiting", {0: 0.5})]


def test_the_best_two_are_compared_over_the_same_repetitions(tmp_path: Path) -> None:
    best = replace(row(4, 0.91), scores={0: 0.9, 1: 0.92, 2: 0.91})
    second = replace(row(2, 0.81), scores={0: 0.8, 1: 0.83, 2: 0.8})
    assert verdict(best, second, tmp_path, tmp_path, "validation/accuracy") == (
        "Over the same 3 seeds or folds, trial 4 differs from trial 2, the second, by +0.1000 ± 0.0058 on average "
        "(paired t test: p = 0.0033), so they are told apart"
    )
