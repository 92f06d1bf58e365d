"""The edits of conf/local/overrides.yaml by hand."""

from dataclasses import dataclass
from typing import Any

from pipeline.config.tree import drop, has
from tests.edits.edits import Edit, write
from tests.edits.intent import ORDER, Layer
from tests.edits.run import Fault, Run
from tests.edits.workspace import LOCAL


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
            run.workspace.rewrite(LOCAL, lambda tree: (write(tree, self.key, self.value), self.key == "seed" or tree.pop("seed")))
        else:
            run.workspace.rewrite(LOCAL, lambda tree: write(tree, self.key, self.value))
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
