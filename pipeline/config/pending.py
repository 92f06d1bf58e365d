"""What params.yaml holds that conf/ does not, and that the next configure stage lifts: an experiment's values, and edits by hand.

An experiment that DVC or a stage refused, or that was killed, leaves its values in params.yaml too: these are nobody's wish any more."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.config.composition import Tree, compose, read_yaml, resolved
from pipeline.config.difference import Beyond, beyond, difference, swaps
from pipeline.config.documents import LOCAL
from pipeline.config.errors import ConfigError
from pipeline.config.lock import Lock
from pipeline.config.order import ABSENT, UNCHECKED, is_entry, settled
from pipeline.config.overrides import Overrides
from pipeline.config.trained import has_trained


@dataclass
class Pending:
    """params: the file without what is not kept. applied: of the last experiment. by_hand: set since. notes: what is not kept.

    earlier: what the lock says of the experiment before, where the last did not train and `applied` is of that one."""

    params: Tree = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)
    applied: Beyond = field(default_factory=Beyond)
    by_hand: Beyond = field(default_factory=Beyond)
    notes: list[str] = field(default_factory=list)
    earlier: dict[str, Tree] = field(default_factory=dict)

    @classmethod
    def read(cls, root: Path) -> "Pending":
        """Read params.yaml and conf.lock, which are both there."""
        raw, lock = read_yaml(root / "params.yaml"), Lock.read(root / "conf.lock")
        conf, orders = root / "conf", Overrides.read(root / LOCAL).orders
        found = cls(lock=lock, applied=lock.beyond)
        if lock.beyond and not has_trained(root, lock):
            found.earlier = lock.before
            found.applied = Beyond(lock.before.get("chosen", {}), lock.before.get("changed", {}))
            found.notes.append(f"not lifted: {lock.beyond} of the last experiment, whose training did not end")
        composed = lock.composed()
        if UNCHECKED in raw:
            found.notes += _of_a_refused_experiment(conf, raw, orders)
            found.params = composed
            return found
        found.params = settled(raw, orders)
        if _is_composed(conf, found.params):
            return found
        swapped = swaps(found.params, lock.values)
        found.notes += [note for group in swapped for note in _typed_beside(group, found.params, composed)]
        found.by_hand = Beyond(swapped, difference(found.params, composed, skip=set(swapped)))
        return found

    def forget_entries(self, groups: Iterable[str]) -> list[str]:
        """Take out the layers and transforms that were set for another option of their group; return a line for each."""
        lines = []
        for changed in [self.by_hand.changed] if self.earlier else [self.applied.changed, self.by_hand.changed]:
            for key in [key for key in changed if is_entry(key) and key.partition(".")[0] in groups]:
                lines.append(f"not lifted: {key}={changed.pop(key)}, which was set for another {key.partition('.')[0]}")
        return lines


def _of_a_refused_experiment(conf: Path, raw: Tree, orders: Tree) -> list[str]:
    """Return a line for what is not lifted; an option that it chose may be gone by now."""
    try:
        refused = str(beyond(conf, settled(raw, orders), orders)[0])
    except ConfigError:
        refused = "the values"
    return [f"not lifted: {refused} of an experiment that was refused before it began"] if refused else []


def _is_composed(conf: Path, params: Tree) -> bool:
    """Tell whether params.yaml is what conf/ composes to now: a configure that was killed had written it, but not conf.lock yet."""
    try:
        return not difference(params, resolved(compose(conf)), skip=set())
    except ConfigError:  # told by who composes conf/ for its values
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
    found = Pending.read(root)
    chosen, changed = found.applied.chosen | found.by_hand.chosen, found.applied.changed | found.by_hand.changed
    return [f"{key}={value}" for key, value in (chosen | changed).items()]
