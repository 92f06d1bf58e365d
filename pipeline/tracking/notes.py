"""What a person should know of the store and need not act on at once: a line each on stderr."""

import sys
from functools import cache


def note(words: str) -> None:
    print(f"note: {words}", file=sys.stderr)


@cache
def note_once(words: str) -> None:
    """Tell what stays so, though a command may open the store several times."""
    note(words)
