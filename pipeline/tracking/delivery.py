"""Journals brought into MLflow: each event once and in order, also through a cut, a death, or a store that was away."""

import errno
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.config.atomic import replace
from pipeline.config.errors import NetworkError
from pipeline.tracking.arrival import NOT_DELIVERED, Arrival, Part, State
from pipeline.tracking.faults import is_refusal, sentence, store_may_be_away
from pipeline.tracking.journal import (
    BEGIN,
    COURIER,
    FOLDER,
    REFUSED,
    Event,
    Reader,
    has_writer,
    is_before,
    last_sign,
    opening_of,
    refused,
    remove,
    waiting,
)
from pipeline.tracking.names import cut
from pipeline.tracking.opening import opened, store_of

PATIENCE = 60  # seconds for a courier that is at work on a journal
DELIVER = "python -m pipeline.command.deliver"
UNREADABLE = (EOFError, ValueError, LookupError, TypeError)  # a file or an event that is not as it was written
LONGEST = 300  # characters of the line about what MLflow refuses


class RunGone(Exception):
    """The run that a journal has been told to is in the store no more."""


class Delivery:
    """Brings one journal into the store, in as many steps as it takes; whoever holds the journal's courier lock may."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        self.home = home
        self.note = folder / "delivered.json"
        self.state = _noted(self.note)
        self.arrival: Arrival | None = None
        self.reader = Reader(folder)
        self.told: list[Event] = []

    def catch_up(self, rest: Callable[[], None] = lambda: None) -> bool:
        """Deliver what has not arrived; tell whether it was the last of this journal.

        A journal that the store holds all of is removed then; one of which MLflow refuses a part stays, and is told of.
        rest: called after each event.
        Raises NetworkError where the store is away; the next call goes on where this one stopped."""
        has_died = self._read()
        with store_may_be_away():
            self._advance(rest)
            if is_over := self._has_end() or (has_died and not self.told):
                self._close()
        return is_over

    def _advance(self, rest: Callable[[], None]) -> None:
        try:
            for number in range(self._opened(), len(self.told)):
                self._deliver(number)
                self.state.arrived, self.state.parts = number + 1, 0
                self._remember()
                rest()
        except RunGone:
            self.state, self.arrival = State(), None  # opened again too: its experiment may be gone with it
            self._advance(rest)

    def offer_again(self) -> None:
        """Deliver what MLflow has refused, should it take it now. Raises NetworkError where the store is away."""
        self._read()
        if not self.told:  # another command has delivered it meanwhile, and the lock has made the folder anew
            remove(self.folder)
            return
        numbers = {json.loads(line)["number"] for line in (self.folder / REFUSED).read_text().splitlines()}
        with store_may_be_away():
            self._opened()
            self.state.refused = []
            if self.arrival:
                self.arrival.is_over = bool(self.state.run)
            for number in sorted(numbers) if self.state.run else range(len(self.told)):
                self.state.parts = 0
                self._deliver(number)
            if self.arrival and not self.state.refused:
                self._take(partial(self.arrival.forget, NOT_DELIVERED), len(self.told) - 1)
            self._close()

    def _read(self) -> bool:
        """Read what has been told; tell whether its teller has died, whose end is then where its last sign is."""
        has_died = not has_writer(self.folder)  # asked first: a writer may end between the two
        self.told += self.reader.new(has_died)
        if has_died and self.told and not self._has_end():
            self.told.append({"event": "end", "status": "KILLED", "time": last_sign(self.folder)})
        return has_died

    def _has_end(self) -> bool:
        return any(event["event"] == "end" for event in self.told)

    def _opened(self) -> int:
        """Open the store once there is something to deliver; return the number of the event that comes next."""
        if self.told and not self.arrival and (opening := opening_of(self.told)):
            self.arrival = Arrival(store_of(opening, self.home), self.folder, self.state)
            if self.state.run and not self.arrival.has_run():
                self.state = self.arrival.state = State()
        return self.state.arrived

    def _deliver(self, number: int) -> None:
        """Take the calls of an event that have not been taken; a refused one keeps no other from arriving."""
        for done, part in enumerate(self._readable_parts(number), 1):
            if done > self.state.parts:
                self._take(part, number)
                self.state.parts = done
                self._remember()

    def _readable_parts(self, number: int) -> Iterator[Part]:
        try:
            yield from self._parts(self.told[number])
        except (*UNREADABLE, OSError) as error:
            if isinstance(error, OSError) and error.errno not in (None, errno.ENOENT):  # the disk's; a torn picture has no number
                raise
            self._refuse(number, f"the journal has it no more: {sentence(error)}")

    def _parts(self, event: Event) -> Iterator[Part]:
        if not self.arrival:
            raise ValueError("its beginning is torn, so that nothing says which run it is of")
        return opened(self.arrival, event) if event["event"] == BEGIN else self.arrival.parts(event)

    def _take(self, part: Part, number: int) -> None:
        try:
            part()
        except Exception as error:
            if not self.state.run or not is_refusal(error):  # without a run the others have nowhere to go
                raise
            self._take_again(part, number, error)

    def _take_again(self, part: Part, number: int, error: Exception) -> None:
        """Take a refused call again where a person has deleted its run, which is restored. Raises RunGone where it can't be."""
        if not self.arrival or not self.arrival.has_run():
            raise RunGone from None
        if not self.arrival.store.restore(self.state.run):
            return self._refuse(number, sentence(error))
        try:
            part()
        except Exception as again:
            if not is_refusal(again):
                raise
            self._refuse(number, sentence(again))

    def _refuse(self, number: int, reason: str) -> None:
        self.state.refused.append({"number": number, "reason": f"{self.told[number]['event']}: {reason}"})

    def _remember(self) -> None:
        replace(self.note, json.dumps(asdict(self.state)))

    def _close(self) -> None:
        """Remove the journal, but for what MLflow refuses."""
        if not self.state.refused:
            remove(self.folder)
            return
        self._remember()
        told = [{**refusal, "told": self.told[refusal["number"]]} for refusal in self.state.refused]
        replace(self.folder / REFUSED, "".join(f"{json.dumps(line)}\n" for line in told))
        reasons = cut("; ".join(refusal["reason"] for refusal in self.state.refused), LONGEST)
        where = f"{FOLDER}/{self.folder.name}/{REFUSED}"
        print(f"note: MLflow does not take a part of a run: {reasons}. It is kept in {where}; `{DELIVER}` offers it again", file=sys.stderr)


