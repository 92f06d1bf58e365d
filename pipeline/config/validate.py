"""Validate a config before work starts: known keys, no secrets, types, ranges, values that go together, classes that can be built.

The configure stage validates for all stages after it, so a changed rule re-runs that stage alone. Cheap checks come first: torch is
imported only after they have passed, and only to build nodes that no earlier check has accepted."""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_origin

from omegaconf import MISSING

from pipeline.config.build import allowed, resolve, takes
from pipeline.config.clashes import check_clashes
from pipeline.config.compose import parse, resolved
from pipeline.config.dry_run import try_out
from pipeline.config.errors import ConfigError
from pipeline.config.schema import Config
from pipeline.config.secrets import looks_secret, refusal
from pipeline.config.tree import Tree, get, has, leaves
from pipeline.config.value_types import in_words, misfit
from pipeline.config.wording import shown, unknown

# Mappings whose keys the user chooses.
OPEN_MAPPINGS = ("model.layers", "augmentation.transforms", "dataset.sources.files", "dataset.splits", "dataset.take")


def check(tree: Tree, accepted: Tree | None = None) -> Tree:
    """Validate a composed config; return it with its interpolations resolved.

    accepted: a config that passed an earlier check; nodes unchanged since then are not built again.
    Raises ConfigError for the first fault: its key, what was expected and what came."""
    check_keys(tree)
    params = resolved(tree)
    refuse_secrets(params)
    check_class_names(params["dataset"])
    check_values(params)
    check_clashes(parse(params))
    try_out(params, accepted or {})
    return params


def check_keys(tree: Tree, schema: type = Config, prefix: str = "") -> None:
    """Raise ConfigError for the first key that is missing, or that the schema, a dataclass, lacks. Values may be interpolations."""
    fields = {field.name: field for field in dataclasses.fields(schema)}
    for name in tree:
        if name not in fields:
            key = next(leaves({f"{prefix}{name}": tree[name]}))[0]
            raise ConfigError(unknown(key, "a key of conf/", schema_keys()), key)
    for name, field in fields.items():
        key = f"{prefix}{name}"
        if tree.get(name, field.default) == MISSING:
            raise ConfigError(f"{key} is missing", key)
        for inner_key, node, inner_schema in _nested(key, tree.get(name), field.type):
            check_keys(node, inner_schema, f"{inner_key}.")


def schema_keys(schema: type = Config, prefix: str = "") -> list[str]:
    """Return all dotted keys of the schema, including the options that it knows of classes."""
    keys = []
    for field in dataclasses.fields(schema):
        inner = field.type if dataclasses.is_dataclass(field.type) else field.metadata.get("options")
        keys += schema_keys(inner, f"{prefix}{field.name}.") if isinstance(inner, type) else [f"{prefix}{field.name}"]
    return keys


def _nested(key: str, value: Any, hint: Any) -> Iterator[tuple[str, Tree, type]]:
    """Yield (key, mapping, dataclass) of a value whose hint is a dataclass, and of each entry if it is dict[str, a dataclass]."""
    if isinstance(value, Mapping):
        if dataclasses.is_dataclass(hint):
            yield key, dict(value), hint  # type: ignore[misc]
        elif get_origin(hint) is dict and dataclasses.is_dataclass(get_args(hint)[1]):
            for name, entry in value.items():
                yield from _nested(f"{key}.{name}", entry, get_args(hint)[1])


def refuse_secrets(params: Tree) -> None:
    """Raise ConfigError for a value that looks like a secret, without showing it. Interpolations may have assembled it."""
    for key, value in leaves(params):
        for item in value if isinstance(value, list) else [value]:
            if what := looks_secret(key, item):
                raise ConfigError(refusal(key, what), key)


def check_class_names(dataset: Tree) -> None:
    """Raise ConfigError for a class name that YAML reads as something other than text: 1e3, true, null. Whole numbers pass."""
    take = dataset["take"] if isinstance(dataset["take"], Mapping) else {}
    classes = dataset["classes"] if isinstance(dataset["classes"], list) else []
    for key, names in {"dataset.classes": classes, "dataset.take": [*take, *take.values()]}.items():
        for name in names:
            if isinstance(name, bool) or not isinstance(name, str | int):
                raise ConfigError(
                    f"{key} must name classes, but {shown(name)} is not text to YAML: write the name in quotes, as its folder has "
                    "it, in a file of conf/, such as '1e3' or 'true'",
                    key,
                )


