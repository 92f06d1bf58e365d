"""conf.lock: what conf/ alone composed to when params.yaml was written, and what params.yaml has beyond it.

A later difference between the two is somebody's change: by hand, or by an applied `dvc exp run -S` (docs/decisions/0001)."""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.config.compose import dump, read_yaml, resolved
from pipeline.config.errors import ConfigError
from pipeline.config.tree import ABSENT, ORDER, Tree, leaves, with_order, with_values

UNSEEN = {"size", "nfiles", ORDER}  # keys that DVC does not look at, and the one that stands for what it does not see

OLDEST = {"chosen", "changed", "values", "overlooked"}  # the fields of an earlier version's lock

TRAIN = "train"  # the stage that must have run for an experiment's values to count

LONGEST = 60  # characters of a value in a line that names several


@dataclass
class Changes:
    """Changes on top of a composition: group -> option, the experiment first, and dotted key -> value."""

    chosen: dict[str, str] = field(default_factory=dict)
    changed: Tree = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.chosen or self.changed)

    def __str__(self) -> str:
        return ", ".join(self.words)

    @property
    def words(self) -> list[str]:
        """The changes as a command line would make them."""
        return [f"{key}={value}" for key, value in (self.chosen | self.changed).items()]

    def forget(self, group: str) -> None:
        """Remove a group's choice, and the values that were set for it."""
        del self.chosen[group]
        for key in [key for key in self.changed if key.startswith(f"{group}.")]:
            del self.changed[key]


@dataclass
class Lock:
    """The content of conf.lock. Keys are dotted; a choice's key is the one that records it, `model.name`."""

    chosen: dict[str, str] = field(default_factory=dict)  # of an experiment: group -> option beyond conf/, the experiment first
    changed: Tree = field(default_factory=dict)  # of an experiment: key -> value beyond conf/ under these options
    values: Tree = field(default_factory=dict)  # conf/ under these options, interpolations unresolved
    overlooked: dict[str, str] = field(default_factory=dict)  # group -> what of it DVC does not look at: some values, and order
    above: Tree = field(default_factory=dict)  # what conf/local/overrides.yaml said: key -> value
    beneath: Tree = field(default_factory=dict)  # what conf/ itself said under the keys of `above` and of the experiment
    before: dict[str, Tree] = field(default_factory=dict)  # `left` of the experiment before, should this one not train

    @classmethod
    def read(cls, path: Path) -> "Lock":
        """Read conf.lock; raises ConfigError for one that configure has not written, with the commands that replace it."""
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
    def experiment(self) -> Changes:
        """What the experiment put on top."""
        return Changes(dict(self.chosen), dict(self.changed))

    @property
    def left(self) -> dict[str, Tree]:
        """What the experiment put on top, with what conf/ itself said under it."""
        keys = [*(f"{group}.name" for group in self.chosen), *self.changed]
        return vars(self.experiment) | {"beneath": {key: self.beneath[key] for key in keys if key in self.beneath}}

    @property
    def standing(self) -> Tree:
        """Key -> value of all that overrides conf/."""
        return self.above | {f"{group}.name": option for group, option in self.chosen.items()} | self.changed

    def composed(self) -> Tree:
        """Return params.yaml as it was when this lock was written."""
        return resolved(with_values(self.values, self.changed))

    def has_trained(self, root: Path) -> bool:
        """Tell by dvc.lock whether train, and every stage that it depends on, ran with these parameters; True without a dvc.lock."""
        try:
            stages = YAML(typ="safe").load(root / "dvc.lock")["stages"]  # as DVC writes it: YAML 1.2, where `no` is a string
        except (OSError, YAMLError, KeyError, TypeError):
            return True
        return _is_done(TRAIN, stages, {"params.yaml": self.composed(), "conf.lock": vars(self)})

    def told(self) -> str | None:
        """Return a line that names all that overrides conf/; None where nothing does."""
        if not self.standing:
            return None
        told = ", ".join(f"{key}={_short(value)} (conf/: {_short(self.beneath.get(key, ABSENT))})" for key, value in self.standing.items())
        return f"above conf/: {told}; `python -m pipeline.command.overrides` lists and clears"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _is_done(name: str, stages: Tree, files: dict[str, Tree]) -> bool:
    stage = stages.get(name)
    if stage is None:
        return False
    ran_by = all(_found(files[path], key) == value for path, values in stage.get("params", {}).items() for key, value in values.items())
    return ran_by and all(_is_current(dep, stages, files) for dep in stage.get("deps", []))


def _is_current(dep: Tree, stages: Tree, files: dict[str, Tree]) -> bool:
    """Tell whether a dependency that a stage makes is what that stage made last, with these parameters."""
    for name, stage in stages.items():
        for out in stage.get("outs", []):
            if out["path"] == dep["path"]:
                return bool(out.get("md5") == dep.get("md5") and _is_done(name, stages, files))
    return True


def _found(tree: Any, key: str) -> Any:
    for part in key.split("."):
        tree = tree.get(part) if isinstance(tree, dict) else None
    return tree


def overlooked(params: Tree) -> dict[str, str]:
    """Return group -> its values under keys called size or nfiles, and its orders, as one line.

    DVC leaves out such keys when it compares a stage with its run cache (dvc/stage/cache.py, _get_cache_hash), also inside
    parameters, and compares mappings without order: it would restore the result of another size, or of other layers.
    dvc.yaml names these lines as parameters."""
    lines = {}
    for group, node in with_order(params).items():
        pairs = leaves(node) if isinstance(node, dict) else []
        lines[group] = ", ".join(f"{key}={value}" for key, value in pairs if not UNSEEN.isdisjoint(key.split(".")))
    return lines


def accepted(root: Path) -> Tree:
    """Return the config that the last configure stage accepted; empty where its record is missing or unreadable."""
    try:
        return Lock.read(root / "conf.lock").composed()
    except (OSError, ConfigError):
        return {}