def _noted(note: Path) -> State:
    """Return how far delivery came; from the beginning where that can't be read, which makes nothing twice."""
    try:
        return State(**json.loads(note.read_text()))
    except (OSError, ValueError, TypeError):
        return State()


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


def offer_refused(home: Path) -> list[str]:
    """Deliver what MLflow has refused, should it take it now; return a line for each journal that has to wait on."""
    notes: list[str] = []
    for folder in refused(home):
        try:
            with FileLock(folder / COURIER, timeout=PATIENCE):
                Delivery(folder, home).offer_again()
        except FileNotFoundError:  # another command has just finished with it
            continue
        except Timeout:
            notes.append(waits(folder, f"another command is still at work on it after {PATIENCE} s"))
        except NetworkError as error:
            notes.append(waits(folder, str(error)))
    return notes


def _is_behind(folder: Path, home: Path) -> bool:
    """Tell whether the training of a journal's bundle has not arrived: its courier, which is at work on it, settles this one too."""
    bundle = _tag_of(folder, "bundle")
    if not bundle:
        return False
    others = (other for other in waiting(home) if other != folder)
    return any(event["event"] == "tags" and event["values"] == {"bundle": bundle} for other in others for event in Reader(other).new())


def _tag_of(folder: Path, name: str) -> str | None:
    opening = opening_of(Reader(folder).new())
    return opening["tags"].get(name) if opening else None


def earlier_starts(folder: Path, home: Path) -> list[Path]:
    """Return the journals of earlier starts of the same training that have not arrived, the oldest first."""
    training = _tag_of(folder, "training")
    return [other for other in waiting(home) if training and is_before(other, folder) and _tag_of(other, "training") == training]


def bring_earlier_starts(folder: Path, home: Path) -> None:
    """Deliver them, or wait until their courier has: this journal goes on in their run. Raises NetworkError where they have to wait."""
    for other in earlier_starts(folder, home):
        try:
            with FileLock(other / COURIER, timeout=PATIENCE):
                Delivery(other, home).catch_up()
        except Timeout:
            raise NetworkError(f"the courier of {other.name}, an earlier start of this training, is still at work") from None


def waits(folder: Path, reason: str) -> str:
    return f"note: {reason}. What it lacks waits in {folder.parent.name}/{folder.name}; `{DELIVER}` brings it there"
