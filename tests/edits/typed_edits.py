"""The edits of params.yaml by hand."""

from dataclasses import dataclass

from pipeline.config.tree import Tree, drop, get, has, put
from tests.edits.edits import Edit, moved
from tests.edits.intent import ABSENT
from tests.edits.run import Run
from tests.edits.workspace import reorder


@dataclass(frozen=True)
class TypedValue(Edit):
    key: str
    value: object

    def __str__(self) -> str:
        return f"in params.yaml write {self.key}: {self.value}"

    def fits(self, run: Run) -> bool:
        known = has(run.workspace.params, self.key) and get(run.workspace.params, self.key) != self.value
        return known and run.intent.local.values.get(self.key, ("", -1))[1] < run.intent.epoch

    def play(self, run: Run) -> None:
        run.workspace.retype(lambda tree: put(tree, self.key, self.value))
        run.intent.type("values", self.key, self.value, get(run.intent.shown, self.key))


@dataclass(frozen=True)
class TypedChoice(Edit):
    group: str
    option: str

    def __str__(self) -> str:
        return f"in params.yaml write {self.group}: {{name: {self.option}}}"

    def fits(self, run: Run) -> bool:
        return bool(run.workspace.params[self.group]["name"] != self.option)

    def play(self, run: Run) -> None:
        run.workspace.retype(lambda tree: put(tree, f"{self.group}.name", self.option))
        run.intent.type("choices", self.group, self.option, run.intent.chosen[self.group])


@dataclass(frozen=True)
class TypedOrder(Edit):
    mapping: str
    name: str
    before: str

    def __str__(self) -> str:
        return f"in params.yaml move {self.mapping}.{self.name} before {self.before}"

    def fits(self, run: Run) -> bool:
        names = names_of(run.workspace.params, self.mapping)
        return moved(names, self.name, self.before) != names

    def play(self, run: Run) -> None:
        run.workspace.retype(lambda tree: reorder(get(tree, self.mapping), moved(list(get(tree, self.mapping)), self.name, self.before)))
        type_order(run, self.mapping)


@dataclass(frozen=True)
class TypedEntry(Edit):
    """A layer or a transform put in."""

    mapping: str
    name: str
    entry: Tree
    before: str

    def __str__(self) -> str:
        return f"in params.yaml insert {self.mapping}.{self.name}: {self.entry} before {self.before}"

    def fits(self, run: Run) -> bool:
        names = names_of(run.workspace.params, self.mapping)
        return self.before in names and self.name not in names and f"{self.mapping}.{self.name}" not in run.intent.local.values

    def play(self, run: Run) -> None:
        def change(tree: Tree) -> None:
            mapping = get(tree, self.mapping)
            mapping[self.name] = self.entry
            reorder(mapping, moved(list(mapping), self.name, self.before))

        run.workspace.retype(change)
        run.intent.type("values", f"{self.mapping}.{self.name}", self.entry, None)
        type_order(run, self.mapping)


@dataclass(frozen=True)
class TypedAbsence(Edit):
    key: str

    def __str__(self) -> str:
        return f"delete {self.key} in params.yaml"

    def fits(self, run: Run) -> bool:
        return has(run.workspace.params, self.key) and has(run.intent.shown, self.key)

    def play(self, run: Run) -> None:
        run.workspace.retype(lambda tree: drop(tree, self.key))
        run.intent.type("values", self.key, ABSENT, None)


def names_of(tree: Tree, mapping: str) -> list[str]:
    return list(get(tree, mapping)) if has(tree, mapping) else []


def type_order(run: Run, mapping: str) -> None:
    run.intent.type("orders", mapping, names_of(run.workspace.params, mapping), names_of(run.intent.shown, mapping))
