"""What every source answers when it is asked for a file from some byte on, and the two ways in which it can break."""

from collections.abc import Iterator
from dataclasses import dataclass

BLOCK = 1 << 20  # bytes that are read at a time


@dataclass(frozen=True)
class Answer:
    start: int  # the place in the file of the first byte that comes
    whole: int | None  # bytes of the whole file, where the source says so
    version: str | None  # a name for these very bytes, where the source has one
    blocks: Iterator[bytes]  # at most BLOCK bytes each; raises Interrupted


class Interrupted(Exception):
    """The source broke off or could not serve just now; another attempt may go on from here."""

    def __init__(self, reason: str, wait: float = 0) -> None:
        super().__init__(reason)
        self.wait = wait  # seconds that the source asks for


class Outdated(Interrupted):
    """The source can't go on where the part ends; another attempt must begin at the first byte."""
