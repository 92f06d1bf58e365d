"""The ledger of a sweep: rows before trials start, attempts by rule, and nothing lost or doubled whenever a process is killed."""

import multiprocessing
import os
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from pipeline.config.errors import ConfigError
from pipeline.config.search import Entry
from pipeline.config.sweep_words import Interval, Options
from pipeline.search import attempts
from pipeline.search.ledger import Ledger
from pipeline.search.rows import AGAIN, OWNER
from pipeline.search.storage import GRACE, Storage, quiet
from tests.search.samples import KIND, RATE, begun, ledger_in, search

KINDS = Entry("kind", Options(("a", "b", "c")), "")


def states(ledger: Ledger) -> list[tuple[int, int, str]]:
    return [(row.point, row.attempt, row.state) for row in ledger.rows()]


def test_a_trial_is_a_row_with_its_values_before_it_starts(tmp_path: Path) -> None:
    task = begun(ledger_in(tmp_path, search()))
    [row] = Ledger.open(Storage(f"sqlite:///{tmp_path / 'sweeps.db'}"), "s").rows()
    assert (row.number, row.state, row.words) == (0, "running", task.words)
    assert task.words[0] == "fixed=1"
    assert task.words[1].startswith("lr=0.")


def test_there_are_as_many_points_as_the_budget_of_trials(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path, search(trials=3))
    tasks = [ledger.next() for _ in range(4)]
    assert [task and task.number for task in tasks] == [0, 1, 2, None]
    assert len({task.words for task in tasks if task}) == 3


def test_another_start_draws_what_the_first_has_not(tmp_path: Path) -> None:
    words = [begun(ledger_in(tmp_path, search())).words for _ in range(4)]
    assert len(set(words)) == 4


def test_a_grid_s_points_are_rows_from_the_start(tmp_path: Path) -> None:
    size = Entry("size", Interval(1, 3, step=1), "")
    below = Entry("momentum", Options(("0.8", "0.9")), "", when="kind=a")
    ledger = ledger_in(tmp_path, search(KINDS, size, below, sampler="grid", trials=1))
    assert [row.state for row in ledger.rows()] == ["waiting"] * 12
    drawn = []
    while task := ledger.next():
        drawn.append(task.words[1:])
        ledger.complete(task.number, 0, 0.5)
    assert sorted(drawn) == sorted(
        [("kind=a", f"size={n}", f"momentum={m}") for n in (1, 2, 3) for m in ("0.8", "0.9")]
        + [(f"kind={kind}", f"size={n}") for kind in "bc" for n in (1, 2, 3)]
    )


def test_a_key_with_a_condition_is_drawn_where_it_holds(tmp_path: Path) -> None:
    below = Entry("lr", Interval(1.0, 2.0), "", when="kind=good")
    other = Entry("lr", Interval(3.0, 4.0), "", when="kind=bad")
    ledger = ledger_in(tmp_path, search(KIND, below, other, trials=8))
    for _ in range(8):
        task = begun(ledger)
        _, kind, rate = task.words
        assert (float(rate.removeprefix("lr=")) < 2.5) is (kind == "kind=good")


def test_the_first_trial_is_the_config_as_it_stands_also_where_a_value_is_not_among_those_to_try(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path, search(RATE, KIND, first=True), stands={"lr": 0.01})
    first, second = begun(ledger), begun(ledger)
    assert first.words == ("fixed=1", "lr=0.01")
    assert len(second.words) == 3


@pytest.mark.parametrize("sampler", ["random", "tpe", "qmc"])
def test_each_sampler_draws_whole_numbers_real_ones_and_options(tmp_path: Path, sampler: str) -> None:
    ledger = ledger_in(tmp_path, search(KINDS, RATE, Entry("n", Interval(1, 64, is_log=True, step=1), ""), sampler=sampler, trials=6))
    for _ in range(6):
        task = begun(ledger)
        kind, rate, n = (word.partition("=")[2] for word in task.words[1:])
        assert kind in "abc"
        assert 1e-3 <= float(rate) <= 1
        assert 1 <= int(n) <= 64
        ledger.complete(task.number, 0, float(rate))


