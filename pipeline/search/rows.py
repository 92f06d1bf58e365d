"""The rows of a sweep, as everybody reads them: one for each attempt at a point, with its state, score and reason."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import optuna
from optuna.trial import FrozenTrial, TrialState

Value = str | float  # of an entry: an option's text, or a number

# Attributes of a row.
POINT, AFTER, ATTEMPT, ONLY = "point", "after", "attempt", "only"  # only: names of the entries that vary in it; missing: all
WORDS, OWNER = "words", "owner"  # its overrides; host, pid and birth of the process that runs it
KEYS, SCORES, SAME_AS = "keys", "scores", "same_as"  # repetition -> identity of its training; its score; the trial whose training it shares
REASON, AGAIN = "reason", "again"

ENDED = ("complete", "pruned", "fail")  # states of a row that no other follows


@dataclass(frozen=True)
class Row:
    """One attempt at a point. state: waiting, running, complete, pruned, or fail, and retried where there is a later attempt.

    value: the mean of its repetitions' scores; cost: that of the second objective. values: of the entries that vary in it, by name.
    curve: epoch -> score, of the first repetition. same_as: the trial whose trainings this one shares. scores: repetition -> score."""

    number: int
    point: int
    attempt: int
    state: str
    words: tuple[str, ...]
    value: float | None
    reason: str
    seconds: float
    values: Mapping[str, Value] = field(default_factory=dict)
    curve: Mapping[int, float] = field(default_factory=dict)
    same_as: int | None = None
    scores: Mapping[int, float] = field(default_factory=dict)
    cost: float | None = None
    end: datetime | None = None

    @property
    def spread(self) -> float | None:
        """The standard deviation of its repetitions' scores; None: there are not two."""
        return statistics.stdev(self.scores.values()) if len(self.scores) > 1 else None


def rows_of(study: optuna.Study) -> list[Row]:
    """Return all rows in their order."""
    found = study.get_trials(deepcopy=False)
    retried = {row.user_attrs.get(AFTER) for row in found}
    return [_row(row, row.number in retried) for row in found]


def best_of(rows: Sequence[Row], sign: int) -> Row | None:
    """Return the row with the best value, the cheapest of equal ones; None: none is complete. sign: 1 where large values are good."""
    return max(_complete(rows), key=lambda row: (sign * (row.value or 0.0), -(row.cost or 0.0)), default=None)


def front_of(rows: Sequence[Row], sign: int) -> list[Row]:
    """Return the rows that no other beats in one objective without being worse in the other, the cheapest first."""
    found: list[Row] = []
    for row in sorted(_complete(rows), key=lambda row: (row.cost or 0.0, -sign * (row.value or 0.0))):
        if not found or sign * (row.value or 0.0) > sign * (found[-1].value or 0.0):
            found.append(row)
    return found


def _complete(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row.state == "complete" and row.value is not None]


def point_of(row: FrozenTrial) -> int:
    """Return the number of the first row of a row's point."""
    return int(row.user_attrs.get(POINT, row.number))


def _same_as(row: FrozenTrial) -> int | None:
    """Return the trial whose trainings are all those of a row."""
    shared = row.user_attrs.get(SAME_AS, {})
    is_whole = row.state is TrialState.PRUNED or len(shared) == len(row.user_attrs.get(SCORES, {}))
    return next(iter(shared.values())) if is_whole and len(set(shared.values())) == 1 else None


def equal_trainings(study: optuna.Study, number: int, repetition: int, key: str) -> Iterator[tuple[FrozenTrial, str]]:
    """Yield (row, repetition) of the other trainings with this key; those that have a result first."""
    rows = study.get_trials(deepcopy=False)
    for row in sorted(rows, key=lambda row: row.state is TrialState.RUNNING):
        for other, its_key in row.user_attrs.get(KEYS, {}).items():
            if its_key == key and (row.number, other) != (number, str(repetition)):
                yield row, other


def tell(study: optuna.Study, number: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
    """End a row, once. False: it had ended."""
    try:
        study.tell(number, values, state)
    except (ValueError, optuna.exceptions.UpdateFinishedTrialError):
        if study.get_trials(deepcopy=False)[number].state is TrialState.RUNNING:
            raise
        return False
    return True


def _row(row: FrozenTrial, is_retried: bool) -> Row:
    attributes = row.user_attrs
    end, same_as = row.datetime_complete or datetime.now(), _same_as(row)
    return Row(
        row.number,
        point_of(row),
        attributes.get(ATTEMPT, 1),
        "retried" if is_retried else row.state.name.lower(),
        tuple(attributes.get(WORDS, ())),
        row.values[0] if row.values else None,
        attributes.get(REASON) or (f"equal to trial {same_as}" if same_as is not None else ""),
        (end - row.datetime_start).total_seconds() if row.datetime_start else 0.0,
        row.params,
        row.intermediate_values,
        same_as,
        {int(repetition): score for repetition, (score, *_) in attributes.get(SCORES, {}).items()},
        row.values[1] if row.values and len(row.values) > 1 else None,
        row.datetime_complete,
    )
