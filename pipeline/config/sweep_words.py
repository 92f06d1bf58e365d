"""The words of a sweep: key=value of Hydra's command line, whose value may be several, a range of numbers, or options of a group.

- model=lenet,vgg11_bn: one of these
- optimizer.lr=tag(log,interval(1e-4,1e-1)): any number between; log: each power of ten is as likely as the others
- training.epochs=int(interval(5,50)): any whole number between
- training.batch_size=range(16,129,16): 16, 32, … 128"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, IntervalSweep, Override
from hydra.errors import HydraException

from pipeline.config.compose import in_one_line
from pipeline.config.errors import ConfigError
from pipeline.config.secrets import looks_secret, redact, way_out
from pipeline.config.wording import did_you_mean

TAGS = ("log",)
FUNCTIONS = ("choice", "range", "interval", "int", "tag")
NO_FUNCTION = re.compile(r"Unknown function '(\w+)'")
AS_TYPED = {"True": "true", "False": "false"}


@dataclass(frozen=True)
class Options:
    """Values of which one is taken, as they are typed."""

    texts: tuple[str, ...]


@dataclass(frozen=True)
class Interval:
    """Numbers from `low` to `high`, both included. step: between two of them; None: any real number."""

    low: float
    high: float
    is_log: bool = False
    step: float | None = None

    @property
    def is_whole(self) -> bool:
        """Tell whether all of them are whole numbers."""
        return all(isinstance(number, int) for number in (self.low, self.high, self.step))

    def __contains__(self, value: float) -> bool:
        steps = 0 if self.step is None else (value - self.low) / self.step
        return self.low <= value <= self.high and math.isclose(steps, round(steps), abs_tol=1e-9)

    def place(self, value: float) -> float:
        """Return where a number lies between the ends, 0..1, on the range's own scale."""
        low, high, number = (math.log(x) if self.is_log else x for x in (self.low, self.high, value))
        return (number - low) / (high - low)

    def texts(self) -> Iterator[str]:
        """Yield the numbers as they are typed. Raises ValueError where there is no end of them."""
        if self.step is None:
            raise ValueError("real numbers can't be listed")
        for n in range(round((self.high - self.low) / self.step) + 1):
            yield repr(self.low + n * self.step)


Values = Options | Interval


def values_of(word: str) -> Values | None:
    """Return the values that a word lets a key take; None: one value, which it fixes.

    Raises ConfigError for what Hydra can't read, what a sweep can't draw from, and for secrets."""
    key, _, value = word.partition("=")
    if what := looks_secret(key.lstrip("+~"), value) or looks_secret("", word):
        raise ConfigError(f"{redact(key)}: the value looks like {what}; {way_out(key.lstrip('+~'))}")
    try:
        override = OverridesParser.create().parse_override(word)
        if not override.is_sweep_override():
            return None
        return _interval(override) if override.is_interval_sweep() else _options(override)
    except HydraException as error:
        reason = in_one_line(error).partition("See https")[0].strip()
        if found := NO_FUNCTION.search(reason):
            near = did_you_mean(found[1], FUNCTIONS) or f"; there are {', '.join(FUNCTIONS)}"
            raise ConfigError(f"{redact(word)}: {found[1]} is no function of a sweep{near}") from error
        raise ConfigError(f"{redact(word)} is neither group=name nor key=value: {reason}") from error


def _interval(override: Override) -> Interval:
    sweep = cast(IntervalSweep, override.value())
    key, low, high = override.key_or_group, sweep.start, sweep.end
    is_log = _is_log(key, sweep.tags)
    if low is None or high is None or low >= high:
        raise ConfigError(f"{key}: an interval goes from a smaller number to a larger one, but it is {low} to {high}")
    if is_log and low <= 0:
        raise ConfigError(f"{key}: an interval with the tag log begins above 0, but it begins at {low}")
    return Interval(low, high, is_log, 1 if isinstance(low, int) and isinstance(high, int) else None)


def _options(override: Override) -> Values:
    """Return what choice, a list with commas, or range stands for; a range of several numbers keeps their order."""
    key = override.key_or_group
    if isinstance(override.value(), Glob):
        raise ConfigError(f"{key}: a sweep can't look for names; list them")
    texts = tuple(dict.fromkeys(AS_TYPED.get(text, text) for text in override.sweep_string_iterator()))
    if getattr(override.value(), "tags", None):
        raise ConfigError(f"{key}: only an interval can have a tag")
    if not texts:
        raise ConfigError(f"{key}: there is nothing in this range; it ends before its second number")
    if not override.is_range_sweep() or len(texts) == 1:
        return Options(texts)
    is_whole = all(text.lstrip("-").isdigit() for text in texts)
    numbers: list[float] = sorted(int(text) if is_whole else float(text) for text in texts)
    return Interval(numbers[0], numbers[-1], step=numbers[1] - numbers[0])


def _is_log(key: str, tags: set[str]) -> bool:
    for tag in sorted(tags - set(TAGS)):
        raise ConfigError(f"{key}: the tag of an interval is {' or '.join(TAGS)}, but it is {tag}{did_you_mean(tag, TAGS)}")
    return "log" in tags
