"""What params.yaml holds that conf/ does not, for the next configure stage to lift: an experiment's values, and edits by hand.

An experiment that was refused or killed leaves its values in params.yaml too: nobody wants these any more."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.config.compose import compose, read_yaml, resolved
from pipeline.config.errors import ConfigError
from pipeline.config.overrides import Overrides
from pipeline.config.params_lock import Changes, Lock
from pipeline.config.tree import (
    ABSENT,
    NONE,
    UNCHECKED,
    Tree,
    apply_directives,
    choices,
    difference,
    is_entry,
    is_interpolation,
    leaves,
    with_values,
)
from pipeline.config.yaml_nodes import LOCAL, OVERLAYS

LEADING = (*OVERLAYS, "dataset")  # groups whose options bring choices and values of other groups, a data set of photos those that suit it


@dataclass
class Pending:
    """params: the file without what is discarded. applied: of the last experiment. by_hand: edited since. notes: what is discarded.

    accepted: the config that the last configure stage wrote.
    earlier: `before` of the lock, where the last experiment did not train and `applied` is of the one before it."""

    params: Tree = field(default_factory=dict)
    accepted: Tree = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)
    applied: Changes = field(default_factory=Changes)
    by_hand: Changes = field(default_factory=Changes)
    notes: list[str] = field(default_factory=list)
    earlier: dict[str, Tree] = field(default_factory=dict)

    @classmethod
    def read(cls, root: Path) -> "Pending":
        """Read params.yaml and conf.lock, which are both there."""
        raw, lock = read_yaml(root / "params.yaml"), Lock.read(root / "conf.lock")
        conf, orders = root / "conf", Overrides.read(root / LOCAL).orders
        found = cls(lock=lock, applied=lock.experiment)
        if lock.experiment and not lock.has_trained(root):
            found.earlier = lock.before
            found.applied = Changes(lock.before.get("chosen", {}), lock.before.get("changed", {}))
            found.notes.append(f"not lifted: {lock.experiment} of the last experiment, whose training did not end")
        found.accepted = lock.composed()
        if UNCHECKED in raw:
            found.notes += _of_a_refused_experiment(conf, raw, orders)
            found.params = found.accepted
            return found
        found.params = apply_directives(raw, orders)
        swapped = swaps(found.params, lock.values)
        by_hand = Changes(swapped, difference(found.params, found.accepted, skip=set(swapped)))
        if by_hand and not _is_composed(conf, found.params):
            found.notes += [note for group in swapped for note in _typed_beside(group, found.params, found.accepted)]
            found.by_hand = by_hand
        return found

    @property
    def all(self) -> Changes:
        """Both the experiment's and those by hand, which count where both changed a key."""
        return Changes(self.applied.chosen | self.by_hand.chosen, self.applied.changed | self.by_hand.changed)

    def forget_entries(self, groups: Iterable[str]) -> list[str]:
        """Remove the layers and transforms that were set for another option of their group; return a line for each."""
        lines = []
        for changed in [self.by_hand.changed] if self.earlier else [self.applied.changed, self.by_hand.changed]:
            for key in [key for key in changed if is_entry(key) and key.partition(".")[0] in groups]:
                lines.append(f"not lifted: {key}={changed.pop(key)}, which was set for another {key.partition('.')[0]}")
        return lines


def _of_a_refused_experiment(conf: Path, raw: Tree, orders: Tree) -> list[str]:
    """Return a line for what is not lifted; an option that it chose may be gone by now."""
    try:
        refused = str(changes_from(conf, apply_directives(raw, orders), orders)[0])
    except ConfigError:
        refused = "the values"
    return [f"not lifted: {refused} of an experiment that was refused before it began"] if refused else []


def _is_composed(conf: Path, params: Tree) -> bool:
    """Tell whether params.yaml is what conf/ composes to now: a configure that was killed had written it, but not conf.lock yet."""
    try:
        return not difference(params, resolved(compose(conf)), skip=set())
    except ConfigError:  # configure reports it when it composes conf/ for its values
        return False


def _typed_beside(group: str, params: Tree, composed: Tree) -> list[str]:
    """Return a line for each value that was typed together with another choice of its group, whose own values count."""
    old, new = composed.get(group), params[group]
    if not isinstance(old, dict) or not isinstance(new, dict):
        return []
    typed = difference(new, old, {f"{group}.name"}, f"{group}.")
    return [f"not lifted: {key}={value}, which stood beside another {group}" for key, value in typed.items() if value != ABSENT]


def unlifted(root: Path) -> list[str]:
    """Return what params.yaml has beyond conf/ that no configure stage has lifted yet, as key=value."""
    if not (root / "params.yaml").exists() or not (root / "conf.lock").exists():
        return []
    return Pending.read(root).all.words


def changes_from(conf: Path, params: Tree, earlier: Mapping[str, Any] = NONE) -> tuple[Changes, Tree]:
    """Return the fewest choices and values that lead from conf/ to params, and conf/ under these choices.

    earlier: as for `apply_directives`."""
    return changes_beyond(lambda chosen: compose(conf, [f"{group}={option}" for group, option in chosen.items()], earlier), params)


def changes_beyond(composed: Callable[[dict[str, str]], Tree], params: Tree) -> tuple[Changes, Tree]:
    """Return the fewest choices and values that lead to params from what `composed` returns under no choices, and under these.

    Groups whose options choose in other groups come first: what follows from them is not recorded."""
    chosen: dict[str, str] = {}
    values = composed(chosen)
    wanted = choices(params)
    for group in [*LEADING, *(group for group in wanted if group not in LEADING)]:
        if group in wanted and choices(values).get(group) != wanted[group]:
            chosen[group] = wanted[group]
            values = composed(chosen)
    return Changes(chosen, _changed_values(params, values)), values


def _changed_values(params: Tree, values: Tree) -> Tree:
    """Return dotted key -> value that params has beyond `values`, less what follows through an interpolation."""
    following = {key for key, value in leaves(values) if is_interpolation(value)}
    changes = difference(params, resolved(values), skip=following)
    followed = resolved(with_values(values, changes))
    return changes | difference(params, followed, skip=set(changes))


def swaps(params: Tree, values: Tree) -> dict[str, str]:
    """Return group -> option for choices that differ from those of values, written `model: {name: lenet}` or `model: lenet`."""
    new = {group: node for group, node in params.items() if isinstance(node, str) and group in choices(values)}
    new |= choices(params)
    return {group: new[group] for group in new if choices(values).get(group, new[group]) != new[group]}
