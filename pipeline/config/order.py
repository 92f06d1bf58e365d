"""What of a mapping counts: in those whose entries people name themselves, layers say, the order is part of the value.

Neither YAML's equality nor Hydra's merge knows that. So two words stand for what these can't say:
- `_order_: [conv1, relu1]` inside such a mapping puts its entries in that order
- `_absent_` in the place of a value takes its key out, also one that another file gives
`settled` applies them right after composition, so that nothing behind it meets them; `spelled` writes the order out as
`_order_`, so that whatever compares configs sees it."""

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.config.errors import ConfigError

ORDER, ABSENT = "_order_", "_absent_"

UNCHECKED = "_unchecked_"  # conf/config.yaml has it, params.yaml only as DVC composes it for an experiment

NONE: Mapping[str, Any] = {}

ORDERED = ("model.layers", "augmentation.transforms")


def is_entry(key: str) -> bool:
    """Tell whether a key belongs to a layer or a transform, or to the order of these."""
    return key.startswith(tuple(f"{name}." for name in ORDERED))


def is_ordered(key: str, node: Mapping[str, Any]) -> bool:
    """Tell whether the order of a mapping's entries counts: its own, and below it that of mappings that hold mappings only."""
    if key in ORDERED:
        return True
    entries = [entry for name, entry in node.items() if name != ORDER and entry is not None]
    return is_entry(key) and bool(entries) and all(isinstance(entry, Mapping) for entry in entries)


def spelled(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the tree with `_order_` in every mapping whose order counts; null entries are left out, so they have no place in it."""
    written = {name: spelled(node, f"{prefix}{name}.") if isinstance(node, Mapping) else node for name, node in tree.items()}
    counted = [name for name, entry in tree.items() if entry is not None]
    if len(counted) > 1 and is_ordered(prefix.rstrip("."), tree):
        written[ORDER] = counted
    return written


def reordered(new: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    """Tell whether new has its entries in another order than old with the same entries dropped, changed, and added at its end."""
    following = [name for name in old if name in new] + [name for name in new if name not in old]
    return [name for name in new if new[name] is not None] != [name for name in following if new[name] is not None]


def settled(tree: Mapping[str, Any], earlier: Mapping[str, Any] = NONE, prefix: str = "") -> dict[str, Any]:
    """Return the tree with the reserved words applied and gone; raises ConfigError for an order that does not name the entries.

    earlier: key -> orders that stood there before an experiment or a live run added or removed entries: what is new comes last."""
    there = {name: node for name, node in tree.items() if node != ABSENT and not (name == UNCHECKED and not prefix)}
    key = prefix.rstrip(".")
    if ORDER in there and is_ordered(key, there):
        order = there.pop(ORDER)
        if order == earlier.get(f"{key}.{ORDER}"):
            order = [*(name for name in order if name in there), *(name for name in there if name not in order)]
        _check_order(key, order, there)
        there = {name: there[name] for name in [*order, *(name for name in there if name not in order)]}
    return {name: settled(node, earlier, f"{prefix}{name}.") if isinstance(node, Mapping) else node for name, node in there.items()}


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
