"""Does a value of YAML fit a type hint, and how is the hint said in words: of the schema's fields and of a class's options.

What YAML can't hold (a Tensor, a function) fits nothing; a hint that is no type here, as a TypeVar, fits everything."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

WORDS: dict[Any, str] = {int: "a whole number", float: "a number", bool: "true or false", str: "text", NoneType: "null"}
PLURALS = {"a whole number": "whole numbers", "a number": "numbers", "text": "text"}
LISTS = (list, tuple, Sequence, Iterable, Collection)
MAPPINGS = (dict, Mapping)


def fits(value: Any, hint: Any) -> bool:
    """Tell whether a value of YAML is of a type; a whole number is a number too, and numbers pass for text, as a class may be called 0."""
    kind, parts = _taken_apart(hint)
    if kind is Union:
        return any(fits(value, part) for part in parts)
    if kind is Literal:
        return value in parts
    if kind in LISTS:
        return isinstance(value, list) and _items_fit(value, kind, parts)
    if kind in MAPPINGS:
        return isinstance(value, Mapping) and all(fits(item, parts[1]) for item in value.values() if parts)
    if kind in (int, float, str) and isinstance(value, bool):
        return False
    accepted = {float: (int, float), str: (str, int, float), Callable: ()}.get(kind, kind)
    return kind is Any or not isinstance(accepted, type | tuple) or isinstance(value, accepted)


def misfit(key: str, value: Any, hint: Any) -> tuple[str, Any, Any] | None:
    """Return the key, value and hint that do not fit, of an entry where the value is a mapping; None where all fit."""
    kind, parts = _taken_apart(hint)
    if kind is Union and isinstance(value, Mapping):
        hint = next((part for part in parts if _taken_apart(part)[0] in MAPPINGS), hint)
        kind, parts = _taken_apart(hint)
    if kind in MAPPINGS and parts and isinstance(value, Mapping):
        return next((found for name in value if (found := misfit(f"{key}.{name}", value[name], parts[1]))), None)
    return None if fits(value, hint) else (key, value, hint)


def in_words(hint: Any) -> str:
    """Return what a hint asks for, in words; of what YAML can't hold nothing is said."""
    kind, parts = _taken_apart(hint)
    if kind is Union:
        return " or ".join(dict.fromkeys(words for part in parts if (words := in_words(part))))
    if kind is Literal:
        return "one of " + ", ".join(map(str, parts))
    if kind in LISTS:
        each, count = in_words(parts[0]) if parts else "", f"{len(parts)} " if _has_length(kind, parts) else ""
        return f"a list of {count}{PLURALS.get(each, f'values, each {each}')}" if each else "a list"
    return "a mapping" if kind in MAPPINGS else WORDS.get(kind, "")


def _items_fit(values: list[Any], kind: Any, parts: tuple[Any, ...]) -> bool:
    if _has_length(kind, parts):
        return len(values) == len(parts) and all(map(fits, values, parts))
    return not parts or all(fits(value, parts[0]) for value in values)


def _has_length(kind: Any, parts: tuple[Any, ...]) -> bool:
    """Tell whether a hint is of a tuple of so many values; tuple[float, ...] has any number of them."""
    return kind is tuple and bool(parts) and parts[-1] is not ...


def _taken_apart(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return the type without its brackets, and the parts in them; NoneType for None, Union for a | b."""
    origin = get_origin(hint)
    if origin is Annotated:
        return _taken_apart(get_args(hint)[0])
    return NoneType if hint is None else Union if origin is UnionType else origin or hint, get_args(hint)
