"""Upload event logs to MLflow: each event once and in order, also after a kill; logs in the order that their runs need."""

import errno
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.config.atomic import replace
from pipeline.config.errors import NetworkError
from pipeline.tracking.events import (
    BEGIN,
    FOLDER,
    REFUSED,
    UPLOADER,
    Event,
    Reader,
    begin_of,
    has_writer,
    is_before,
    last_write,
    refused,
    remove,
    waiting,
)
from pipeline.tracking.faults import is_refusal, note, sentence, store_may_be_away
from pipeline.tracking.mlflow_writer import NOT_UPLOADED, Call, MlflowWriter, State, cut
from pipeline.tracking.open_run import open_calls, store_of

SYNC = "python -m pipeline.command.sync"
UNREADABLE = (EOFError, ValueError, LookupError, TypeError)  # raised for a damaged file or event
LONGEST = 300  # characters of the note on what MLflow rejects


class RunGone(Exception):
    """The run that a log was uploaded to is deleted for good."""


class Upload:
    """Uploads one log, in one or more calls of `catch_up`. The caller holds the log's UPLOADER lock."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        self.home = home
        self.progress = folder / "delivered.json"
        self.state = _read_state(self.progress)
        self.writer: MlflowWriter | None = None
        self.reader = Reader(folder)
        self.events: list[Event] = []

    def catch_up(self, rest: Callable[[], None] = lambda: None) -> bool:
        """Upload what is new; return whether the log is complete.

        A complete log is removed, unless MLflow rejects a part of it, which is kept and reported. rest: called after each event.
        Raises NetworkError where the store is unreachable; the next call continues from there."""
        is_closed = self._read()
        with store_may_be_away():
            self._advance(rest)
            if is_complete := self._has_end() or (is_closed and not self.events):
                self._close()
        return is_complete

    def _advance(self, rest: Callable[[], None]) -> None:
        try:
            for number in range(self._open(), len(self.events)):
                self._upload(number)
                self.state.arrived, self.state.parts = number + 1, 0
                self._save_state()
                rest()
        except RunGone:
            self.state, self.writer = State(), None  # reopen the store too: its experiment may be gone with the run
            self._advance(rest)

    def retry_refused(self) -> None:
        """Retry what MLflow has rejected. Raises NetworkError where the store is unreachable."""
        self._read()
        if not self.events:  # another command has uploaded it, and taking the lock recreated the folder
            remove(self.folder)
            return
        numbers = {json.loads(line)["number"] for line in (self.folder / REFUSED).read_text().splitlines()}
        with store_may_be_away():
            self._open()
            self.state.refused = []
            if self.writer:
                self.writer.has_ended = bool(self.state.run)
            for number in sorted(numbers) if self.state.run else range(len(self.events)):
                self.state.parts = 0
                self._upload(number)
            if self.writer and not self.state.refused:
                self._call(partial(self.writer.delete_tag, NOT_UPLOADED), len(self.events) - 1)
            self._close()

    def _read(self) -> bool:
        """Read new events; return whether the writer is gone. If it died without an end event, the run was KILLED at its last write."""
        is_closed = not has_writer(self.folder)  # before reading: a writer may end between the two
        self.events += self.reader.new(is_closed)
        if is_closed and self.events and not self._has_end():
            self.events.append({"event": "end", "status": "KILLED", "time": last_write(self.folder)})
        return is_closed

    def _has_end(self) -> bool:
        return any(event["event"] == "end" for event in self.events)

    def _open(self) -> int:
        """Open the store if there is something to upload; return the number of the next event."""
        if self.events and not self.writer and (begin := begin_of(self.events)):
            self.writer = MlflowWriter(store_of(begin, self.home), self.folder, self.state)
            if self.state.run and not self.writer.has_run():
                self.state = self.writer.state = State()
        return self.state.arrived

    def _upload(self, number: int) -> None:
        """Make the remaining calls of an event; a rejected one does not hold up the others."""
        for done, call in enumerate(self._calls(number), 1):
            if done > self.state.parts:
                self._call(call, number)
                self.state.parts = done
                self._save_state()

    def _calls(self, number: int) -> Iterator[Call]:
        """Yield an event's calls; a damaged event, or a damaged file that it names, is kept as rejected."""
        event = self.events[number]
        try:
            if not self.writer:
                raise ValueError("the first line is torn, so that its run is unknown")
            yield from open_calls(self.writer, event) if event["event"] == BEGIN else self.writer.calls(event)
        except (*UNREADABLE, OSError) as error:
            if isinstance(error, OSError) and error.errno not in (
                None,
                errno.ENOENT,
            ):  # the disk's; a damaged picture has no errno
                raise
            self._refuse(number, f"its event log is damaged: {sentence(error)}")

    def _call(self, call: Call, number: int) -> None:
        try:
            call()
        except Exception as error:
            if not self.state.run or not is_refusal(error):  # without a run there is nothing to continue with
                raise
            self._call_again(call, number, error)

    def _call_again(self, call: Call, number: int, error: Exception) -> None:
        """Repeat a rejected call if its run was deleted and can be restored. Raises RunGone if it can't."""
        if not self.writer or not self.writer.has_run():
            raise RunGone from None
        if not self.writer.store.restore(self.state.run):
            return self._refuse(number, sentence(error))
        try:
            call()
        except Exception as again:
            if not is_refusal(again):
                raise
            self._refuse(number, sentence(again))

    def _refuse(self, number: int, reason: str) -> None:
        self.state.refused.append({"number": number, "reason": f"{self.events[number]['event']}: {reason}"})

    def _save_state(self) -> None:
        replace(self.progress, json.dumps(asdict(self.state)))

    def _close(self) -> None:
        """Remove the log, or keep it with a list of what MLflow rejects."""
        if not self.state.refused:
            remove(self.folder)
            return
        self._save_state()
        lines = [{**refusal, "told": self.events[refusal["number"]]} for refusal in self.state.refused]
        replace(self.folder / REFUSED, "".join(f"{json.dumps(line)}\n" for line in lines))
        reasons = cut("; ".join(refusal["reason"] for refusal in self.state.refused), LONGEST)
        note(f"MLflow rejects a part of a run: {reasons}. It is kept in {FOLDER}/{self.folder.name}/{REFUSED}; `{SYNC}` retries it")


