"""The ledger of a sweep is a study of optuna's: every trial is a row before it starts, and whatever happens to it is in its row.

An optuna row that has ended stays as it is, so another attempt at a point is another row. The rows of one point share POINT, the
number of its first (rows.py); which point gets another is decided in attempts.py."""

import os
import statistics
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import optuna
import psutil
from optuna.trial import FrozenTrial, Trial, TrialState

from pipeline.config.search import Search
from pipeline.search.attempts import KILLED, add_missing, fail, lost, next_attempt, unless_ended
from pipeline.search.rows import (
    ATTEMPT,
    KEYS,
    ONLY,
    OWNER,
    POINT,
    REASON,
    SAME_AS,
    SCORES,
    WORDS,
    equal_trainings,
    point_of,
    tell,
)
from pipeline.search.sampling import Values, draw, pruner_of, sampler_of
from pipeline.search.storage import Storage, quiet
from pipeline.search.study import create_study
from pipeline.search.sweep import USED, Sweep
from pipeline.search.task import Task

STOPPED = "stopped with its sweep"


class Ledger(Sweep):
    """The rows of one sweep, as one process changes them."""

    def __init__(self, storage: Storage, study: optuna.Study) -> None:
        super().__init__(storage, study)
        self.trials: dict[int, Trial] = {}  # those that this process runs
        self.left: dict[int, list[int]] = {}  # their repetitions that have not begun
        self.owner = [storage.host, os.getpid(), psutil.Process().create_time()]

    @classmethod
    def create(cls, storage: Storage, name: str, search: Search, monitor: str, stands: Values) -> "Ledger":
        """Make a sweep, or join it where another process has made it; see `create_study`."""
        return cls(storage, create_study(storage, name, search, monitor, stands))

    def next(self, *, may_draw: bool = True) -> Task | None:
        """Return the next training, in whose row stands that this process runs it; None: none is left to begin.

        may_draw: else those alone whose points have begun here."""
        with self.storage.lock():
            if self.is_stopped:
                return None
            if task := self._next_repetition():
                return task
            rows = self.study.get_trials(deepcopy=False)
            waits = any(row.state is TrialState.WAITING for row in rows)
            if not may_draw or not (waits or self._may_draw(rows)):
                return None
            trial = self._begun(len(rows))
        self.trials[trial.number] = trial
        self.beat()
        done = trial.user_attrs.get(SCORES, {})
        self.left[trial.number] = [n for n in range(len(self.search.repetitions)) if str(n) not in done]
        if not self.left[trial.number]:  # killed before its last score was the row's end
            self._end(trial.number, done)
        return self.next(may_draw=may_draw)

    def _begun(self, rows: int) -> Trial:
        """Draw a point, or take one that waits; its row says that this process runs it."""
        self.study.sampler = sampler_of(self.search.settings, rows)
        self.study.pruner = pruner_of(self.search.settings)
        with quiet():
            trial = self.study.ask()
            drawn = trial.user_attrs
            trial.set_user_attr(OWNER, self.owner)
            only = set(drawn[ONLY]) if ONLY in drawn else None
            words = drawn.get(WORDS) or [*self.search.fixed, *draw(trial, self.search, only)]
        trial.set_user_attr(POINT, drawn.get(POINT, trial.number))
        trial.set_user_attr(ATTEMPT, drawn.get(ATTEMPT, 1))
        trial.set_user_attr(WORDS, words)
        return trial

    def _next_repetition(self) -> Task | None:
        """Return a repetition that has not begun, of a trial at work; the first decides whether a trial is pruned before others begin."""
        for number, left in self.left.items():
            attributes = self._frozen(self.trials[number]).user_attrs
            may_be_pruned = self.search.settings.pruner != "none" and "0" not in attributes.get(SCORES, {})
            if left and (left[0] == 0 or not may_be_pruned):
                repetition = left.pop(0)
                repeated, words, against = self.search.repetitions[repetition], attributes[WORDS], self.search.settings.against
                same = (self.name, self.id, number, attributes[POINT])
                return Task(*same, (*words, *repeated), self.varied(words), repetition, repeated, against)
        return None

    def _may_draw(self, rows: list[FrozenTrial]) -> bool:
        settings = self.search.settings
        points = sum(point_of(row) == row.number for row in rows)
        return settings.sampler != "grid" and (settings.trials is None or points < settings.trials) and not self.is_over_early

    @unless_ended(False)
    def claim(self, number: int, repetition: int, key: str) -> bool | None:
        """Tell whether a training is to be done: True; False: an equal one has ended, and this has its score; None: one is at work.

        key: of the training's identity: the same config, data and code."""
        trial = self.trials[number]
        with self.storage.lock():
            for row, other in equal_trainings(self.study, number, repetition, key):
                score = row.user_attrs.get(SCORES, {}).get(other)
                if score is not None or row.state is TrialState.PRUNED:
                    self._share(trial, repetition, row, score)
                    return False
                if row.state is TrialState.RUNNING:
                    return None
            self._set(trial, KEYS, repetition, key)
            return True

    def _share(self, trial: Trial, repetition: int, row: FrozenTrial, score: Sequence[float] | None) -> None:
        """Give a trial the result of an equal training. score: None where that was pruned."""
        self._set(trial, SAME_AS, repetition, row.number)
        if repetition == 0:
            for epoch, value in row.intermediate_values.items():
                self._report(trial, epoch, value)
        if score is None:
            self._tell(trial.number, TrialState.PRUNED)
        else:
            self.complete(trial.number, repetition, *score)

    def _set(self, trial: Trial, name: str, repetition: int, value: Any) -> None:
        """Set a repetition's entry in an attribute of a row."""
        trial.set_user_attr(name, self._frozen(trial).user_attrs.get(name, {}) | {str(repetition): value})

    @unless_ended(True)
    def report(self, number: int, epoch: int, value: float) -> bool:
        """Record a trial's value after an epoch; return whether it is to be given up."""
        trial = self.trials[number]
        self._report(trial, epoch, value)
        return bool(self.study.pruner.prune(self.study, self._frozen(trial)))

    def _report(self, trial: Trial, epoch: int, value: float) -> None:
        if epoch not in self._frozen(trial).intermediate_values:  # an earlier attempt, whose checkpoint was lost, may have told it
            self.storage.rdb.set_trial_intermediate_value(trial._trial_id, epoch, value)

    @unless_ended(False)
    def complete(self, number: int, repetition: int, *scores: float) -> bool:
        """Record a training's objectives; with the last repetition the row is complete, and its values are their means.

        False: the row has ended otherwise, because this process had seemed to be dead."""
        trial = self.trials[number]
        self._set(trial, SCORES, repetition, scores)
        found = self._frozen(trial).user_attrs[SCORES]
        if len(found) < len(self.search.repetitions):
            return True
        return self._end(number, found)

    def _end(self, number: int, scores: Mapping[str, Sequence[float]]) -> bool:
        return self._tell(number, TrialState.COMPLETE, [statistics.fmean(values) for values in zip(*scores.values(), strict=True)])

    @unless_ended(False)
    def prune(self, number: int, reason: str) -> bool:
        """Record that a trial was given up; its value is the last that it reported."""
        self.trials[number].set_user_attr(REASON, reason)
        return self._tell(number, TrialState.PRUNED)

    @unless_ended(False)
    def fail(self, number: int, reason: str, *, again: bool, counts: bool = True) -> bool:
        """Record why a trial failed; return whether its point is tried again.

        again: whether another attempt may end otherwise. counts: among the attempts that a point has."""
        row = self._frozen(self.trials[number])
        with self.storage.lock():
            is_again = self._fail(row, reason, again, counts)
        self.forget(number)
        return is_again

    def _fail(self, row: FrozenTrial, reason: str, again: bool, counts: bool) -> bool:
        attempt = next_attempt(row, self.search.settings.attempts, counts) if again else None
        return fail(self.storage, self.study, row, reason, attempt)

    def _tell(self, number: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """End a row of this process, once. False: it had ended."""
        self.forget(number)
        return tell(self.study, number, state, values)

    def hold(self, number: int) -> None:
        """Begin no more repetitions of a trial of this process."""
        self.left[number] = []

    def release(self) -> None:
        """Have the trials tried again that a stop has left between two repetitions."""
        for number in list(self.trials):
            self.fail(number, STOPPED, again=True, counts=False)

    def forget(self, number: int) -> None:
        """Leave a row to whoever has ended it."""
        self.trials.pop(number, None)
        self.left.pop(number, None)

    def beat(self) -> None:
        """Give a sign of life for the trials that this process runs, and write down the time that the sweep has taken."""
        self.study.set_user_attr(USED, self.seconds)
        for trial in self.trials.values():
            self.storage.rdb.record_heartbeat(trial._trial_id)

    def reap(self) -> list[str]:
        """End the rows whose process is dead, and have them tried again; return a line for each."""
        told = []
        with self.storage.lock():
            for row, reason in lost(self.storage, self.study, self.trials):
                with suppress(optuna.exceptions.UpdateFinishedTrialError):  # another machine was faster
                    again = self._fail(row, reason, again=True, counts=reason != KILLED)  # a kill of the sweep is not its trial's fault
                    told.append(f"trial {row.number}: {reason}{'; it is tried again' if again else ''}")
            add_missing(self.storage, self.study)
        return told

    def _frozen(self, trial: Trial) -> FrozenTrial:
        return self.storage.rdb.get_trial(trial._trial_id)
