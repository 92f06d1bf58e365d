"""A line every few seconds: how much is done, how fast, how long it will take."""

import time

EVERY = 5  # seconds


class Progress:
    """Counts towards a total."""

    def __init__(self, what: str, total: int, unit: str) -> None:
        self.what, self.total, self.unit = what, total, unit
        self.done = 0
        self.start = self.told = time.monotonic()

    def tell(self, more: int) -> None:
        """Count `more`, and print where a line is due."""
        self.done += more
        now = time.monotonic()
        if now - self.told > EVERY:
            self.told, rate = now, self.done / (now - self.start)
            left = (self.total - self.done) / rate
            print(f"{self.what}: {self.done:,} of {self.total:,} {self.unit}, {rate:,.0f}/s, {left:.0f} s left", flush=True)
