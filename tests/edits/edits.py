"""What people do to a working copy: each edit says itself in words, does itself, and says what is meant by it."""

import re
from dataclasses import dataclass
from typing import Any

from pipeline.config.checks.keys import unknown_keys
from pipeline.config.composition import Tree, drop, get, has, put
from tests.edits.intent import ABSENT, ORDER, Intent, Layer
from tests.edits.run import Fault, Run
from tests.edits.workspace import LOCAL, Workspace, reorder


class Edit:
    def fits(self, run: Run) -> bool:
        """Tell whether the edit can be made now and changes something."""
        return True

    def play(self, run: Run) -> None:
        raise NotImplementedError


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
        project.rewrite(self.path, lambda tree: _put(tree, self.key, self.value))


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


@dataclass(frozen=True)
class Overridden(Edit):
    key: str
    value: object

    def __str__(self) -> str:
        return f"in {LOCAL} write {self.key}: {self.value}"

    def fits(self, run: Run) -> bool:
        intent = run.intent
        return has(intent.base(), self.key) and self.key not in intent.typed.values and intent.local.values.get(self.key) != self.value

    def play(self, run: Run) -> None:
        if not (run.workspace.root / LOCAL).exists():
            run.workspace.write(LOCAL, "# @package _global_\nseed: 0\n")
            run.workspace.rewrite(LOCAL, lambda tree: (_put(tree, self.key, self.value), self.key == "seed" or tree.pop("seed")))
        else:
            run.workspace.rewrite(LOCAL, lambda tree: _put(tree, self.key, self.value))
        run.intent.write("values", self.key, self.value)


@dataclass(frozen=True)
class Erased(Edit):
    table: str  # choices, values or orders
    key: str

    def __str__(self) -> str:
        return f"delete {'override /' if self.table == 'choices' else ''}{self.place} in {LOCAL}"

    @property
    def place(self) -> str:
        return f"{self.key}.{ORDER}" if self.table == "orders" else self.key

    def fits(self, run: Run) -> bool:
        orders = [order for order in run.intent.local.orders if self.key.rpartition(".")[0] == order]
        return self.key in getattr(run.intent.local, self.table) and not orders  # an order must name what is there

    def play(self, run: Run) -> None:
        def change(tree: Any) -> None:
            if self.table != "choices":
                drop(tree, self.place)
                return
            tree["defaults"] = [entry for entry in tree["defaults"] if f"override /{self.key}" not in entry]
            if not tree["defaults"]:
                del tree["defaults"]

        try:
            run.workspace.rewrite(LOCAL, change)
        except (KeyError, OSError) as error:
            raise Fault(f"{LOCAL} does not hold {self.place}, which was lifted") from error
        if run.workspace.read(LOCAL).rstrip().endswith("{}"):
            (run.workspace.root / LOCAL).unlink()
        run.intent.erase(self.table, self.key)


@dataclass(frozen=True)
class ErasedFile(Edit):
    def __str__(self) -> str:
        return f"delete {LOCAL}"

    def fits(self, run: Run) -> bool:
        return any(run.intent.local.tables)

    def play(self, run: Run) -> None:
        if not (run.workspace.root / LOCAL).exists():
            raise Fault(f"there is no {LOCAL}, into which something was lifted")
        (run.workspace.root / LOCAL).unlink()
        run.intent.local = Layer()
        run.intent.touched = True


def moved(names: list[str], name: str, before: str) -> list[str]:
    """Return the names with one of them moved before another; the same where one of them is missing."""
    if name not in names or before not in names or name == before:
        return names
    rest = [other for other in names if other != name]
    return [*rest[: rest.index(before)], name, *rest[rest.index(before) :]]


def names_of(tree: Tree, mapping: str) -> list[str]:
    return list(get(tree, mapping)) if has(tree, mapping) else []


def type_order(run: Run, mapping: str) -> None:
    run.intent.type("orders", mapping, names_of(run.workspace.params, mapping), names_of(run.intent.shown, mapping))


def unknown(intent: Intent, group: str, option: str) -> bool:
    """Tell whether something of the overrides was set for another option of a group and is not known to this one."""
    base = intent.conf(**{group: option})
    for key in [*intent.local.values, *intent.local.orders]:
        tree: Tree = {}
        put(tree, key, None)
        if key.startswith(f"{group}.") and (unknown_keys(tree, base) or key.startswith(("model.layers", "augmentation.transforms"))):
            return True
    return False


def _get(tree: Any, key: str) -> Any:
    for part in key.split("."):
        tree = tree[part]
    return tree


def _put(tree: Any, key: str, value: object) -> None:
    *parents, last = key.split(".")
    for part in parents:
        tree = tree.setdefault(part, {})
    tree[last] = value
