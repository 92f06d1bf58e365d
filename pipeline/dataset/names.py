"""Names of classes and files in messages: on one line, escaped and shortened."""

import unicodedata
from collections.abc import Callable, Iterable, Sequence

MOST = 5  # names listed in a message
LONGEST = 80  # characters of a name in a message

# Invisible characters that break the line or change its direction: Unicode's controls, surrogates (bytes that are not UTF-8) and line
# separators, and the marks that reverse what follows, which make one name look like another (Unicode Standard Annex 9).
BREAKING = ("Cc", "Cs", "Zl", "Zp")
TURNING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def shown(name: str, most: int = LONGEST) -> str:
    """Return a name on one line, as `on_one_line`; a long one without its middle."""
    plain = on_one_line(name)
    return plain if len(plain) <= most else f"{plain[: most // 2]}…{plain[most // 2 + 1 - most :]}"


def on_one_line(name: str) -> str:
    """Return a name with the characters that break or reverse the line escaped as Python does."""
    return "".join(spelled_out(character) if _is_breaking(character) else character for character in name)


def escaped(name: str) -> str:
    """Return a name in ASCII, which tells apart names that look alike."""
    return "".join(character if character.isascii() and not _is_breaking(character) else spelled_out(character) for character in name)


def first_of(names: Sequence[str], most: int = MOST, written: Callable[[str], str] = shown) -> str:
    """Return "a, b, c and 1,234 more": at most `most` names for a message, each as `written` spells it."""
    told = ", ".join(map(written, names[:most]))
    return told if len(names) <= most else f"{told} and {len(names) - most:,} more"


def alike(names: Iterable[str]) -> list[str]:
    """Return the names that differ from another only in how Unicode composes their letters (NFC or NFD), sorted."""
    several: dict[str, set[str]] = {}
    for name in names:
        several.setdefault(unicodedata.normalize("NFC", name), set()).add(name)
    return sorted(name for same in several.values() if len(same) > 1 for name in same)


def _is_breaking(character: str) -> bool:
    return character in TURNING or unicodedata.category(character) in BREAKING


def spelled_out(character: str) -> str:
    """Return a character as Python escapes it: é is \\xe9."""
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
