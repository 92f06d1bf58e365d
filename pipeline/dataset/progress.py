"""Progress lines every few seconds: amount done, rate, time left. Unlike a bar they stay readable in a log."""

import time
from typing import NamedTuple


class Unit(NamedTuple):
    """What is counted."""

    name: str
    size: int  # counts per unit
    digits: int  # decimals shown

    def of(self, count: float) -> str:
        """Return a count in this unit."""
        return f"{count / self.size:,.{self.digits}f}"


IMAGES, BYTES = Unit("images", 1, 0), Unit("MB", 1_000_000, 1)


class Progress:
    """Prints progress.

    what: first words of each line. total: count at the end, if known. every: seconds between lines. done: count at the start, of a
    resumed run."""

    def __init__(self, what: str, total: int | None, unit: Unit, every: float, done: int = 0) -> None:
        self.what, self.total, self.unit, self.every, self.done = what, total, unit, every, done
        self.before = done
        self.start = self.told = time.monotonic()

    def add(self, count: int) -> None:
        """Add to the count, and print a line if one is due."""
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


def duration(seconds: float) -> str:
    """Return h:mm:ss, or m:ss below an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