def test_a_fault_that_may_pass_is_tried_again_with_the_same_values_as_often_as_settings_say(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path, search(trials=1, attempts=2))
    first = begun(ledger)
    assert ledger.fail(first.number, "killed", again=True)
    second = begun(ledger)
    assert (second.words, second.point, second.number) == (first.words, 0, 1)
    assert not ledger.fail(second.number, "killed again", again=True)
    assert ledger.next() is None
    assert states(ledger) == [(0, 1, "retried"), (0, 2, "fail")]
    assert [row.reason for row in ledger.points()] == ["killed again"]


def test_a_fault_of_the_values_is_not_tried_again_until_somebody_asks(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path, search(trials=1))
    first = begun(ledger)
    assert not ledger.fail(first.number, "diverged", again=False)
    assert ledger.next() is None
    with pytest.raises(ConfigError, match="point 7 has not failed; those that have: 0"):
        ledger.retry([7])
    assert ledger.retry([]) == [0]
    again = begun(ledger)
    assert again.words == first.words


def test_what_a_trial_told_before_it_was_killed_stands_in_its_next_attempt(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path, search(trials=1))
    first = begun(ledger)
    ledger.report(first.number, 1, 0.25)
    ledger.fail(first.number, "killed", again=True)
    second = begun(ledger)
    ledger.report(second.number, 1, 0.25)  # the checkpoint was lost
    ledger.report(second.number, 2, 0.5)
    assert ledger.study.trials[1].intermediate_values == {1: 0.25, 2: 0.5}


def test_the_best_is_the_largest_accuracy_and_the_smallest_loss(tmp_path: Path) -> None:
    for monitor, best in (("validation/accuracy", 0.7), ("validation/loss", 0.2)):
        ledger = Ledger.create(Storage(f"sqlite:///{tmp_path / 'sweeps.db'}"), monitor.replace("/", "-"), search(), monitor, {})
        for value in (0.5, 0.7, 0.2):
            task = begun(ledger)
            ledger.complete(task.number, 0, value)
        row = ledger.best()
        assert row is not None
        assert row.value == best


def test_an_equal_trial_gets_the_result_of_the_one_that_has_ended_and_waits_for_one_at_work(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path, search())
    first, second = begun(ledger), begun(ledger)
    assert ledger.claim(first.number, 0, "k") is True
    assert ledger.claim(second.number, 0, "k") is None
    ledger.report(first.number, 1, 0.25)
    ledger.complete(first.number, 0, 0.5)
    assert ledger.claim(second.number, 0, "k") is False
    row = ledger.rows()[1]
    assert (row.state, row.value, row.reason) == ("complete", 0.5, "equal to trial 0")
    assert ledger.study.trials[1].intermediate_values == {1: 0.25}


def test_a_trial_whose_equal_one_has_failed_is_trained(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path, search())
    first, second = begun(ledger), begun(ledger)
    ledger.claim(first.number, 0, "k")
    ledger.fail(first.number, "killed", again=False)
    assert ledger.claim(second.number, 0, "k") is True


def test_another_search_of_the_same_name_is_refused(tmp_path: Path) -> None:
    ledger_in(tmp_path, search())
    ledger_in(tmp_path, search())
    with pytest.raises(ConfigError, match="there is a sweep s with other entries: .* `resume s` goes on with that one"):
        ledger_in(tmp_path, search(KIND))


def test_the_nearest_name_of_a_sweep_is_told(tmp_path: Path) -> None:
    ledger_in(tmp_path, search(), name="rates")
    with pytest.raises(ConfigError, match=r"there is no sweep rate; did you mean rates\?"):
        Ledger.open(Storage(f"sqlite:///{tmp_path / 'sweeps.db'}"), "rate")


def in_process(folder: Path, work: str) -> BaseProcess:
    process = multiprocessing.get_context("spawn").Process(target=globals()[work], args=(folder,))
    process.start()
    return process


def begin_and_die(folder: Path) -> None:
    ledger_in(folder, search(trials=1)).next()
    os._exit(9)


