"""A working copy whose files are edited as people edit them; how DVC's commands run is what its two kinds differ in."""

import io
import re
from abc import abstractmethod
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML

from pipeline.config.compose import dump, read_yaml
from pipeline.config.tree import Tree
from tests.project import Project

LOCAL = "conf/local/overrides.yaml"
REWRITTEN = ("model", "augmentation", "optimizer", "scheduler", "loss", "training", "evaluate")  # groups that are edited here

READ: dict[str, Tree] = {}  # texts of params.yaml that were read before

Change = Callable[[Any], object]


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    refused: bool
    training: str  # trained | restored | none: a new training, one from DVC's run cache, nothing
    output: str

    def tells(self, key: str) -> bool:
        """Tell whether a line names the key; a value's old and new alone don't say that an edit was dropped."""
        return any(key in line for line in self.output.splitlines() if not line.startswith("params.yaml: "))


class Workspace(Project):
    @abstractmethod
    def reproduce(self) -> Outcome:
        """Do what `dvc repro` does."""

    @abstractmethod
    def experiment(self, name: str, words: tuple[str, ...]) -> Outcome:
        """Do what `dvc exp run -n NAME -S WORD …` does."""

    @abstractmethod
    def apply(self, name: str) -> None:
        """Do what `dvc exp apply NAME` does."""

    @abstractmethod
    def begin_branch(self) -> None:
        """Commit everything and go to a new branch."""

    @abstractmethod
    def end_branch(self) -> None:
        """Commit everything and go back."""

    @property
    @abstractmethod
    def trained(self) -> Tree:
        """What the network that lies in the workspace was trained with, in order."""

    @property
    def params(self) -> Tree:
        text = self.read("params.yaml")
        if text not in READ:
            READ[text] = read_yaml(self.root / "params.yaml")
        return deepcopy(READ[text])

    def retype(self, change: Change) -> None:
        """Change params.yaml as by hand."""
        tree = self.params
        change(tree)
        self.write("params.yaml", dump(tree))

    def rewrite(self, path: str, change: Change) -> None:
        """Change a file that people write; comments and order stay."""
        yaml = YAML()
        yaml.width = 160
        yaml.indent(mapping=2, sequence=4, offset=2)
        tree = yaml.load(self.read(path))
        change(tree)
        text = io.StringIO()
        yaml.dump(tree, text)
        self.write(path, text.getvalue())

    def make_a_baseline_with_something_to_order(self) -> None:
        for group, option in {"model": "cnn", "augmentation": "flip", "optimizer": "adamw", "scheduler": "cosine"}.items():
            self.write("conf/config.yaml", re.sub(rf"(  - {group}:) \w+", rf"\1 {option}", self.read("conf/config.yaml")))
        for group in REWRITTEN:
            for path in (self.root / "conf" / group).glob("*.yaml"):  # so that a value edited there and back leaves the same bytes
                self.rewrite(str(path.relative_to(self.root)), lambda tree: None)


def reorder(mapping: Any, names: list[str]) -> None:
    for name in names:
        mapping[name] = mapping.pop(name)
