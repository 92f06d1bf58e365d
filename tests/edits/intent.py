"""What a person wants after some edits: for each value, choice and order, who said what last. Knows nothing of conf.lock."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import yaml

from pipeline.config.compose import compose, read_yaml, resolved
from pipeline.config.tree import Tree, choices, drop, get, has, put
from pipeline.config.validate import unknown_keys
from tests.edits.workspace import Workspace, reorder

ABSENT = "_absent_"
ORDER = "_order_"
NAMED = ("model.layers", "augmentation.transforms")  # mappings whose entries people name themselves, and whose order counts

Said = tuple[Any, int]  # what, and between which two runs of configure


@dataclass
class Layer:
    """What was said on top of conf/ in one place."""

    choices: dict[str, Said] = field(default_factory=dict)  # group -> option
    values: dict[str, Said] = field(default_factory=dict)  # dotted key -> value, or ABSENT
    orders: dict[str, Said] = field(default_factory=dict)  # dotted key of a mapping -> its names

    @property
    def tables(self) -> tuple[dict[str, Said], dict[str, Said], dict[str, Said]]:
        return self.choices, self.values, self.orders

    def forget(self, group: str) -> list[str]:
        """Drop the values and orders of a group; return their keys."""
        return self.drop(lambda key: key.startswith(f"{group}."))

    def drop(self, goes: Callable[[str], bool]) -> list[str]:
        gone = [(table, key) for table in (self.values, self.orders) for key in table if goes(key)]
        for table, key in gone:
            del table[key]
        return [key for _, key in gone]

    def take(self, other: "Layer") -> None:
        for mine, others in zip(self.tables, other.tables, strict=True):
            mine.update(others)


class Intent:
    def __init__(self, clone: Workspace) -> None:
        """clone: a fresh copy of conf/, in which edits of conf/ are made too, and nothing else."""
        self.clone = clone
        self.composed: dict[tuple[str, ...], Tree] = {}  # what conf/, as it is now, composes to under some choices
        self.local = Layer()  # conf/local/overrides.yaml
        self.tried = Layer()  # the last experiment's -S, until a `dvc repro` lifts it
        self.typed = Layer()  # in params.yaml by hand, not lifted
        self.epoch = 0  # runs of configure so far
        self.touched = False  # conf/local/overrides.yaml was edited since the last run of configure
        self._remember()

    def _remember(self) -> None:
        """Note what a run of configure has seen."""
        self.files, self.defaults, self.seen = self.conf_files(), choices(self.conf()), self.base()
        self.shown, self.chosen, self.kept = self.expected(), self.options(), self.options(tried=False)
        self.touched = False
        self.epoch += 1

    def conf_files(self) -> dict[str, str]:
        return {str(path.relative_to(self.clone.root)): path.read_text() for path in sorted((self.clone.root / "conf").rglob("*.yaml"))}

    def conf(self, **options: str) -> Tree:
        """Return what conf/ without conf/local/ composes to, composed once; not to be changed."""
        words = tuple(f"{group}={option}" for group, option in sorted(options.items()))
        if words not in self.composed:
            self.composed[words] = compose(self.clone.root / "conf", list(words))
        return self.composed[words]

    def options(self, tried: bool = True) -> dict[str, str]:
        said = self.local.choices | (self.tried.choices if tried else {})
        return choices(self.conf()) | {group: option for group, (option, _) in said.items()}

    def base(self) -> Tree:
        """Return what conf/ composes to under all that was chosen."""
        defaults = choices(self.conf())
        return self.conf(**{group: option for group, option in self.options().items() if option != defaults.get(group)})

    def expected(self) -> Tree:
        """Return the whole config that the next `dvc repro` must train with, in order."""
        tree = deepcopy(self.base())
        for layer in (self.local, self.tried):
            for key, (value, _) in layer.values.items():
                if value != ABSENT:
                    put(tree, key, deepcopy(value))
                elif has(tree, key):
                    drop(tree, key)
            for mapping, (names, _) in layer.orders.items():
                node = get(tree, mapping)
                reorder(node, [name for name in [*names, *(name for name in node if name not in names)] if name in node])
        return resolved(tree)

    def start(self) -> Tree:
        """Return what an experiment without -S would be: it starts from conf/ and conf/local/overrides.yaml."""
        tried, self.tried = self.tried, Layer()
        try:
            return self.expected()
        finally:
            self.tried = tried

    def file(self, path: str) -> Tree:
        return read_yaml(self.clone.root / path)

    def edit(self, change: Callable[[Workspace], None]) -> None:
        """A person edits a file of conf/."""
        change(self.clone)
        self.composed.clear()

    def type(self, table: str, key: str, value: Any, now: Any) -> None:
        """A person writes into params.yaml, where `now` stood when configure last wrote it; what is put back was no edit."""
        said = getattr(self.typed, table)
        said.pop(key, None)
        if value != now:
            said[key] = value, self.epoch

    def write(self, table: str, key: str, value: Any) -> None:
        """A person writes into conf/local/overrides.yaml, after what an experiment tried."""
        getattr(self.tried, table).pop(key, None)
        getattr(self.local, table)[key] = value, self.epoch
        self.touched = True

    def erase(self, table: str, key: str) -> None:
        """A person deletes an entry of conf/local/overrides.yaml."""
        del getattr(self.local, table)[key]
        self.touched = True

    def experiment(self, tried: Layer) -> list[str]:
        """An experiment starts from conf/ and conf/local/, without what the one before it tried."""
        tells = self._let_conf_win(self.local) + self._forget_named(self.kept, self.options(tried=False), self._written())
        self.tried = tried
        self._remember()
        return tells

    def reproduce(self) -> list[str]:
        """Settle what was said; return the keys of what is dropped, or stays above an edit of conf/, each of which a line must tell."""
        if self.is_settled:
            return []
        tells = self._let_conf_win(self.local) + self._let_conf_win(self.tried) + self._let_conf_win(self.typed)
        written = self._written()
        self.local.take(self.tried)
        for group in self.typed.choices:
            tells += self.local.forget(group) + self.typed.forget(group)
        self.local.take(self.typed)
        self.tried, self.typed = Layer(), Layer()
        tells += self._forget_named(self.chosen, self.options(), written) + self._forget_unknown()
        self._remember()
        return tells

    @property
    def is_settled(self) -> bool:
        return not self.touched and not self.waits and self.files == self.conf_files()

    @property
    def waits(self) -> bool:
        """Tell whether an edit of params.yaml is not lifted, and so lost when DVC composes it anew (README says so)."""
        return any(self.typed.tables)

    def _let_conf_win(self, layer: Layer) -> list[str]:
        """Drop what conf/ has said otherwise since then; return the keys of what conf/ and somebody else both have said."""
        tells, defaults = [], choices(self.conf())
        for table in layer.tables:
            base = self.base()  # under the choices that are left
            for key, (said, epoch) in list(table.items()):
                group = key.split(".")[0]
                if table is layer.choices:
                    before, now = self.defaults[key], defaults[key]
                else:
                    same_option = choices(base).get(group) == choices(self.seen).get(group)
                    now = _said(base, key, table is layer.orders)
                    before = _said(self.seen, key, table is layer.orders) if same_option else now
                if before != now and epoch < self.epoch:
                    del table[key]
                    tells += layer.forget(key) if table is layer.choices else []  # which was set for that option
                tells += [key] if now not in (before, said) else []
        return tells

    def _written(self) -> set[str]:
        """Return the keys that a person wrote into conf/local/overrides.yaml since the last run of configure."""
        return {key for table in self.local.tables for key, (_, epoch) in table.items() if epoch == self.epoch}

    def _forget_named(self, before: dict[str, str], now: dict[str, str], written: set[str]) -> list[str]:
        """Drop the layers and transforms that were set for another option than counts now; return their keys."""
        left = tuple(mapping for mapping in NAMED if before[mapping.split(".")[0]] != now[mapping.split(".")[0]])
        return self.local.drop(lambda key: key.startswith(left) and key not in written)

    def _forget_unknown(self) -> list[str]:
        """Drop what was set for an option that is no longer chosen and what the new one does not know; return the keys."""
        base = self.base()
        return self.local.drop(lambda key: not key.startswith(NAMED) and bool(unknown_keys(nested(key), base)))

    def snapshot(self) -> tuple[dict[str, str], dict[str, Any]]:
        state = {name: value for name, value in vars(self).items() if name not in ("clone", "composed")}
        return self.conf_files(), deepcopy(state)

    def restore(self, snapshot: tuple[dict[str, str], dict[str, Any]]) -> None:
        files, state = snapshot
        for path, text in files.items():
            self.clone.write(path, text)
        self.composed.clear()
        vars(self).update(deepcopy(state))

    def overrides(self) -> str:
        """Return a file of overrides, as a person would write it, that says all that was said on top of conf/."""
        layer = deepcopy(self.local)
        layer.take(self.tried)
        tree: Tree = {}
        for key, (value, _) in layer.values.items():
            put(tree, key, value)
        for mapping in layer.orders:
            there = list(get(self.expected(), mapping))  # an order names what is there
            put(tree, f"{mapping}.{ORDER}", there)
        if layer.choices:
            tree = {"defaults": [{f"override /{group}": option} for group, (option, _) in layer.choices.items()], **tree}
        return f"# @package _global_\n{yaml.safe_dump(tree, sort_keys=False)}" if tree else "# @package _global_\n{}\n"


def _said(tree: Tree, key: str, order: bool) -> Any:
    if not has(tree, key):
        return None
    return list(get(tree, key)) if order else get(tree, key)


def nested(key: str) -> Tree:
    tree: Tree = {}
    put(tree, key, None)
    return tree
