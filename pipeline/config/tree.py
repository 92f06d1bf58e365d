"""Configs as plain nested mappings: dotted keys, choices, the order of entries, and the difference between two of them.

Where people name the entries of a mapping themselves, layers say, the order is part of the value. Neither YAML's equality nor
Hydra's merge knows that, so two directives say it:
- `_order_: [conv1, relu1]` inside such a mapping puts its entries in that order
- `_absent_` as a value removes its key, also one that another file gives
`apply_directives` does so right after composition, and nothing behind it meets them; `with_order` writes the order out as
`_order_`, so that whatever compares or hashes configs sees it."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

from pipeline.config.errors import ConfigError

Tree = dict[str, Any]  # nested mappings with string keys; lists are leaves

ORDER, ABSENT = "_order_", "_absent_"

UNCHECKED = "_unchecked_"  # conf/config.yaml has it, params.yaml only as DVC composes it for an experiment

NONE: Mapping[str, Any] = {}

ORDERED = ("model.layers", "augmentation.transforms")


def leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, value) for every leaf; an empty mapping is a leaf.

    A key that itself holds a dot is not told apart from nesting, as in `dvc params diff`."""
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def get(tree: Tree, key: str) -> Any:
    """Return the value at a dotted key; raises KeyError where it ends early."""
    node: Any = tree
    for part in key.split("."):
        if not isinstance(node, dict) or part not in node:
            raise KeyError(key)
        node = node[part]
    return node


def has(tree: Tree, key: str) -> bool:
    """Tell whether a dotted key is there, null included."""
    try:
        get(tree, key)
    except KeyError:
        return False
    return True


def put(tree: Tree, key: str, value: Any) -> None:
    """Set the value at a dotted key, creating the mappings on the way; a value in the place of one gives way."""
    *parents, last = key.split(".")
    for part in parents:
        if not isinstance(tree.get(part), dict):
            tree[part] = {}
        tree = tree[part]
    tree[last] = value


def drop(tree: Tree, key: str) -> None:
    """Remove a dotted key, and the mappings that this leaves empty; raises KeyError where it is not there."""
    parent, _, last = key.rpartition(".")
    node = get(tree, parent) if parent else tree
    del node[last]
    if parent and not node:
        drop(tree, parent)


def choices(tree: Tree) -> dict[str, str]:
    """Return group -> option: each group's file records its own name under `name`."""
    return {group: node["name"] for group, node in tree.items() if isinstance(node, dict) and "name" in node}


def is_interpolation(value: Any) -> bool:
    """Tell whether a value refers to others, as in "${epochs}"."""
    return isinstance(value, str) and "${" in value


def is_entry(key: str) -> bool:
    """Tell whether a key belongs to a layer or a transform, or to the order of these."""
    return key.startswith(tuple(f"{name}." for name in ORDERED))


def is_ordered(key: str, node: Mapping[str, Any]) -> bool:
    """Tell whether the order of a mapping's entries counts: of those in ORDERED, and of mappings of mappings below them."""
    if key in ORDERED:
        return True
    entries = [entry for name, entry in node.items() if name != ORDER and entry is not None]
    return is_entry(key) and bool(entries) and all(isinstance(entry, Mapping) for entry in entries)


def with_order(tree: Mapping[str, Any], prefix: str = "") -> Tree:
    """Return the tree with `_order_` in every mapping whose order counts; null entries have no place in it."""
    written = {name: with_order(node, f"{prefix}{name}.") if isinstance(node, Mapping) else node for name, node in tree.items()}
    counted = [name for name, entry in tree.items() if entry is not None]
    if len(counted) > 1 and is_ordered(prefix.rstrip("."), tree):
        written[ORDER] = counted
    return written


def apply_directives(tree: Mapping[str, Any], earlier: Mapping[str, Any] = NONE, prefix: str = "") -> Tree:
    """Return the tree with `_order_` and `_absent_` applied and removed.

    earlier: dotted key -> order that an experiment or a live run inherits: entries that it adds come last, those that it removes
    may be named. Raises ConfigError for any other order that does not name each entry once."""
    there = {name: node for name, node in tree.items() if node != ABSENT and not (name == UNCHECKED and not prefix)}
    key = prefix.rstrip(".")
    if ORDER in there and is_ordered(key, there):
        order = there.pop(ORDER)
        if order == earlier.get(f"{key}.{ORDER}"):
            order = [*(name for name in order if name in there), *(name for name in there if name not in order)]
        _check_order(key, order, there)
        there = {name: there[name] for name in [*order, *(name for name in there if name not in order)]}
    return {
        name: apply_directives(node, earlier, f"{prefix}{name}.") if isinstance(node, Mapping) else node for name, node in there.items()
    }


def _check_order(key: str, order: Any, entries: Mapping[str, Any]) -> None:
    """Refuse an order that misses an entry, names one twice, or one that is not there; entries set to null may be missing."""
    wanted = f"{key}.{ORDER} must name each of {', '.join(entries)} once"
    if not isinstance(order, list):
        raise ConfigError(f"{wanted}, in a list, but it is {order}", f"{key}.{ORDER}")
    if wrong := ", ".join(_misfits(order, entries)):
        raise ConfigError(f"{wanted}, but {wrong}; change it, or leave it out", f"{key}.{ORDER}")


def _misfits(order: list[Any], entries: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"{name} is missing" for name, entry in entries.items() if entry is not None and name not in order)
    yield from (f"{name} is not there" for name in dict.fromkeys(order) if name not in entries)
    yield from (f"{name} stands there twice" for name in dict.fromkeys(order) if order.count(name) > 1)


def difference(new: Tree, old: Tree, skip: set[str], prefix: str = "") -> Tree:
    """Return dotted key -> new value where new differs from old, with `_absent_` for a key that new lacks and `_order_` for a new order."""
    changes: Tree = {}
    for key in [*new, *(key for key in old if key not in new)]:
        name = f"{prefix}{key}"
        if name in skip:
            continue
        before, after = old.get(key, ABSENT), new.get(key, ABSENT)
        if isinstance(before, dict) and isinstance(after, dict):
            changes |= difference(after, before, skip, f"{name}.")
        elif before != after or (isinstance(before, bool) != isinstance(after, bool)):
            changes[name] = after
    if is_ordered(prefix.rstrip("."), new) and _is_reordered(new, old) and f"{prefix}{ORDER}" not in skip:
        changes[f"{prefix}{ORDER}"] = list(new)
    return changes


def _is_reordered(new: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    """Tell whether new differs in order from old with entries dropped, changed, and appended."""
    following = [name for name in old if name in new] + [name for name in new if name not in old]
    return [name for name in new if new[name] is not None] != [name for name in following if new[name] is not None]


def with_values(tree: Tree, values: Tree) -> Tree:
    """Return a copy of tree with the changes applied that `difference` returns."""
    changed = deepcopy(tree)
    for key, value in values.items():
        put(changed, key, deepcopy(value))
    return apply_directives(changed)
