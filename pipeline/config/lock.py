"""conf.lock: what conf/ alone composed to when params.yaml was written, and what params.yaml has beyond it.

A later difference between the two is somebody's change: by hand, or by an applied `dvc exp run -S` (docs/decisions/0001)."""

from dataclasses import dataclass, field, fields
from pathlib import Path

from pipeline.config.composition import Tree, dump, leaves, read_yaml, resolved
from pipeline.config.difference import Beyond, with_values
from pipeline.config.errors import ConfigError
from pipeline.config.order import ORDER, spelled

UNSEEN = {"size", "nfiles", ORDER}  # keys that DVC does not look at, and the one that stands for what it does not see

OLDEST = {"chosen", "changed", "values", "overlooked"}  # what the lock of an earlier version holds


@dataclass
class Lock:
    """conf.lock: what conf/ composed to, what an experiment's `-S` put on top of it, and what conf/ itself said under all that."""

    chosen: dict[str, str] = field(default_factory=dict)  # of an experiment: group -> option beyond conf/, the experiment first
    changed: Tree = field(default_factory=dict)  # of an experiment: dotted key -> value beyond conf/ under these options
    values: Tree = field(default_factory=dict)  # conf/ under these options, interpolations unresolved
    overlooked: dict[str, str] = field(default_factory=dict)  # group -> what of it DVC does not look at: some values, and order
    above: Tree = field(default_factory=dict)  # what conf/local/overrides.yaml said: key -> value
    beneath: Tree = field(default_factory=dict)  # what conf/ itself said under the keys of `above` and of the experiment
    before: dict[str, Tree] = field(default_factory=dict)  # of the experiment before, should this one not train: `left`

    @classmethod
    def read(cls, path: Path) -> "Lock":
        tree = read_yaml(path)
        if not OLDEST <= set(tree) <= {field.name for field in fields(cls)}:
            raise ConfigError(
                f"{path.name} is not one that this `dvc repro` wrote; `git checkout HEAD -- {path.name}` brings git's back, "
                f"`rm params.yaml {path.name}` starts anew from conf/"
            )
        return cls(**tree)

    @property
    def text(self) -> str:
        head = "# Written by the configure stage: what conf/ alone composed to. Not for editing.\n"
        return head + dump(vars(self))

    @property
    def beyond(self) -> Beyond:
        """What the experiment put on top."""
        return Beyond(dict(self.chosen), dict(self.changed))

    @property
    def left(self) -> dict[str, Tree]:
        """What the experiment put on top, with what conf/ itself said under it."""
        keys = [*(f"{group}.name" for group in self.chosen), *self.changed]
        return vars(self.beyond) | {"beneath": {key: self.beneath[key] for key in keys if key in self.beneath}}

    @property
    def standing(self) -> Tree:
        """Key -> value of all that stands above conf/."""
        return self.above | {f"{group}.name": option for group, option in self.chosen.items()} | self.changed

    def composed(self) -> Tree:
        """Return params.yaml as it was when this lock was written."""
        return resolved(with_values(self.values, self.changed))


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


def accepted(root: Path) -> Tree:
    """Return the config that the last configure stage accepted; nothing where its record is missing or not readable."""
    try:
        return Lock.read(root / "conf.lock").composed()
    except (OSError, ConfigError):
        return {}
