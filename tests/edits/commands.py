"""The edits that are commands: experiments, applied ones, a branch, and `dvc repro` in between."""

from dataclasses import dataclass

from pipeline.config.tree import Tree, get, has
from pipeline.config.validate import unknown_keys
from tests.edits.conf_edits import ConfValue
from tests.edits.edits import Edit
from tests.edits.intent import ABSENT, NAMED, Intent, Layer, Said, nested
from tests.edits.run import Fault, Run


@dataclass(frozen=True)
class Repro(Edit):
    def __str__(self) -> str:
        return "dvc repro"

    def play(self, run: Run) -> None:
        run.reproduce()


@dataclass(frozen=True)
class Tried:
    """One -S of an experiment."""

    table: str  # choices or values
    key: str
    value: object
    word: str

    @classmethod
    def choice(cls, group: str, option: str) -> "Tried":
        return cls("choices", group, option, f"{group}={option}")

    @classmethod
    def set(cls, key: str, value: object) -> "Tried":
        return cls("values", key, value, f"{key}={value}")

    @classmethod
    def deletion(cls, key: str) -> "Tried":
        return cls("values", key, ABSENT, f"~{key}")

    @classmethod
    def addition(cls, key: str, entry: Tree) -> "Tried":
        return cls("values", key, entry, f"+{key}={{{', '.join(f'{name}: {value}' for name, value in entry.items())}}}")

    def fits(self, run: Run) -> bool:
        start = run.intent.start()
        if self.table == "choices":
            return start[self.key]["name"] != self.value and not _unknown(run.intent, self.key, str(self.value))
        if self.word.startswith("+"):
            return has(start, self.key.rpartition(".")[0]) and not has(start, self.key)
        known = has(start, self.key) and has(run.intent.shown, self.key)
        return known and self.value not in (get(start, self.key), get(run.intent.shown, self.key))


@dataclass(frozen=True)
class Experiment(Edit):
    name: str
    tried: tuple[Tried, ...]

    def __str__(self) -> str:
        return f"dvc exp run -n {self.name} {' '.join(f'-S {word!r}' for word in self.words)}"

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(tried.word for tried in self.tried)

    def fits(self, run: Run) -> bool:
        chosen = [tried.key for tried in self.tried if tried.table == "choices"]
        clash = any(tried.key.startswith(f"{group}.") for tried in self.tried for group in chosen)
        return not clash and not run.intent.waits and all(tried.fits(run) for tried in self.tried)

    def play(self, run: Run) -> None:
        layer = Layer()
        for tried in self.tried:
            said: Said = (tried.value, run.intent.epoch)
            getattr(layer, tried.table)[tried.key] = said
        outcome = run.workspace.experiment(self.name, self.words)
        run.expect(outcome, run.intent.experiment(layer))
        run.experiments[self.name] = run.intent.snapshot()


@dataclass(frozen=True)
class RefusedExperiment(Edit):
    word: str

    def __str__(self) -> str:
        return f"dvc exp run -S '{self.word}' (refused)"

    def fits(self, run: Run) -> bool:
        return not run.intent.waits

    def play(self, run: Run) -> None:
        before = run.files()
        outcome = run.workspace.experiment("refused", (self.word,))
        run.note(outcome)
        if not outcome.refused:
            raise Fault(f"it is not refused: {outcome.output}")
        if run.files() != before:
            raise Fault("a refused experiment leaves another params.yaml, conf.lock or overrides.yaml behind")


@dataclass(frozen=True)
class Apply(Edit):
    name: str

    def __str__(self) -> str:
        return f"dvc exp apply {self.name}"

    def fits(self, run: Run) -> bool:
        return self.name in run.experiments

    def play(self, run: Run) -> None:
        run.workspace.apply(self.name)
        run.intent.restore(run.experiments[self.name])


@dataclass(frozen=True)
class Branch(Edit):
    edit: ConfValue

    def __str__(self) -> str:
        return f"git commit -a; git checkout -b side; {self.edit}; dvc repro; git commit -a; git checkout main"

    def fits(self, run: Run) -> bool:
        return self.edit.fits(run)

    def play(self, run: Run) -> None:
        before = run.intent.snapshot()
        run.workspace.begin_branch()
        self.edit.play(run)
        run.reproduce()
        run.workspace.end_branch()
        run.intent.restore(before)


def _unknown(intent: Intent, group: str, option: str) -> bool:
    """Tell whether something of the overrides was set for another option of a group and is not known to this one."""
    base = intent.conf(**{group: option})
    for key in [*intent.local.values, *intent.local.orders]:
        if key.startswith(f"{group}.") and (unknown_keys(nested(key), base) or key.startswith(NAMED)):
            return True
    return False
