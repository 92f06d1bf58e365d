"""Journals brought into MLflow: each event once and in order, also through a cut, a death, or a store that was away."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from filelock import FileLock, Timeout
from mlflow.exceptions import MlflowException

from pipeline.config.errors import NetworkError
from pipeline.config.schema import Tracking
from pipeline.config.secrets import redact
from pipeline.tracking.arrival import Arrival, State
from pipeline.tracking.journal import COURIER, Event, Reader, has_writer, last_sign, waiting
from pipeline.tracking.store import Store

REFUSED = {"INVALID_PARAMETER_VALUE", "BAD_REQUEST", "RESOURCE_DOES_NOT_EXIST"}  # MLflow would say so again
PATIENCE = 60  # seconds for a courier that is at work on a journal


class Delivery:
    """Brings one journal into the store, in as many steps as it takes; whoever holds the journal's courier lock may."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        self.home = home
        self.note = folder / "delivered.json"
        self.state = State(**json.loads(self.note.read_text())) if self.note.exists() else State()
        self.arrival: Arrival | None = None
        self.reader = Reader(folder)
        self.told: list[Event] = []

    def catch_up(self, rest: Callable[[], None] = lambda: None) -> bool:
        """Deliver what has not arrived; tell whether it was the last of this journal, which is removed then.

        rest: called after each event.
        Raises NetworkError where the store is away; the next call goes on where this one stopped."""
        has_died = not has_writer(self.folder)  # asked first: a writer may end between the two
        self.told += self.reader.new()
        if has_died and self.told and not self._has_end():
            self.told.append({"event": "end", "status": "KILLED", "time": last_sign(self.folder)})
        with store_may_be_away():
            for event in self.told[self.state.arrived :]:
                self._deliver(event, self.told[0])
                rest()
        if is_over := self._has_end() or (has_died and not self.told):
            shutil.rmtree(self.folder, ignore_errors=True)
        return is_over

    def _has_end(self) -> bool:
        return any(event["event"] == "end" for event in self.told)

    def _deliver(self, event: Event, opening: Event) -> None:
        self.arrival = self.arrival or Arrival(Store(Tracking(**opening["tracking"]), self.home), self.folder, self.state)
        try:
            self.arrival.take(event)
        except MlflowException as error:
            if error.error_code not in REFUSED:
                raise
            print(f"note: MLflow refused a part of a run ({event['event']}): {_first_line(error)}", file=sys.stderr)
        self.state.arrived += 1
        self.note.write_text(json.dumps(asdict(self.state)))


@contextmanager
def store_may_be_away() -> Iterator[None]:
    try:
        yield
    except (MlflowException, OSError) as error:
        raise NetworkError(f"the MLflow store can't be used: {_first_line(error)}") from None


def settle(home: Path) -> list[str]:
    """Deliver the journals that nobody is at work on, oldest first; return a line for each that has to wait on.

    What is told of a training that has not arrived waits for it: its run would be made a second time.
    So a run's state in MLflow becomes true also where a training and its courier died together."""
    notes: list[str] = []
    for folder in waiting(home):
        try:
            if has_writer(folder) or _is_behind(folder, home) or earlier_starts(folder, home):
                continue
            with FileLock(folder / COURIER, timeout=PATIENCE):
                Delivery(folder, home).catch_up()
        except FileNotFoundError:  # its courier has just finished with it
            continue
        except Timeout:
            notes.append(waits(folder, f"the courier of a training is still at work after {PATIENCE} s"))
        except NetworkError as error:
            notes.append(waits(folder, str(error)))
    return notes


def _is_behind(folder: Path, home: Path) -> bool:
    """Tell whether the training of a journal's bundle has not arrived: its courier, which is at work on it, settles this one too."""
    bundle = next((event["tags"].get("bundle") for event in Reader(folder).new()), None)
    if not bundle:
        return False
    others = (other for other in waiting(home) if other != folder)
    return any(event["event"] == "tags" and event["values"] == {"bundle": bundle} for other in others for event in Reader(other).new())


def earlier_starts(folder: Path, home: Path) -> list[Path]:
    """Return the journals of earlier starts of the same training that have not arrived, the oldest first."""
    training = _training_of(folder)
    return [other for other in waiting(home) if other < folder and training and _training_of(other) == training]


def _training_of(folder: Path) -> str | None:
    return next((event["tags"].get("training") for event in Reader(folder).new()), None)


def bring_earlier_starts(folder: Path, home: Path) -> None:
    """Deliver them, or wait until their courier has: this journal goes on in their run. Raises NetworkError where they have to wait."""
    for other in earlier_starts(folder, home):
        try:
            with FileLock(other / COURIER, timeout=PATIENCE):
                Delivery(other, home).catch_up()
        except Timeout:
            raise NetworkError(f"the courier of {other.name}, an earlier start of this training, is still at work") from None


def waits(folder: Path, reason: str) -> str:
    return (
        f"note: {reason}. What it lacks waits in {folder.parent.name}/{folder.name}; `python -m pipeline.command.deliver` brings it there"
    )


def _first_line(error: Exception) -> str:
    return redact(str(error).splitlines()[0])[:200]
