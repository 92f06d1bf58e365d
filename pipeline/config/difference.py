"""What one config has beyond another, as the fewest dotted keys and choices that lead from one to the other."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.config.composition import Tree, choices, compose, is_interpolation, leaves, put, resolved
from pipeline.config.order import ABSENT, NONE, ORDER, is_ordered, reordered, settled

LEADING = ("experiment", "dataset")  # groups whose options bring choices and values of other groups: a recipe, then a data set of photos


def difference(new: Tree, old: Tree, skip: set[str], prefix: str = "") -> Tree:
    """Return dotted key -> new value where new differs from old, `_absent_` for a key that new lacks, `_order_` where order counts."""
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
    if is_ordered(prefix.rstrip("."), new) and reordered(new, old) and f"{prefix}{ORDER}" not in skip:
        changes[f"{prefix}{ORDER}"] = list(new)
    return changes


def with_values(tree: Tree, values: Tree) -> Tree:
    """Return a copy of tree with dotted keys set, as `difference` returns them."""
    changed = deepcopy(tree)
    for key, value in values.items():
        put(changed, key, deepcopy(value))
    return settled(changed)


def changed_values(params: Tree, values: Tree) -> Tree:
    """Return dotted key -> value that params has beyond `values`, less what follows through an interpolation."""
    following = {key for key, value in leaves(values) if is_interpolation(value)}
    changes = difference(params, resolved(values), skip=following)
    followed = resolved(with_values(values, changes))
    return changes | difference(params, followed, skip=set(changes))


@dataclass
class Beyond:
    """What stands on top of a composition: group -> option, the experiment first, and dotted key -> value."""

    chosen: dict[str, str] = field(default_factory=dict)
    changed: Tree = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.chosen or self.changed)

    def __str__(self) -> str:
        return ", ".join(f"{key}={value}" for key, value in (self.chosen | self.changed).items())

    def forget(self, group: str) -> None:
        """Take out a group's choice, and the values that were set for it."""
        del self.chosen[group]
        for key in [key for key in self.changed if key.startswith(f"{group}.")]:
            del self.changed[key]


def beyond(conf: Path, params: Tree, earlier: Mapping[str, Any] = NONE) -> tuple[Beyond, Tree]:
    """Return the fewest choices and values that lead from conf/ to params, and conf/ under these choices.

    What brings choices of other groups comes first: what follows from it is not recorded.
    earlier: as for `settled`."""
    chosen: dict[str, str] = {}
    values = compose(conf, earlier=earlier)
    wanted = choices(params)
    for group in [*LEADING, *(group for group in wanted if group not in LEADING)]:
        if group in wanted and choices(values).get(group) != wanted[group]:
            chosen[group] = wanted[group]
            values = compose(conf, [f"{group}={option}" for group, option in chosen.items()], earlier)
    return Beyond(chosen, changed_values(params, values)), values


def swaps(params: Tree, values: Tree) -> dict[str, str]:
    """Return group -> option for choices changed by hand, as `model: {name: lenet}` or `model: lenet`."""
    new = {group: node for group, node in params.items() if isinstance(node, str) and group in choices(values)}
    new |= choices(params)
    return {group: new[group] for group in new if choices(values).get(group, new[group]) != new[group]}
