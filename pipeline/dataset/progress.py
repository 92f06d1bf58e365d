"""A line every few seconds about something long: how much is done, how fast, how long it still takes."""

import time
from typing import NamedTuple


class Unit(NamedTuple):
    """What is counted, and how it is shown."""

    name: str
    size: int  # counts in one
    digits: int  # after the point

    def of(self, count: float) -> str:
        return f"{count / self.size:,.{self.digits}f}"


IMAGES, BYTES = Unit("images", 1, 0), Unit("MB", 1_000_000, 1)


class Progress:
    """what: the line's first words. total: in all, None where nobody knows. every: seconds. done: from before."""

    def __init__(self, what: str, total: int | None, unit: Unit, every: float, done: int = 0) -> None:
        self.what, self.total, self.unit, self.every, self.done = what, total, unit, every, done
        self.before = done
        self.start = self.told = time.monotonic()

    def add(self, count: int) -> None:
        """Count some more, and say so when it is time."""
        self.done += count
        now = time.monotonic()
        if now - self.told >= self.every:
            self.told = now
            print(self._line(now - self.start), flush=True)

    def _line(self, seconds: float) -> str:
        rate = (self.done - self.before) / max(seconds, 1e-3)
        of = f" of {self.unit.of(self.total)}" if self.total else ""
        left = f", {max(self.total - self.done, 0) / rate:.0f} s left" if self.total and rate else ""
        return f"{self.what}: {self.unit.of(self.done)}{of} {self.unit.name}, {self.unit.of(rate)} {self.unit.name}/s{left}"
