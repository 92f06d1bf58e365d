"""A script of edits played in a working copy, and what must hold after each command of it."""

from typing import Any

from pipeline.bundle import TRAINED_WITH
from pipeline.config.compose import compose, resolved
from pipeline.config.tree import Tree, leaves
from tests.edits.intent import Intent
from tests.edits.workspace import LOCAL, Outcome, Workspace

FILES = ("params.yaml", "conf.lock", LOCAL)


class Fault(AssertionError):
    """Something is stale, lost in silence, or trained needlessly."""


class Run:
    def __init__(self, workspace: Workspace, clone: Workspace) -> None:
        self.workspace = workspace
        self.intent = Intent(clone)
        self.experiments: dict[str, Any] = {}  # name -> the intent that it had
        self.known = [ordered(workspace.trained)]  # what was trained with so far
        self.trace: list[tuple[Any, ...]] = []  # after each command: what it did and what the files hold

    def reproduce(self) -> None:
        self.expect(self.workspace.reproduce(), self.intent.reproduce())

    def expect(self, outcome: Outcome, tells: list[str]) -> None:
        """Hold what a command did against the intent. Raises Fault."""
        self.note(outcome)
        if outcome.refused:
            raise Fault(f"it is refused: {outcome.output}")
        if silent := [key for key in tells if not outcome.tells(key)]:
            raise Fault(f"no line tells of {', '.join(silent)}; it says:\n{outcome.output}")
        wanted = self.intent.expected()
        if different := differences(self.workspace.params, wanted):
            raise Fault(f"params.yaml is not what was wanted: {different}; it says:\n{outcome.output}")
        wanted = {node: wanted[node] for node in TRAINED_WITH}
        if different := differences(self.workspace.trained, wanted):
            raise Fault(f"the network is stale, training: {outcome.training}: {different}")
        if outcome.training == "trained" and ordered(wanted) in self.known:
            raise Fault("it trains anew what was trained already")
        self.known.append(ordered(wanted))

    def finish(self) -> None:
        """Reproduce, twice; then a fresh clone with the same conf/ and the same overrides must come to the same."""
        self.reproduce()
        before = self.files()
        again = self.workspace.reproduce()
        if again.training != "none" or before != self.files():
            raise Fault(f"a second `dvc repro` is not idle: {again.training}; it says:\n{again.output}")
        self.intent.clone.write(LOCAL, self.intent.overrides())
        if different := differences(self.workspace.params, resolved(compose(self.intent.clone.root / "conf"))):
            raise Fault(f"params.yaml is not what a fresh clone makes of the same overrides: {different}")

    def files(self) -> tuple[str, ...]:
        paths = [self.workspace.root / name for name in FILES]
        return tuple(path.read_text() if path.exists() else "" for path in paths)

    def note(self, outcome: Outcome) -> None:
        self.trace.append((outcome.refused, outcome.training, *self.files(), ordered(self.workspace.trained)))


def ordered(tree: Any) -> Any:
    """Return a mapping as pairs, which are equal only in the same order."""
    return [(key, ordered(value)) for key, value in tree.items()] if isinstance(tree, dict) else tree


def differences(found: Tree, wanted: Tree) -> str:
    """Return in words how two configs differ, in order too; nothing where they are one."""
    if ordered(found) == ordered(wanted):
        return ""
    a, b = dict(leaves(found)), dict(leaves(wanted))
    keys = [key for key in [*b, *(key for key in a if key not in b)] if a.get(key, "(none)") != b.get(key, "(none)")]
    words = [f"{key} is {a.get(key, '(none)')}, wanted {b.get(key, '(none)')}" for key in keys]
    return "; ".join(words) or f"the order is {', '.join(misplaced(a, b))}, wanted {', '.join(misplaced(b, a))}"


def misplaced(mine: Tree, other: Tree) -> list[str]:
    return [key for key, beside in zip(mine, other, strict=True) if key != beside]
