"""Fields of the config with a constraint: `lr: float = above(0)`. Of a list or a mapping each item must satisfy it; null always does.

`value in constraint` tells whether a value satisfies it, `str(constraint)` says what is expected (like scikit-learn's constraints)."""

import dataclasses
import importlib
import math
import re
from dataclasses import dataclass
from typing import Any

from omegaconf import MISSING


@dataclass(frozen=True)
class Interval:
    """Finite numbers from `low` to `high`. closed: which ends belong to it: both, left, right or neither."""

    low: float
    high: float = math.inf
    closed: str = "both"
    unit: str = ""

    def __contains__(self, value: Any) -> bool:
        if not isinstance(value, int | float):
            return False
        above = value >= self.low if self.closed in ("both", "left") else value > self.low
        below = value <= self.high if self.closed in ("both", "right") else value < self.high
        return math.isfinite(value) and above and below

    def __str__(self) -> str:
        if self.high == math.inf:
            return f"{self.low} or more" if self.closed in ("both", "left") else f"a number above {self.low}"
        return {
            "both": f"{self.low} to {self.high}{self.unit}",
            "left": f"a number from {self.low} to below {self.high}{self.unit}",
            "right": f"a number above {self.low}, at most {self.high}{self.unit}",
            "neither": f"a number between {self.low} and {self.high}{self.unit}",
        }[self.closed]


@dataclass(frozen=True)
class OneOf:
    """One of a few values."""

    values: tuple[Any, ...]

    def __contains__(self, value: Any) -> bool:
        return value in self.values

    def __str__(self) -> str:
        return f"one of {', '.join(map(str, self.values))}"


@dataclass(frozen=True)
class KeyOf:
    """A key of the mapping `name` in `module`, which config/ can't import at the top, as it lies in a higher row (docs/architecture.md)."""

    module: str
    name: str

    def __contains__(self, value: Any) -> bool:
        return value in self._mapping

    def __str__(self) -> str:
        return f"one of {', '.join(self._mapping)}"

    @property
    def _mapping(self) -> dict[str, Any]:
        return dict(getattr(importlib.import_module(self.module), self.name))


@dataclass(frozen=True)
class Pattern:
    """Text of which all matches a regular expression. words: what such a text is."""

    expression: str
    words: str

    def __contains__(self, value: Any) -> bool:
        return isinstance(value, str) and re.fullmatch(self.expression, value) is not None

    def __str__(self) -> str:
        return self.words


def above(low: float, default: Any = MISSING) -> Any:
    """Return a field of numbers above `low`."""
    return _field(Interval(low, closed="neither"), default)


def at_least(low: float, default: Any = MISSING) -> Any:
    """Return a field of numbers that are `low` or more."""
    return _field(Interval(low), default)


def between(low: float, high: float, unit: str = "", closed: str = "both", default: Any = MISSING) -> Any:
    """Return a field of numbers from `low` to `high`. closed: as for Interval."""
    return _field(Interval(low, high, closed, unit), default)


def share(default: Any = MISSING) -> Any:
    """Return a field of shares of a whole that leave something of it: from 0 to below 1."""
    return between(0, 1, closed="left", default=default)


def one_of(*values: Any, default: Any = MISSING) -> Any:
    """Return a field of one of these values."""
    return _field(OneOf(values), default)


def key_of(module: str, name: str) -> Any:
    """Return a field of one of the keys of the mapping `name` in `module`, which is imported when a value is checked."""
    return _field(KeyOf(module, name), MISSING)


def matching(expression: str, words: str, default: Any = MISSING) -> Any:
    """Return a field of text of which all matches a regular expression. words: what such a text is."""
    return _field(Pattern(expression, words), default)


def options(known: type | None = None, each: bool = False) -> Any:
    """Return the field of a node that names a class in `_target_`.

    known: a dataclass of options of such classes, with their ranges; None: the classes check their own. each: the node maps names
    to such nodes."""
    return dataclasses.field(default=MISSING, metadata={"options": known, "each": each})


def _field(constraint: Any, default: Any) -> Any:
    return dataclasses.field(default=default, metadata={"constraint": constraint})
