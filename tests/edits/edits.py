"""What all edits of a working copy have in common: each says itself in words, does itself, and says what is meant by it."""

from typing import Any

from tests.edits.run import Run


class Edit:
    def fits(self, run: Run) -> bool:
        """Tell whether the edit can be made now and changes something."""
        return True

    def play(self, run: Run) -> None:
        raise NotImplementedError


def moved(names: list[str], name: str, before: str) -> list[str]:
    """Return the names with one of them moved before another; the same where one of them is missing."""
    if name not in names or before not in names or name == before:
        return names
    rest = [other for other in names if other != name]
    return [*rest[: rest.index(before)], name, *rest[rest.index(before) :]]


def write(tree: Any, key: str, value: object) -> None:
    """Set the value at a dotted key of a file that people write."""
    *parents, last = key.split(".")
    for part in parents:
        tree = tree.setdefault(part, {})
    tree[last] = value
