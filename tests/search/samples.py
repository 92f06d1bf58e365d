"""Searches for tests, and the work of trials: functions that a trial's process can import."""

import os
import signal
import time
from pathlib import Path
from typing import Any

from pipeline.config.atomic import replace
from pipeline.config.errors import ConfigError, NetworkError
from pipeline.config.search import Entry, Search, Settings
from pipeline.config.sweep_words import Interval, Options
from pipeline.search.ledger import Ledger
from pipeline.search.storage import Storage
from pipeline.search.task import Task
from pipeline.search.trial import TrialProcess

SETTINGS: dict[str, Any] = {
    "sampler": "random",
    "trials": 4,
    "time": None,
    "seed": 0,
    "first": False,
    "patience": None,
    "against": None,
    "pruner": "none",
    "startup": 1,
    "warmup": 0,
    "seeds": 1,
    "folds": None,
    "attempts": 3,
    "silence": "1h",
}
RATE = Entry("lr", Interval(1e-3, 1.0, is_log=True), "")
KIND = Entry("kind", Options(("good", "bad")), "")


def search(*entries: Entry, **settings: Any) -> Search:
    return Search(Settings(**SETTINGS | settings), entries or (RATE,), ("fixed=1",))


def ledger_in(folder: Path, wanted: Search, name: str = "s", stands: dict[str, Any] | None = None) -> Ledger:
    return Ledger.create(Storage(f"sqlite:///{folder / 'sweeps.db'}"), name, wanted, "validation/accuracy", stands or {})


def begun(ledger: Ledger) -> Task:
    """Begin the next trial, which there must be."""
    task = ledger.next()
    assert task is not None
    return task


def value_of(task: Task, key: str) -> str:
    return dict(word.split("=", 1) for word in task.words)[key]


def mark(marks: Path, task: Task) -> int:
    """Leave a file POINT-NUMBER for this start of a point, with the process; return which start it is, from 1."""
    starts = len(list(marks.glob(f"{task.point}-*"))) + 1
    replace(marks / f"{task.point}-{task.number}", str(os.getpid()))
    return starts


def rate(marks: Path, task: Task, process: TrialProcess) -> float:
    mark(marks, task)
    process.claim(f"key {value_of(task, 'lr')}")
    return float(value_of(task, "lr"))


def brief(marks: Path, task: Task, process: TrialProcess) -> float:
    """Train a moment, and leave a mark at the end."""
    for epoch in (1, 2, 3):
        process.report(epoch, epoch / 3)
        time.sleep(0.05)
    mark(marks, task)
    return 1.0


def by_kind(marks: Path, task: Task, process: TrialProcess) -> float:
    """Do what the point's kind says."""
    starts, kind = mark(marks, task), value_of(task, "kind")
    if kind == "raises":
        raise RuntimeError("a bug")
    if kind == "refused":
        raise ConfigError("that does not go together", "kind")
    if kind == "offline":
        raise NetworkError("the server is away")
    if kind == "killed once" and starts == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "hangs":
        time.sleep(60)
    return float("nan") if kind == "nan" else 0.5


def slow(marks: Path, task: Task, process: TrialProcess) -> float:
    mark(marks, task)
    for epoch in range(1, 200):
        process.report(epoch, epoch / 200)
        time.sleep(0.05)
    return 1.0


def epochs(marks: Path, task: Task, process: TrialProcess) -> float:
    """Report ten epochs; those of a bad point are worse from the first on."""
    mark(marks, task)
    best = 0.9 if value_of(task, "kind") == "good" else 0.1
    for epoch in range(1, 11):
        process.report(epoch, best * epoch / 10)
    return best


def equal(marks: Path, task: Task, process: TrialProcess) -> float:
    """Train half a second, once for each kind."""
    process.claim(value_of(task, "kind"))
    mark(marks, task)
    time.sleep(0.5)
    return 0.5


def seeded(marks: Path, task: Task, process: TrialProcess) -> float:
    """Train a moment; the score is a tenth of the seed. With a file `killed`, the training with seed 1 is killed once."""
    with (marks / "trained").open("a") as stream:
        stream.write(f"seed={value_of(task, 'seed')} {task.point}\n")
    seed = int(value_of(task, "seed"))
    if seed == 1 and (marks / "killed").exists():
        (marks / "killed").unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    process.report(1, seed / 10)
    return seed / 10


def second_seed_slow(marks: Path, task: Task, process: TrialProcess) -> float:
    """Train at once with seed 0, for ten seconds with another."""
    seed = value_of(task, "seed")
    (marks / seed).touch()
    for _ in range(0 if seed == "0" else 200):
        time.sleep(0.05)
    return 0.5


def two_objectives(marks: Path, task: Task, process: TrialProcess) -> tuple[float, float]:
    """Return a score and a cost, both higher for the good kind, and by a little with the second seed."""
    seed, is_good = int(value_of(task, "seed")), value_of(task, "kind") == "good"
    return (0.5 if is_good else 0.25) + seed / 8, (2000 if is_good else 1000) + seed
