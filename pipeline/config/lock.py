"""conf.lock: what conf/ alone composed to when params.yaml was written, and what params.yaml has beyond it.

A later difference between the two is somebody's change: by hand, or by an applied `dvc exp run -S` (docs/decisions/0001)."""

from dataclasses import dataclass, fields
from pathlib import Path

from pipeline.config.composition import Tree, dump, leaves, read_yaml, resolved
from pipeline.config.difference import changed_values, chosen_beyond, difference, swaps, with_values
from pipeline.config.errors import ConfigError
from pipeline.config.order import ORDER, settled, spelled

UNSEEN = {"size", "nfiles", ORDER}  # keys that DVC does not look at, and the one that stands for what it does not see


@dataclass
class Lock:
    """conf.lock: what conf/ alone composed to, and what an experiment's `-S` put on top of it."""

    chosen: dict[str, str]  # group -> option beyond conf/, the experiment first
    changed: Tree  # dotted key -> value beyond conf/ under these options
    values: Tree  # conf/ under these options, interpolations unresolved
    overlooked: dict[str, str]  # group -> what of it DVC does not look at: some values, and order

    @classmethod
    def read(cls, path: Path) -> "Lock":
        tree = read_yaml(path)
        if set(tree) != {field.name for field in fields(cls)}:
            raise ConfigError(
                f"{path.name} is not one that this `dvc repro` wrote; `git checkout HEAD -- {path.name}` brings git's back, "
                f"`rm params.yaml {path.name}` starts anew from conf/"
            )
        return cls(**tree)

    def write(self, path: Path) -> None:
        head = "# Written by the configure stage: what conf/ alone composed to. Not for editing.\n"
        replace(path, head + dump(vars(self)))

    def composed(self) -> Tree:
        """Return params.yaml as it was when this lock was written."""
        return resolved(with_values(self.values, self.changed))


def beyond(conf: Path, params: Tree) -> Lock:
    """Return the fewest choices and values that lead from conf/ to params."""
    chosen, values = chosen_beyond(conf, params)
    return Lock(chosen, changed_values(params, values), values, overlooked(params))


def overlooked(params: Tree) -> dict[str, str]:
    """Return group -> its values under keys called size or nfiles, and its orders, as one line.

    DVC leaves out such keys when it compares a stage with its run cache (dvc/stage/cache.py, _get_cache_hash), also inside
    parameters, and compares mappings without order: it would hand out the result for another size, or for other layers.
    dvc.yaml names these lines as parameters."""
    lines = {}
    for group, node in spelled(params).items():
        pairs = leaves(node) if isinstance(node, dict) else []
        lines[group] = ", ".join(f"{key}={value}" for key, value in pairs if not UNSEEN.isdisjoint(key.split(".")))
    return lines


def unlifted(root: Path) -> list[str]:
    """Return what params.yaml has beyond conf/ that no configure stage has lifted yet, as key=value."""
    if not (root / "params.yaml").exists() or not (root / "conf.lock").exists():
        return []
    params, lock = settled(read_yaml(root / "params.yaml")), Lock.read(root / "conf.lock")
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