def _read_state(progress: Path) -> State:
    """Return the saved progress; without a readable file the upload starts over, which creates nothing twice."""
    try:
        return State(**json.loads(progress.read_text()))
    except (OSError, ValueError, TypeError):
        return State()


PATIENCE = 60  # seconds to wait for another process that uploads the same log


def sync_waiting(home: Path) -> list[str]:
    """Upload the logs whose writers are gone; return a note for each that has to wait for the store.

    A stage's log also waits for that of its training, which has to create the run. A training that died together with its
    uploader gets its true end state here."""
    notes: list[str] = []
    for folder in waiting(home):
        with suppress(FileNotFoundError):  # just completed by its uploader
            if not (has_writer(folder) or _is_behind(folder, home) or _earlier_starts(folder, home)):
                notes += _locked(folder, home, Upload.catch_up)
    return notes


def sync_refused(home: Path) -> list[str]:
    """Retry what MLflow has rejected; return a note for each log that has to wait for the store."""
    return [note for folder in refused(home) for note in _locked(folder, home, Upload.retry_refused)]


def sync_earlier_starts(folder: Path, home: Path) -> None:
    """Upload the logs of earlier starts of the same training, whose run this log resumes.

    Raises NetworkError where they have to wait for the store or for their own uploader."""
    for other in _earlier_starts(folder, home):
        try:
            with FileLock(other / UPLOADER, timeout=PATIENCE):
                Upload(other, home).catch_up()
        except Timeout:
            raise NetworkError(f"the uploader of {other.name}, an earlier start of this training, is still at work") from None


def waiting_note(folder: Path, reason: str) -> str:
    """Return a note on why a log waits, where, and which command uploads it."""
    return f"note: {reason}. What MLflow lacks waits in {folder.parent.name}/{folder.name}; `{SYNC}` uploads it"


def _locked(folder: Path, home: Path, work: Callable[[Upload], object]) -> Iterator[str]:
    """Do `work` on a log under its UPLOADER lock; yield a note if it has to wait."""
    try:
        with suppress(FileNotFoundError), FileLock(folder / UPLOADER, timeout=PATIENCE):  # just completed by another process
            work(Upload(folder, home))
    except Timeout:
        yield waiting_note(folder, f"another process is still uploading it after {PATIENCE} s")
    except NetworkError as error:
        yield waiting_note(folder, str(error))


def _is_behind(folder: Path, home: Path) -> bool:
    """Return whether the training of a log's bundle is still being uploaded; its uploader syncs this log then."""
    bundle = _tag_of(folder, "bundle")
    others = (other for other in waiting(home) if bundle and other != folder)
    return any(event["event"] == "tags" and event["values"] == {"bundle": bundle} for other in others for event in Reader(other).new())


def _earlier_starts(folder: Path, home: Path) -> list[Path]:
    """Return the waiting logs of earlier starts of the same training, oldest first."""
    training = _tag_of(folder, "training")
    return [other for other in waiting(home) if training and is_before(other, folder) and _tag_of(other, "training") == training]


def _tag_of(folder: Path, name: str) -> str | None:
    begin = begin_of(Reader(folder).new())
    return begin["tags"].get(name) if begin else None
