"""Names as people give them to classes and files: how they are shown where a line is a line."""

import unicodedata
from collections.abc import Callable, Iterable, Sequence

MOST = 5  # names that a message lists
LONGEST = 80  # characters of a name that a message shows

# What is no character to see but breaks or turns the line: Unicode's controls, surrogates (bytes that are no UTF-8) and separators
# of lines, and the marks that reverse what follows, by which one name can look like another (Unicode Standard Annex 9).
BREAKING = ("Cc", "Cs", "Zl", "Zp")
TURNING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def shown(name: str, most: int = LONGEST) -> str:
    """Return a name on one line, with what would break or turn the line escaped as Python does, and its middle left out if it is long."""
    plain = on_one_line(name)
    return plain if len(plain) <= most else f"{plain[: most // 2]}…{plain[most // 2 + 1 - most :]}"


def on_one_line(name: str) -> str:
    return "".join(spelled_out(character) if _is_breaking(character) else character for character in name)


def first_of(names: Sequence[str], most: int = MOST, written: Callable[[str], str] = shown) -> str:
    """Return names for a message, the first of many."""
    told = ", ".join(map(written, names[:most]))
    return told if len(names) <= most else f"{told} and {len(names) - most:,} more"


def alike(names: Iterable[str]) -> list[str]:
    """Return the names that others among them are like but for Unicode's composed and decomposed letters, sorted."""
    several: dict[str, set[str]] = {}
    for name in names:
        several.setdefault(unicodedata.normalize("NFC", name), set()).add(name)
    return sorted(name for same in several.values() if len(same) > 1 for name in same)


def escaped(name: str) -> str:
    """Return a name in ASCII, by which names can be told apart that look alike."""
    return "".join(character if character.isascii() and not _is_breaking(character) else spelled_out(character) for character in name)


def _is_breaking(character: str) -> bool:
    return character in TURNING or unicodedata.category(character) in BREAKING


def spelled_out(character: str) -> str:
    """Return a character as Python writes it by its number."""
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
