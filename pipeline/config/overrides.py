"""conf/local/overrides.yaml: what this working copy changes on top of conf/; comments in it survive."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from pipeline.config.atomic import replace
from pipeline.config.composition import Tree, drop, leaves
from pipeline.config.order import ORDER

HEAD = """\
# @package _global_
# What this working copy changes on top of conf/: edit it, commit it, or delete it.
# `dvc repro` adds here what was changed in params.yaml, by hand or by `dvc exp apply`.
"""


def _yaml() -> YAML:
    written = YAML()  # round trip: keeps comments and order
    written.preserve_quotes = True
    written.width = 120
    written.indent(mapping=2, sequence=4, offset=2)  # as in conf/
    return written


def _plain(node: Any) -> Any:
    """Return a node of the round trip as plain values, which other writers of YAML know."""
    if isinstance(node, dict):
        return {_plain(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(item) for item in node]
    return next((kind(node) for kind in (bool, int, float, str) if isinstance(node, kind)), node)


def _quoted(node: Any) -> Any:
    """Return a node with quotes around each text that YAML 1.1, by which Hydra reads, would not take for itself: no, 1_000, a: b."""
    if isinstance(node, dict):
        return {_quoted(key): _quoted(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_quoted(item) for item in node]
    return DoubleQuotedScalarString(node) if isinstance(node, str) and not _is_read_as_text(node) else node


def _is_read_as_text(text: str) -> bool:
    try:
        return bool(yaml.safe_load(text) == text)
    except (yaml.YAMLError, ValueError):  # 2026-02-30
        return False


@dataclass
class Overrides:
    """The file's `defaults: [override /group: option]` and its values."""

    path: Path
    tree: CommentedMap

    @classmethod
    def read(cls, path: Path) -> "Overrides":
        """Read the file, which conf_files.py has checked; without one, nothing is overridden."""
        return cls(path, _yaml().load(path.read_text()) if path.exists() else CommentedMap())

    @property
    def is_on_disk(self) -> bool:
        return self.path.exists()

    @property
    def values(self) -> Tree:
        return {key: _plain(value) for key, value in self.tree.items() if key != "defaults"}

    @property
    def _defaults(self) -> list[Any]:
        return self.tree.get("defaults") or []

    @property
    def choices(self) -> dict[str, str]:
        """group -> option."""
        entries = (entry for entry in self._defaults if isinstance(entry, dict))
        return {key.removeprefix("override /"): str(option) for entry in entries for key, option in entry.items()}

    @property
    def orders(self) -> Tree:
        """Dotted key -> names, for every order of entries."""
        return {key: names for key, names in leaves(self.values) if key.endswith(f".{ORDER}")}

    def choose(self, group: str, option: str) -> list[str]:
        """Override a group's option; returns the dropped keys, which were set for the group's old option."""
        dropped = [] if self.choices.get(group) == option else [key for key, _ in leaves(self.values) if key.startswith(f"{group}.")]
        for key in dropped:
            self.remove(key)
        entries = [entry for entry in self._defaults if f"override /{group}" not in entry]
        if "defaults" not in self.tree:
            self.tree.insert(0, "defaults", [])
        self.tree["defaults"] = [*entries, {f"override /{group}": _quoted(option)}]
        return dropped

    def unchoose(self, group: str) -> list[str]:
        """Leave a group's option to conf/; returns the dropped keys, which were set for the overriding one."""
        dropped = [key for key, _ in leaves(self.values) if key.startswith(f"{group}.")]
        for key in dropped:
            self.remove(key)
        for i, entry in reversed(list(enumerate(self.tree["defaults"]))):
            if isinstance(entry, dict) and f"override /{group}" in entry:
                del self.tree["defaults"][i]
        if not self.tree["defaults"]:
            del self.tree["defaults"]
        return dropped

    def set(self, key: str, value: Any) -> None:
        *parents, last = (_quoted(part) for part in key.split("."))
        node = self.tree
        for part in parents:
            if not isinstance(node.get(part), dict):
                node[part] = {}
            node = node[part]
        node[last] = _quoted(value)

    def remove(self, key: str) -> None:
        drop(self.tree, key)

    @contextmanager
    def on_trial(self) -> Iterator[None]:
        """Write the file; when what follows raises, the old text comes back."""
        before = self.path.read_text() if self.is_on_disk else None
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
        if not self.tree:
            self.path.unlink(missing_ok=True)
            return
        text = io.StringIO()
        _yaml().dump(self.tree, text)
        head = "" if "@package _global_" in text.getvalue() else HEAD
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self.is_on_disk or self.path.read_text() != head + text.getvalue():
            replace(self.path, head + text.getvalue())
