"""A sweep as everybody reads it: what it searches, its rows, its best; and the wishes that any process may leave in it."""

import time
from collections.abc import Iterable
from datetime import datetime
from functools import cached_property
from typing import Self

import optuna
from optuna.study import StudyDirection
from optuna.trial import TrialState

from pipeline.config.search import Search
from pipeline.search.attempts import retry
from pipeline.search.rows import ENDED, Row, best_of, front_of, rows_of
from pipeline.search.storage import Storage
from pipeline.search.study import ID, MONITOR, PLAN, open_study

STOP, USED = "stop", "used"  # attributes of a study; used: seconds of all starts together


class Sweep:
    """A study and where it is kept."""

    def __init__(self, storage: Storage, study: optuna.Study) -> None:
        self.storage, self.study = storage, study
        self.start = time.monotonic() - study.user_attrs.get(USED, 0.0)

    @classmethod
    def open(cls, storage: Storage, name: str) -> Self:
        """Open a sweep; see `open_study`."""
        return cls(storage, open_study(storage, name))

    @property
    def name(self) -> str:
        """The sweep's name."""
        return self.study.study_name

    @property
    def id(self) -> str:
        """What tells it from another sweep of the same name, in a database that is gone."""
        return str(self.study.user_attrs[ID])

    @property
    def monitor(self) -> str:
        """The metric that a trial returns."""
        return str(self.study.user_attrs[MONITOR])

    @property
    def sign(self) -> int:
        """1 where large scores are good, -1 where small ones are."""
        return 1 if self.study.directions[0] is StudyDirection.MAXIMIZE else -1

    @cached_property
    def search(self) -> Search:
        """What is searched."""
        return Search.from_json(self.study.user_attrs[PLAN])

    def varied(self, words: Iterable[str]) -> tuple[str, ...]:
        """Return those of a row's overrides that are not the same for all."""
        return tuple(word for word in words if word not in self.search.fixed)

    def rows(self) -> list[Row]:
        """Return all rows in their order."""
        return rows_of(self.study)

    def points(self) -> list[Row]:
        """Return the last row of each point, in the order of the points."""
        return list({row.point: row for row in self.rows()}.values())

    def best(self) -> Row | None:
        """Return the row with the best value, the first of equal ones; None: none is complete."""
        return best_of(self.rows(), self.sign)

    def front(self) -> list[Row]:
        """Return the rows that no other beats in one objective without being worse in the other, the cheapest first."""
        return front_of(self.rows(), self.sign)

    @property
    def is_over_early(self) -> bool:
        """Whether as many points as the search's patience have ended since the last that is among the best."""
        if (patience := self.search.settings.patience) is None:
            return False
        best = {row.number for row in (self.front() if self.search.settings.against else [self.best()]) if row}
        ended = sorted((row for row in self.points() if row.state in ENDED), key=lambda row: row.end or datetime.max, reverse=True)
        return next((n for n, row in enumerate(ended) if row.number in best), len(ended)) >= patience

    @property
    def is_at_work(self) -> bool:
        """Whether any process runs a trial, or one waits."""
        states = (TrialState.RUNNING, TrialState.WAITING)
        return bool(self.study.get_trials(deepcopy=False, states=states))

    @property
    def seconds(self) -> float:
        """Time of all starts together, which a budget of time counts; of processes side by side the longest."""
        return time.monotonic() - self.start

    @property
    def is_stopped(self) -> bool:
        """Whether somebody has asked all processes of this sweep to end."""
        return bool(self.study.user_attrs.get(STOP))

    def stop(self, wanted: bool) -> None:
        """Ask all processes of this sweep, on whatever machine, to end; False: let them go on."""
        self.study.set_user_attr(STOP, wanted)

    def retry(self, points: Iterable[int]) -> list[int]:
        """Try failed points again, all that have failed where none is named; return them. Raises ConfigError for one that has not."""
        with self.storage.lock():
            return retry(self.study, points)
