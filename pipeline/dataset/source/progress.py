"""A line every few seconds about something long: how much is done, how fast, how long it still takes."""

import time


class Progress:
    """what: the line's first words. whole: bytes in all, None where nobody knows. done: bytes from before. every: seconds."""

    def __init__(self, what: str, whole: int | None, done: int, every: float) -> None:
        self.what, self.whole, self.done, self.every = what, whole, done, every
        self.before = done
        self.start = self.told = time.monotonic()

    def add(self, count: int) -> None:
        """Count some bytes, and say so when it is time."""
        self.done += count
        now = time.monotonic()
        if now - self.told >= self.every:
            self.told = now
            print(self._line(now - self.start), flush=True)

    def _line(self, seconds: float) -> str:
        rate = (self.done - self.before) / max(seconds, 1e-3)
        of = f" of {self.whole / 1e6:.1f}" if self.whole else ""
        left = f", {max(self.whole - self.done, 0) / rate:.0f} s left" if self.whole and rate else ""
        return f"{self.what}: {self.done / 1e6:.1f}{of} MB, {rate / 1e6:.1f} MB/s{left}"