def test_the_trial_of_a_killed_sweep_is_tried_again_and_that_costs_no_attempt(tmp_path: Path) -> None:
    in_process(tmp_path, "begin_and_die").join()
    ledger = ledger_in(tmp_path, search(trials=1))
    assert states(ledger) == [(0, 1, "running")]
    ledger.storage.rdb.grace_period = -1  # as after a night
    assert ledger.reap() == ["trial 0: its sweep was killed; it is tried again"]
    assert ledger.reap() == []
    assert states(ledger) == [(0, 1, "retried"), (0, 1, "waiting")]


def test_the_row_of_another_sweep_that_lives_on_this_machine_is_left_alone(tmp_path: Path) -> None:
    begun(ledger_in(tmp_path, search()))
    other = ledger_in(tmp_path, search())
    assert other.reap() == []
    assert states(other) == [(0, 1, "running")]


def test_a_row_that_a_kill_left_without_its_process_is_tried_again(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path, search(trials=1))
    with quiet():
        ledger.study.ask()
    assert ledger.reap() == ["trial 0: its sweep was killed; it is tried again"]
    task = begun(ledger)
    assert (task.point, len(task.words)) == (0, 2)


def test_a_kill_between_a_failure_and_its_next_attempt_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = ledger_in(tmp_path, search(trials=1))
    task = begun(ledger)
    with monkeypatch.context() as killed:
        killed.setattr(attempts, "add_missing", lambda *_, **__: None)
        ledger.fail(task.number, "killed", again=True)
    assert states(ledger) == [(0, 1, "fail")]
    ledger.reap()
    ledger.reap()
    assert states(ledger) == [(0, 1, "retried"), (0, 2, "waiting")]
    assert ledger.study.trials[0].user_attrs[AGAIN] == 2


def test_a_trial_on_another_machine_is_taken_over_when_it_gives_no_sign_of_life(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path, search(trials=1))
    task = begun(ledger)
    ledger.trials[task.number].set_user_attr(OWNER, ["elsewhere", 1, 0.0])
    ledger.trials.clear()
    assert ledger.reap() == []
    ledger.storage.rdb.grace_period = -1
    assert ledger.reap() == [f"trial 0: no sign of life from the machine elsewhere for {GRACE} s; it is tried again"]
    assert states(ledger) == [(0, 1, "retried"), (0, 2, "waiting")]


def test_the_result_of_a_process_that_had_seemed_dead_changes_nothing(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path, search(trials=1))
    task = begun(ledger)
    other = ledger_in(tmp_path, search(trials=1))
    other.study.tell(task.number, 0.25)
    trial, number = ledger.trials[task.number], task.number
    for tell, answer in (
        (lambda: ledger.claim(number, 0, "k"), False),
        (lambda: ledger.report(number, 1, 0.5), True),  # it is to be given up
        (lambda: ledger.prune(number, "no reason"), False),
        (lambda: ledger.fail(number, "killed", again=True), False),
        (lambda: ledger.complete(number, 0, 0.5), False),
    ):
        ledger.trials[number] = trial
        assert tell() is answer
    assert [(row.state, row.value, row.reason) for row in ledger.rows()] == [("complete", 0.25, "")]


def begin_all(folder: Path) -> None:
    while time.time() < float((folder / "go").read_text()):
        time.sleep(0.001)
    ledger = ledger_in(folder, search(KINDS, RATE, trials=20, first=True), stands={"kind": "a"})
    while task := ledger.next():
        ledger.complete(task.number, 0, 0.5)


def test_processes_that_start_at_once_on_an_empty_folder_share_the_points(tmp_path: Path) -> None:
    (tmp_path / "go").write_text(str(time.time() + 3))
    processes = [in_process(tmp_path, "begin_all") for _ in range(2)]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    ledger = ledger_in(tmp_path, search(KINDS, RATE, trials=20, first=True), stands={"kind": "a"})
    assert [row.number for row in ledger.rows()] == list(range(20))
    assert {row.state for row in ledger.rows()} == {"complete"}
    assert [row.words for row in ledger.rows()].count(("fixed=1", "kind=a")) == 1
    assert len({ledger.study.trials[n].user_attrs[OWNER][1] for n in range(20)}) == 2
