"""conf.lock: what conf/ alone composed to when params.yaml was written, and what params.yaml has beyond it.

A later difference between the two is somebody's change: by hand, or by an applied `dvc exp run -S` (docs/decisions/0001)."""

from copy import deepcopy
from dataclasses import dataclass, fields
from pathlib import Path

from pipeline.config.composition import Tree, choices, compose, dump, is_interpolation, leaves, put, read_yaml, resolved
from pipeline.config.errors import ConfigError


@dataclass
class Lock:
    """conf.lock: what conf/ alone composed to, and what an experiment's `-S` put on top of it."""

    chosen: dict[str, str]  # group -> option beyond conf/, the experiment first
    changed: Tree  # dotted key -> value beyond conf/ under these options
    values: Tree  # conf/ under these options, interpolations unresolved
    overlooked: dict[str, str]  # group -> its values that DVC's run cache does not look at

    @classmethod
    def read(cls, path: Path) -> "Lock":
        tree = read_yaml(path)
        if set(tree) != {field.name for field in fields(cls)}:
            raise ConfigError(f"{path.name} is not one that `dvc repro` wrote; `git checkout {path.name}` brings it back")
        return cls(**tree)

    def write(self, path: Path) -> None:
        head = "# Written by the configure stage: what conf/ alone composed to. Not for editing.\n"
        replace(path, head + dump(vars(self)))

    def composed(self) -> Tree:
        """Return params.yaml as it was when this lock was written."""
        return resolved(with_values(self.values, self.changed))


def beyond(conf: Path, params: Tree) -> Lock:
    """Return the fewest choices and values that lead from conf/ to params.

    An experiment file makes choices of its own, so it comes first: what follows from it is not recorded."""
    chosen: dict[str, str] = {}
    values = compose(conf)
    wanted = choices(params)
    for group in sorted(wanted, key=lambda group: group != "experiment"):
        if choices(values).get(group) != wanted[group]:
            chosen[group] = wanted[group]
            values = compose(conf, [f"{group}={option}" for group, option in chosen.items()])
    return Lock(chosen, changed_values(params, values), values, overlooked(params))


def changed_values(params: Tree, values: Tree) -> Tree:
    """Return dotted key -> value that params has beyond `values`, less what follows through an interpolation."""
    following = {key for key, value in leaves(values) if is_interpolation(value)}
    changes = difference(params, resolved(values), skip=following)
    followed = resolved(with_values(values, changes))
    return changes | difference(params, followed, skip=set(changes))


def with_values(tree: Tree, values: Tree) -> Tree:
    """Return a copy of tree with dotted keys set."""
    changed = deepcopy(tree)
    for key, value in values.items():
        put(changed, key, value)
    return changed


def overlooked(params: Tree) -> dict[str, str]:
    """Return group -> its values under keys called size or nfiles, as one line.

    DVC leaves out such keys when it compares a stage with its run cache (dvc/stage/cache.py, _get_cache_hash), also
    inside parameters, and would hand out the result for another size. dvc.yaml names these lines as parameters."""
    lines = {}
    for group, node in params.items():
        pairs = leaves(node) if isinstance(node, dict) else []
        found = [f"{key}={value}" for key, value in pairs if not {"size", "nfiles"}.isdisjoint(key.split("."))]
        lines[group] = ", ".join(found)
    return lines


def swaps(params: Tree, values: Tree) -> dict[str, str]:
    """Return group -> option for choices changed by hand, as `model: {name: lenet}` or `model: lenet`."""
    new = {group: node for group, node in params.items() if isinstance(node, str) and group in choices(values)}
    new |= choices(params)
    return {group: new[group] for group in new if choices(values).get(group, new[group]) != new[group]}


def difference(new: Tree, old: Tree, skip: set[str], prefix: str = "") -> Tree:
    """Return dotted key -> new value where new differs from old; a key missing in new becomes null."""
    changes: Tree = {}
    for key in [*new, *(key for key in old if key not in new)]:
        name = f"{prefix}{key}"
        if name in skip:
            continue
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            changes |= difference(after, before, skip, f"{name}.")
        elif before != after or (isinstance(before, bool) != isinstance(after, bool)):
            changes[name] = after
    return changes


def unlifted(root: Path) -> list[str]:
    """Return what params.yaml has beyond conf/ that no configure stage has lifted yet, as key=value."""
    if not (root / "params.yaml").exists() or not (root / "conf.lock").exists():
        return []
    params, lock = read_yaml(root / "params.yaml"), Lock.read(root / "conf.lock")
    swapped = swaps(params, lock.values)
    by_hand = difference(params, lock.composed(), skip=set(swapped))
    return [f"{key}={value}" for key, value in (lock.chosen | swapped | lock.changed | by_hand).items()]


def accepted(root: Path) -> Tree:
    """Return the config that the last configure stage accepted; nothing where its record is missing or not readable."""
    try:
        return Lock.read(root / "conf.lock").composed()
    except (OSError, ConfigError):
        return {}


def replace(path: Path, text: str) -> None:
    """Write a text file in one step, so that a kill leaves the old or the new one."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text)
    temporary.replace(path)
