"""Does a value fit an annotation, and how is that said in words: of the schema's fields and of classes read from their source.

What an annotation says that YAML can't hold (a Tensor, a function) fits nothing; a name that is not known here fits everything."""

import ast
import inspect
import json
from collections.abc import Mapping
from typing import Any

WORDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text", "None": "null"}
PLURALS = {"a whole number": "whole numbers", "a number": "numbers", "text": "text"}
LISTS = {"list", "List", "tuple", "Tuple", "Sequence", "Iterable", "Collection"}
MAPPINGS = {"dict", "Dict", "Mapping"}
NOT_IN_YAML = {"Tensor", "Callable", "ndarray", "Module", "Parameter"}


def annotation_of(hint: Any) -> ast.expr:
    """Return a type as the expression that would annotate it."""
    return ast.parse(inspect.formatannotation(hint), mode="eval").body


def shown(value: Any) -> str:
    """Return a value for a message, as YAML would have it, on one line and not too long."""
    text = json.dumps(value, default=repr, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."


def fits(value: Any, annotation: ast.expr | None) -> bool:
    """Tell whether a value of YAML is of the annotated type."""
    name, parts = _taken_apart(annotation)
    if name == "Union":
        return any(fits(value, part) for part in parts)
    if name == "Literal":
        return any(not isinstance(part, ast.Constant) or part.value == value for part in parts)
    if name in LISTS:
        return isinstance(value, list) and _items_fit(value, parts, is_tuple=name.lower() == "tuple")
    if name in MAPPINGS:
        return isinstance(value, Mapping) and all(fits(item, parts[1]) for item in value.values() if len(parts) == 2)
    return name not in NOT_IN_YAML and _is_plain(value, name)


def misfit(key: str, value: Any, annotation: ast.expr | None) -> tuple[str, Any, ast.expr | None] | None:
    """Return the key, value and annotation that do not fit, of an entry where the value is a mapping; None where all fit."""
    name, parts = _taken_apart(annotation)
    mappings = [part for part in parts if name == "Union" and _taken_apart(part)[0] in MAPPINGS]
    if mappings and isinstance(value, Mapping):
        return misfit(key, value, mappings[0])
    if name in MAPPINGS and len(parts) == 2 and isinstance(value, Mapping):
        return next((found for item in value if (found := misfit(f"{key}.{item}", value[item], parts[1]))), None)
    return None if fits(value, annotation) else (key, value, annotation)


def _is_plain(value: Any, name: str) -> bool:
    """Tell whether a value is of a type without parts; numbers pass for text, as a class may be called 0."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return {
        "int": is_number and not isinstance(value, float),
        "float": is_number,
        "bool": isinstance(value, bool),
        "str": is_number or isinstance(value, str),
        "None": value is None,
    }.get(name, True)


def _items_fit(values: list[Any], parts: list[ast.expr], is_tuple: bool) -> bool:
    if is_tuple and not _is_open(parts):
        return len(values) == len(parts) and all(fits(value, part) for value, part in zip(values, parts, strict=True))
    return not parts or all(fits(value, parts[0]) for value in values)


def _is_open(parts: list[ast.expr]) -> bool:
    """Tell whether a tuple may have any length: tuple[float, ...], or a tuple of nothing in particular."""
    return not parts or ast.unparse(parts[-1]) == "..."


def in_words(annotation: ast.expr | None) -> str:
    """Return what an annotation asks for, in words; of what YAML can't hold nothing is said."""
    name, parts = _taken_apart(annotation)
    if name == "Union":
        return " or ".join(dict.fromkeys(words for part in parts if (words := in_words(part))))
    if name == "Literal":
        return "one of " + ", ".join(str(part.value) if isinstance(part, ast.Constant) else ast.unparse(part) for part in parts)
    if name in LISTS:
        count = f"{len(parts)} " if name.lower() == "tuple" and not _is_open(parts) else ""
        each = in_words(parts[0]) if parts else ""
        return f"a list of {count}{PLURALS.get(each, f'values, each {each}')}" if each else "a list"
    if name in MAPPINGS:
        return "a mapping"
    return WORDS.get(name, "")


def _taken_apart(annotation: ast.expr | None) -> tuple[str, list[ast.expr]]:
    """Return an annotation's name without its module, and the parts in its brackets."""
    if annotation is None:
        return "Any", []
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):  # "float", quoted
        return _taken_apart(ast.parse(annotation.value, mode="eval").body)
    if isinstance(annotation, ast.BinOp):
        return "Union", [annotation.left, annotation.right]
    if not isinstance(annotation, ast.Subscript):
        return ast.unparse(annotation).rpartition(".")[2], []
    name = _taken_apart(annotation.value)[0]
    parts = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
    if name == "Optional":
        return "Union", [*parts, ast.Constant(None)]
    if name == "Annotated":
        return _taken_apart(parts[0])
    return name, parts
