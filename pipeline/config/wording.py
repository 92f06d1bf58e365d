"""Wording shared by all messages: numbers with their nouns, values as YAML has them, the nearest known name."""

import json
import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any


def counted(number: int, one: str, several: str = "") -> str:
    """Return "1 image", "2 images", "1,234 images". several: the plural, where it is not `one` with an s."""
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"


def shown(value: Any) -> str:
    """Return a value as YAML has it, on one line of at most 80 characters."""
    text = json.dumps(value, default=repr, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."


def nearest(name: str, known: Iterable[str], most: int = 1, cutoff: float = 0.6) -> list[str]:
    """Return at most `most` known names that may be meant: those with the same last part first, then those spelled alike.

    cutoff: similarity that a spelling needs, 0..1, as difflib measures it."""
    names = list(known)
    same_end = get_close_matches(name, [other for other in names if _last_part(other) == _last_part(name)], n=most, cutoff=0)
    return list(dict.fromkeys([*same_end, *get_close_matches(name, names, n=most, cutoff=cutoff)]))[:most]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean …?" with the nearest known name, or nothing where none is near."""
    return "".join(f"; did you mean {near}?" for near in nearest(name, known))


def unknown(key: str, what: str, known: Iterable[str], name: str = "") -> str:
    """Word the refusal of a key, an option or a group that there is not. what: "a key of conf/". name: of `known`'s kind, where not key."""
    return f"{key} is not {what}{did_you_mean(name or key, known)}"


def _last_part(name: str) -> str:
    return re.split(r"[./]", name)[-1]
