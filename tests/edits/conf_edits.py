"""The edits of conf/."""

import re
from dataclasses import dataclass
from typing import Any

from pipeline.config.tree import get
from tests.edits.edits import Edit, moved, write
from tests.edits.run import Run
from tests.edits.workspace import Workspace, reorder


class ConfEdit(Edit):
    """An edit of a file of conf/."""

    def change(self, project: Workspace) -> None:
        raise NotImplementedError

    def play(self, run: Run) -> None:
        self.change(run.workspace)
        run.intent.edit(self.change)


@dataclass(frozen=True)
class ConfValue(ConfEdit):
    path: str
    key: str
    value: object

    def __str__(self) -> str:
        return f"in {self.path} write {self.key}: {self.value}"

    def fits(self, run: Run) -> bool:
        return get(run.intent.file(self.path), self.key) != self.value

    def change(self, project: Workspace) -> None:
        project.rewrite(self.path, lambda tree: write(tree, self.key, self.value))


@dataclass(frozen=True)
class ConfChoice(ConfEdit):
    group: str
    option: str

    def __str__(self) -> str:
        return f"in conf/config.yaml write {self.group}: {self.option}"

    def fits(self, run: Run) -> bool:
        return f"  - {self.group}: {self.option}\n" not in run.intent.clone.read("conf/config.yaml")

    def change(self, project: Workspace) -> None:
        text = project.read("conf/config.yaml")
        project.write("conf/config.yaml", re.sub(rf"(  - {self.group}:) \w+", rf"\1 {self.option}", text))


@dataclass(frozen=True)
class ConfOrder(ConfEdit):
    path: str
    mapping: str
    name: str
    before: str

    def __str__(self) -> str:
        return f"in {self.path} move {self.mapping}.{self.name} before {self.before}"

    def fits(self, run: Run) -> bool:
        names = list(get(run.intent.file(self.path), self.mapping))
        return moved(names, self.name, self.before) != names

    def change(self, project: Workspace) -> None:
        def change(tree: Any) -> None:
            mapping = _get(tree, self.mapping)
            reorder(mapping, moved(list(mapping), self.name, self.before))

        project.rewrite(self.path, change)


@dataclass(frozen=True)
class Comment(ConfEdit):
    path: str

    def __str__(self) -> str:
        return f"add a comment to {self.path}"

    def change(self, project: Workspace) -> None:
        project.write(self.path, project.read(self.path) + "# looked at again\n")


def _get(tree: Any, key: str) -> Any:
    for part in key.split("."):
        tree = tree[part]
    return tree
