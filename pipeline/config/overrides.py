"""conf/local/overrides.yaml: what this working copy changes on top of conf/, and what conf/ itself says there.

Comments in the file survive. A choice goes by the key that records it, `model.name`; the order of a mapping's entries by
`model.layers._order_`."""

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from pipeline.config.atomic import replace
from pipeline.config.compose import compose_alone
from pipeline.config.tree import ABSENT, ORDER, Tree, choices, drop, get, has, leaves

HEAD = """\
# @package _global_
# What this working copy changes on top of conf/: edit it, commit it, or delete it.
# `dvc repro` adds here what was changed in params.yaml, by hand or by `dvc exp apply`.
"""


@dataclass
class Overrides:
    """The file's `defaults: [override /group: option]` and its values."""

    path: Path
    tree: CommentedMap

    @classmethod
    def read(cls, path: Path) -> "Overrides":
        """Read the file, which yaml_files.py has checked; without one, nothing is overridden."""
        return cls(path, _yaml().load(path.read_text()) if path.exists() else CommentedMap())

    @property
    def values(self) -> Tree:
        """The nested values, without the choices."""
        return {key: _plain(value) for key, value in self.tree.items() if key != "defaults"}

    @property
    def choices(self) -> dict[str, str]:
        """group -> option."""
        entries = (entry for entry in self.tree.get("defaults") or [] if isinstance(entry, dict))
        return {key.removeprefix("override /"): str(option) for entry in entries for key, option in entry.items()}

    @property
    def orders(self) -> Tree:
        """Dotted key -> names, for every order of entries."""
        return {key: names for key, names in leaves(self.values) if key.endswith(f".{ORDER}")}

    def choose(self, group: str, option: str) -> list[str]:
        """Override a group's option; returns the keys that were set for its old option, which are removed."""
        dropped = [] if self.choices.get(group) == option else self._remove_group(group)
        if "defaults" not in self.tree:
            self.tree.insert(0, "defaults", [])
        entries = [entry for entry in self.tree["defaults"] or [] if f"override /{group}" not in entry]
        self.tree["defaults"] = [*entries, {f"override /{group}": _quoted(option)}]
        return dropped

    def unchoose(self, group: str) -> list[str]:
        """Leave a group's option to conf/; returns the keys that were set for the overriding one, which are removed."""
        dropped = self._remove_group(group)
        for i, entry in reversed(list(enumerate(self.tree["defaults"]))):  # in place: comments stay
            if isinstance(entry, dict) and f"override /{group}" in entry:
                del self.tree["defaults"][i]
        if not self.tree["defaults"]:
            del self.tree["defaults"]
        return dropped

    def _remove_group(self, group: str) -> list[str]:
        keys = [key for key, _ in leaves(self.values) if key.startswith(f"{group}.")]
        for key in keys:
            self.remove(key)
        return keys

    def set(self, key: str, value: Any) -> None:
        """Override the value of a dotted key."""
        *parents, last = (_quoted(part) for part in key.split("."))
        node = self.tree
        for part in parents:
            if not isinstance(node.get(part), dict):
                node[part] = {}
            node = node[part]
        node[last] = _quoted(value)

    def remove(self, key: str) -> None:
        """Leave a dotted key to conf/; raises KeyError where it is not overridden."""
        drop(self.tree, key)

    @contextmanager
    def on_trial(self) -> Iterator[None]:
        """Write the file; when what follows raises, restore the old one."""
        before = self.path.read_text() if self.path.exists() else None
        try:
            self.write()
            yield
        except BaseException:
            if before is None:
                self.path.unlink(missing_ok=True)
            else:
                replace(self.path, before)
            raise

    def write(self) -> None:
        """Write the file where its text changed; remove it where nothing is overridden."""
        if not self.tree:
            self.path.unlink(missing_ok=True)
            return
        stream = io.StringIO()
        _yaml().dump(self.tree, stream)
        text = ("" if "@package _global_" in stream.getvalue() else HEAD) + stream.getvalue()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self.path.exists() or self.path.read_text() != text:
            replace(self.path, text)

    def by_key(self, own: Tree) -> Tree:
        """Return key -> value for all that is overridden; an entry that conf/ (own) lacks is one key as a whole."""
        keys = dict.fromkeys(_up_to_known(key, own) for key, _ in leaves(self.values))
        return {f"{group}.name": option for group, option in self.choices.items()} | {key: get(self.values, key) for key in keys}


def _yaml() -> YAML:
    round_trip = YAML()  # keeps comments and order
    round_trip.preserve_quotes = True
    round_trip.width = 120
    round_trip.indent(mapping=2, sequence=4, offset=2)  # as in conf/
    return round_trip


def _plain(node: Any) -> Any:
    """Return a node of the round trip as plain values, which other YAML writers know."""
    if isinstance(node, dict):
        return {_plain(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(item) for item in node]
    return next((kind(node) for kind in (bool, int, float, str) if isinstance(node, kind)), node)


def _quoted(node: Any) -> Any:
    """Return a node with quotes around each text that YAML 1.1, by which Hydra reads, would take for something else: no, 1_000, a: b.

    Lists stand in one line, as they do in conf/."""
    if isinstance(node, dict):
        return {_quoted(key): _quoted(value) for key, value in node.items()}
    if isinstance(node, list):
        items = CommentedSeq(_quoted(item) for item in node)
        items.fa.set_flow_style()
        return items
    return DoubleQuotedScalarString(node) if isinstance(node, str) and not _is_read_as_text(node) else node


def _is_read_as_text(text: str) -> bool:
    try:
        return bool(yaml.safe_load(text) == text)
    except (yaml.YAMLError, ValueError):  # 2026-02-30
        return False


def _up_to_known(key: str, own: Tree) -> str:
    """Return the beginning of a key up to where conf/ has no mapping to descend into."""
    parts = key.split(".")
    node: Any = own
    for i, part in enumerate(parts):
        node = node.get(part)
        if not isinstance(node, dict):
            return ".".join(parts[: i + 1])
    return key


@dataclass(frozen=True)
class Own:
    """conf/ itself, without conf/local: under its own choices, and under those that count."""

    alone: Tree
    under: Tree

    @classmethod
    def compose(cls, conf: Path, chosen: Mapping[str, str], alone: Tree | None = None) -> "Own":
        """chosen: the choices that count, or those that are not conf/'s own. alone: conf/ under its own, where already composed."""
        alone = alone or compose_alone(conf, {})
        own = choices(alone)
        known = {group: option for group, option in chosen.items() if group in own}  # of others Hydra says in which file they stand
        return cls(alone, alone if known.items() <= own.items() else compose_alone(conf, known))

    def says(self, key: str) -> Any:
        """Return conf/'s own value of a key, interpolations unresolved; `_absent_` where it has none."""
        return value_of(self.alone if group_of_choice(key, self.alone) else self.under, key)


def value_of(tree: Tree, key: str) -> Any:
    """Return the value of a key, of an order's the names in their order; `_absent_` where there is none."""
    mapping, _, last = key.rpartition(".")
    if last == ORDER:
        return list(get(tree, mapping)) if has(tree, mapping) and isinstance(get(tree, mapping), dict) else ABSENT
    return get(tree, key) if has(tree, key) else ABSENT


def group_of_choice(key: str, tree: Tree) -> str | None:
    """Return the group whose choice a key records; None for any other key."""
    group, _, last = key.partition(".")
    return group if last == "name" and group in choices(tree) else None
