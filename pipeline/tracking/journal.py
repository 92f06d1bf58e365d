"""What a run has to tell MLflow, on disk until it is delivered: one JSON line an event, beside the files that the lines name.

A training writes and never waits: a store that is slow or away costs it nothing and loses nothing (docs/decisions/0009).
Delivery reads (pipeline/tracking/delivery.py), and knows from the writer's lock whether the training still lives."""

import json
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pipeline.tracking.names import file_name_of

Event = dict[str, Any]  # "event" is its kind; every other key is what that kind tells

FOLDER = "journals"  # below the project's root
EVENTS, WRITER, COURIER = "events.jsonl", "writer.lock", "courier.lock"
REFUSED = "refused.jsonl"  # what MLflow does not take; in a journal that has been delivered but for that
BEGIN, TORN = "begin", "torn"  # the kind of the first event, and what stands for a line that can't be read
ERROR = "error"  # the tag that says why a run failed
TOLD = 200  # bytes of such a line
STORE = "MLFLOW_TRACKING_URI"  # the variable by which the store may be named; an address with a password comes by it alone


class Journal:
    """The writing end; held by one process until close(), or until it dies."""

    def __init__(self, home: Path) -> None:
        (home / FOLDER).mkdir(parents=True, exist_ok=True)
        with FileLock(home / FOLDER / ".lock"):
            # Counted, not dated: clocks are set back, and zones change. What is not there any more has been delivered.
            number = 1 + max(map(_number, waiting(home)), default=0)
            name = f"{number:04}-{time.strftime('%Y%m%d-%H%M%S')}-{os.urandom(3).hex()}"
            made, self.folder = home / FOLDER / f".{name}", home / FOLDER / name
            made.mkdir()
            self.lock = FileLock(made / WRITER)
            self.lock.acquire()
            made.rename(self.folder)  # whoever sees a journal sees it locked
        self.files = 0

    def write(self, event: str, **told: Any) -> None:
        append(self.folder, {"event": event, **told})

    def place(self, name: str) -> Path:
        """Return where to put a file before the event that names it: called `name`, as far as MLflow takes that."""
        self.files += 1
        folder = self.folder / "files" / str(self.files)
        folder.mkdir(parents=True)
        return folder / file_name_of(name)

    def close(self) -> None:
        self.lock.release()


def append(folder: Path, event: Event) -> None:
    """Add an event to a journal: in one write, so that two processes of a machine may do it at once.

    It begins a line of its own, so that one which a full disk has cut short spoils no other."""
    line = f"\n{json.dumps({'time': int(time.time() * 1000), **event})}\n".encode()
    with (folder / EVENTS).open("ab", buffering=0) as file:
        while line:
            line = line[file.write(line) :]


class Reader:
    """The reading end; goes on where it stopped."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / EVENTS
        self.offset = 0  # bytes

    def new(self, has_died: bool = False) -> list[Event]:
        """Return the events since the last call; a line that is still being written is left for later.

        has_died: nobody writes any more, so that a line without an end is one that was cut short."""
        if not self.path.exists():
            return []
        with self.path.open("rb") as file:
            file.seek(self.offset)
            found = file.read()
        lines = found if has_died else found[: found.rfind(b"\n") + 1]
        self.offset += len(lines)
        return [_event(line) for line in lines.split(b"\n") if line]


def _event(line: bytes) -> Event:
    """Return what a line tells; one that a power cut or a full disk has torn is an event of its own kind."""
    try:
        event = json.loads(line)
        return event if {"event", "time"} <= event.keys() else _torn(line)
    except (ValueError, AttributeError):
        return _torn(line)


def _torn(line: bytes) -> Event:
    return {"event": TORN, "line": line[:TOLD].decode(errors="replace")}


def opening_of(events: list[Event]) -> Event | None:
    """Return the event that says which run these are of, if it is whole."""
    return next((event for event in events if event["event"] == BEGIN), None)


def waiting(home: Path) -> list[Path]:
    """Return the journals that are not delivered to their end, in the order of their beginning."""
    return sorted((path for path in _journals(home) if not (path / REFUSED).exists()), key=_place)


def refused(home: Path) -> list[Path]:
    """Return the journals that are delivered but for what MLflow refuses."""
    return sorted((path for path in _journals(home) if (path / REFUSED).exists()), key=_place)


def _journals(home: Path) -> list[Path]:
    return [path for path in (home / FOLDER).glob("[!.]*") if path.is_dir()]


def _place(folder: Path) -> tuple[int, str]:
    return _number(folder), folder.name


def _number(folder: Path) -> int:
    """Return a journal's place in their order; a folder of another name comes first."""
    number = folder.name.partition("-")[0]
    return int(number) if number.isdecimal() else 0


def is_before(folder: Path, other: Path) -> bool:
    """Tell whether one journal began before another one of this project."""
    return _place(folder) < _place(other)


def has_writer(folder: Path) -> bool:
    """Tell whether the process that writes this journal lives."""
    try:
        with FileLock(folder / WRITER, blocking=False):
            return False
    except Timeout:
        return True


def last_sign(folder: Path) -> int:
    """Return when something was written last, in milliseconds since 1970."""
    return int((folder / EVENTS).stat().st_mtime * 1000)


def remove(folder: Path) -> None:
    """Remove a journal in one step, so that a kill leaves no half of it, which would be delivered again."""
    gone = folder.with_name(f".{folder.name}-{os.urandom(3).hex()}")  # another process may be about to do the same
    with suppress(FileNotFoundError):  # another process has removed it
        folder.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)