def check_values(params: Tree) -> None:
    """Raise ConfigError for the first value of the wrong type or outside its field's constraint, and for any float that is not finite."""
    _check_fields(params, Config, "")
    for key, value in leaves(params):
        if not all(math.isfinite(item) for item in _items(value) if isinstance(item, float)):
            raise ConfigError(f"{key} must be a finite number, but it is {shown(value)}", key)


def _check_fields(tree: Mapping[str, Any], schema: type, prefix: str) -> None:
    for field in dataclasses.fields(schema):
        if field.name in tree:
            _check_value(f"{prefix}{field.name}", tree[field.name], field)


def _check_value(key: str, value: Any, field: dataclasses.Field[Any]) -> None:
    hint: Any = field.type
    if dataclasses.is_dataclass(hint):
        hint = dict  # its fields are checked below
    elif get_origin(hint) is dict and dataclasses.is_dataclass(get_args(hint)[1]):
        hint = dict[str, dict]
    if wrong := misfit(key, value, hint):
        wrong_key, came, expected = wrong
        raise ConfigError(f"{wrong_key} must be {in_words(expected)}, but it is {shown(came)}", wrong_key)
    for inner_key, node, inner_schema in _nested(key, value, field.type):
        _check_fields(node, inner_schema, f"{inner_key}.")
    if "options" in field.metadata:
        _check_class(key, value, field.metadata["options"], field.metadata["each"])
    if "constraint" in field.metadata:
        for name, item in value.items() if isinstance(value, Mapping) else [("", value)]:
            _check_constraint(f"{key}.{name}".rstrip("."), item, field.metadata["constraint"])


def _check_class(key: str, node: Any, options: type | None, each: bool) -> None:
    """Check that a node's class may be imported, and those of its options that the schema knows; the dry run checks the others.

    options: a dataclass of the known ones; None: there are none. each: the node maps names to nodes with a class."""
    if each:
        for name, entry in node.items():
            if entry is not None:
                _check_class(f"{key}.{name}", entry, options, each=False)
        return
    if not isinstance(node, Mapping):
        raise ConfigError(f"{key} must be a mapping such as {{_target_: …}}, but it is {shown(node)}", key)
    allowed(key, node.get("_target_"))
    if options:
        _check_fields({name: value for name, value in node.items() if value is not None}, options, f"{key}.")


def _check_constraint(key: str, value: Any, constraint: Any) -> None:
    if value is None or all(item in constraint for item in _items(value)):
        return
    quotes = "; write it in quotes" if isinstance(value, int | float) and str(value) in constraint else ""
    raise ConfigError(f"{key} must be {constraint}, but it is {shown(value)}{quotes}", key)


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def unknown_keys(tree: Mapping[str, Any], base: Tree) -> list[str]:
    """Return the dotted keys of tree that base neither has nor can take: in an open mapping, below a null, or as a class's option."""
    return [key for key, _ in leaves(tree) if not (has(base, key) or is_in_open_mapping(key) or _can_take(base, key))]


def is_in_open_mapping(key: str) -> bool:
    """Tell whether a dotted key is one of OPEN_MAPPINGS or below one."""
    return any(key == name or key.startswith(f"{name}.") for name in OPEN_MAPPINGS)


def _can_take(base: Tree, key: str) -> bool:
    """Tell whether a key can be added to base: as an option of the class that its parent names, or below a null."""
    parent, _, name = key.rpartition(".")
    ancestor = parent  # the nearest that base has
    while ancestor and not has(base, ancestor):
        ancestor = ancestor.rpartition(".")[0]
    node = get(base, ancestor) if ancestor else {}
    if isinstance(node, Mapping) and "_target_" in node and ancestor == parent:
        return takes(resolve(ancestor, node["_target_"], object), name)
    return node is None  # which a mapping may replace
