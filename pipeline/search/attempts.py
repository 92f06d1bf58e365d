"""Which rows have failed, and which of their points are tried again.

A row that FAILED and is to be tried AGAIN has a successor, which names it in AFTER; where a kill came between the two, the next
process that looks writes it. So there is no moment at which a kill loses a point, or doubles one."""

from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import datetime, timedelta
from functools import wraps
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from pipeline.config.errors import ConfigError
from pipeline.config.job import is_alive
from pipeline.search.rows import AFTER, AGAIN, ATTEMPT, ONLY, OWNER, POINT, REASON, SAME_AS, SCORES, WORDS, point_of, rows_of, tell
from pipeline.search.storage import GRACE, Storage

KILLED = "its sweep was killed"


Method = Callable[..., Any]


def unless_ended(answer: bool) -> Callable[[Method], Method]:
    """Let a method answer so where the row has ended meanwhile: this process had seemed dead, and another has taken its point over."""

    def decorate(method: Method) -> Method:
        @wraps(method)
        def guarded(self: Any, number: int, *values: Any, **options: Any) -> Any:
            try:
                return method(self, number, *values, **options)
            except optuna.exceptions.UpdateFinishedTrialError:
                self.forget(number)
                return answer

        return guarded

    return decorate


def fail(storage: Storage, study: optuna.Study, row: FrozenTrial, reason: str, attempt: int | None) -> bool:
    """End a row as failed; return whether its point is tried again. The caller holds the storage's lock.

    attempt: the number of the one that follows; None: there is no more."""
    for name, value in {REASON: reason, AGAIN: attempt}.items():
        storage.rdb.set_trial_user_attr(row._trial_id, name, value)
    is_again = tell(study, row.number, TrialState.FAIL) and attempt is not None
    if is_again:
        add_missing(storage, study, own=row.number)
    return is_again


def next_attempt(row: FrozenTrial, most: int, counts: bool) -> int | None:
    """Return the number of the attempt that follows a row; None: there have been as many as there may be.

    counts: whether this one is among them."""
    attempt = int(row.user_attrs.get(ATTEMPT, 1)) + counts
    return attempt if attempt <= most else None


def add_missing(storage: Storage, study: optuna.Study, own: int | None = None) -> None:
    """Add the successors that are missing: of an own row, and of those whose process was killed before it added them."""
    rows = study.get_trials(deepcopy=False)
    have = {row.user_attrs.get(AFTER) for row in rows}
    for row in rows:
        if row.state is not TrialState.FAIL or not row.user_attrs.get(AGAIN) or row.number in have:
            continue
        if row.number == own or storage.is_local or _age(row.datetime_complete) > GRACE:
            _add_after(study, row, row.user_attrs[AGAIN])


def retry(study: optuna.Study, points: Iterable[int]) -> list[int]:
    """Try failed points again, all that have failed where none is named; return them. Raises ConfigError for one that has not.

    The caller holds the storage's lock."""
    rows = {row.point: row for row in rows_of(study) if row.state == "fail"}
    for point in points:
        if point not in rows:
            raise ConfigError(f"point {point} has not failed; those that have: {', '.join(map(str, rows)) or 'none'}")
    wanted = [rows[point] for point in (points or rows)]
    for row in wanted:
        _add_after(study, study.get_trials(deepcopy=False)[row.number], attempt=1)
    return [row.point for row in wanted]


def _add_after(study: optuna.Study, row: FrozenTrial, attempt: int) -> None:
    kept = {name: row.user_attrs[name] for name in (WORDS, ONLY, SCORES, SAME_AS) if name in row.user_attrs}
    study.add_trial(
        create_trial(
            state=TrialState.WAITING,
            params=row.params,
            distributions=row.distributions,
            user_attrs=kept | {POINT: point_of(row), AFTER: row.number, ATTEMPT: attempt},
            system_attrs=row.system_attrs,
            intermediate_values=row.intermediate_values,
        )
    )


def lost(storage: Storage, study: optuna.Study, own: Collection[int]) -> Iterator[tuple[FrozenTrial, str]]:
    """Yield the rows at work whose process is dead, with the reason. own: rows of this process."""
    stale = storage.stale(study._study_id)
    for row in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if row.number not in own and (reason := _death_of(row, storage, row._trial_id in stale)):
            yield row, reason


def _death_of(row: FrozenTrial, storage: Storage, is_stale: bool) -> str:
    """Return why a row at work is dead, nothing where it may live. is_stale: there was no sign of life from it for GRACE."""
    owner = row.user_attrs.get(OWNER)
    if owner is None:
        is_dead = storage.is_local or _age(row.datetime_start) > GRACE
        return KILLED if is_dead else ""
    host, pid, born = owner
    if host == storage.host:
        return "" if is_alive(pid, born) else KILLED
    return f"no sign of life from the machine {host} for {GRACE} s" if is_stale else ""


def _age(moment: datetime | None) -> float:
    """Return seconds since a moment of optuna's, in this machine's time."""
    return (datetime.now() - moment) / timedelta(seconds=1) if moment else 0.0
