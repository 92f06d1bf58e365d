"""conf/local/overrides.yaml: what this working copy changes on top of conf/; comments in it survive."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from pipeline.config.composition import Tree, drop, leaves, put
from pipeline.config.order import ORDER

HEAD = """\
# @package _global_
# What this working copy changes on top of conf/: edit it, commit it, or delete it.
# `dvc repro` adds here what was changed in params.yaml, by hand or by `dvc exp apply`.
"""


def _yaml() -> YAML:
    yaml = YAML()  # round trip: keeps comments and order
    yaml.width = 120
    yaml.indent(mapping=2, sequence=4, offset=2)  # as in conf/
    return yaml


def _plain(node: Any) -> Any:
    """Return a node of the round trip as plain values, which other writers of YAML know."""
    if isinstance(node, dict):
        return {key: _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(item) for item in node]
    return next((kind(node) for kind in (bool, int, float, str) if isinstance(node, kind)), node)


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
    def choices(self) -> dict[str, str]:
        """group -> option."""
        entries = (entry for entry in self.tree.get("defaults", []) if isinstance(entry, dict))
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
        entries = [entry for entry in self.tree.get("defaults", []) if f"override /{group}" not in entry]
        if "defaults" not in self.tree:
            self.tree.insert(0, "defaults", [])
        self.tree["defaults"] = [*entries, {f"override /{group}": option}]
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
        put(self.tree, key, value)

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
                self.path.write_text(before)
            raise

    def write(self) -> None:
        if not self.tree:
            self.path.unlink(missing_ok=True)
            return
        text = io.StringIO()
        _yaml().dump(self.tree, text)
        head = "" if "@package _global_" in text.getvalue() else HEAD
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(head + text.getvalue())
