"""What stands above conf/, the overrides of this working copy and the values of an experiment, beside what conf/ itself says there.

A choice goes by the key that records it, `model.name`; the order of a mapping's entries by `model.layers._order_`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.config.composition import Tree, choices, compose_alone, get, has, leaves
from pipeline.config.lock import Lock
from pipeline.config.order import ABSENT, ORDER
from pipeline.config.overrides import Overrides

COMMAND = "python -m pipeline.command.overrides"

LONGEST = 60  # characters of a value in a line that names several


@dataclass(frozen=True)
class Own:
    """conf/ itself, without conf/local: under its own choices, and under those that count."""

    alone: Tree
    under: Tree

    @classmethod
    def compose(cls, conf: Path, chosen: Mapping[str, str], alone: Tree | None = None) -> "Own":
        """chosen: the choices that count, or those that are not conf/'s own. alone: conf/ under its own, where that is composed already."""
        alone = alone or compose_alone(conf, {})
        own = choices(alone)
        known = {group: option for group, option in chosen.items() if group in own}  # of others Hydra says in which file they stand
        return cls(alone, alone if known.items() <= own.items() else compose_alone(conf, known))

    def says(self, key: str) -> Any:
        """Return conf/'s own value of a key, interpolations as they are written; `_absent_` where it has none."""
        return said(self.alone if group_of_choice(key, self.alone) else self.under, key)


def said(tree: Tree, key: str) -> Any:
    """Return the value of a key, of an order's the names in their order; `_absent_` where there is none."""
    mapping, _, last = key.rpartition(".")
    if last == ORDER:
        return list(get(tree, mapping)) if has(tree, mapping) and isinstance(get(tree, mapping), dict) else ABSENT
    return get(tree, key) if has(tree, key) else ABSENT


def group_of_choice(key: str, tree: Tree) -> str | None:
    """Return the group whose choice a key records."""
    group, _, last = key.partition(".")
    return group if last == "name" and group in choices(tree) else None


def above(overrides: Overrides, own: Tree) -> Tree:
    """Return key -> value for all that the overrides say; an entry that conf/ lacks as a whole is one key."""
    keys = dict.fromkeys(_unit(key, own) for key, _ in leaves(overrides.values))
    return {f"{group}.name": option for group, option in overrides.choices.items()} | {key: get(overrides.values, key) for key in keys}


def _unit(key: str, own: Tree) -> str:
    """Return the beginning of a key up to where conf/ has no mapping to go on in."""
    parts = key.split(".")
    node: Any = own
    for i, part in enumerate(parts):
        node = node.get(part)
        if not isinstance(node, dict):
            return ".".join(parts[: i + 1])
    return key


def told_above(lock: Lock) -> str | None:
    """Return a line that names all that stands above conf/, None where nothing does."""
    standing = lock.standing
    if not standing:
        return None
    told = ", ".join(f"{key}={_short(value)} (conf/: {_short(lock.beneath.get(key, ABSENT))})" for key, value in standing.items())
    return f"above conf/: {told}; `{COMMAND}` lists and clears"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
