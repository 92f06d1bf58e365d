"""A working copy with real git, DVC, configure and train; dvc.yaml ends with train."""

import json
from pathlib import Path

from pipeline.config.tree import Tree
from tests.edits.workspace import Outcome, Workspace
from tests.project import Ran, small_project


class RealWorkspace(Workspace):
    def reproduce(self) -> Outcome:
        return _outcome(self.run("dvc", "repro"))

    def experiment(self, name: str, words: tuple[str, ...]) -> Outcome:
        return _outcome(self.run("dvc", "exp", "run", "-n", name, *(part for word in words for part in ("-S", word))))

    def apply(self, name: str) -> None:
        self.ok("dvc", "exp", "apply", name)

    def begin_branch(self) -> None:
        self.commit_all()
        self.ok("git", "checkout", "-qb", "side")

    def end_branch(self) -> None:
        self.commit_all()
        self.ok("git", "checkout", "-q", "main")
        self.ok("git", "branch", "-qD", "side")

    def copied(self, to: Path) -> "RealWorkspace":
        return RealWorkspace(self.copy(to).root)

    def commit_all(self) -> None:
        self.ok("git", "add", "-A")
        self.ok("git", "commit", "-q", "--allow-empty", "-m", "work")

    @property
    def trained(self) -> Tree:
        return json.loads(self.read("bundle/bundle.json"))["config"]


def real_workspace(to: Path) -> RealWorkspace:
    """Make a small project whose line ends with train, and train it."""
    small_project(to)
    project = RealWorkspace(to)
    project.make_a_baseline_with_something_to_order()
    text = project.read("dvc.yaml")
    project.write("dvc.yaml", text[: text.index("  evaluate:\n")])
    (to / "dvc.lock").unlink()
    project.commit("the line to train")
    assert project.reproduce().training == "trained"
    project.commit("trained")
    return project


def _outcome(ran: Ran) -> Outcome:
    training = "trained" if "train" in ran.stages else "restored" if "Stage 'train' is cached" in ran.output else "none"
    return Outcome(ran.code != 0, training, ran.output)
