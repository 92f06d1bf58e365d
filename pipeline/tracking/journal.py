"""What a run has to tell MLflow, on disk until it is delivered: one JSON line an event, beside the files that the lines name.

A training writes and never waits: a store that is slow or away costs it nothing and loses nothing (docs/decisions/0009).
Delivery reads (pipeline/tracking/delivery.py), and knows from the writer's lock whether the training still lives."""

import json
import os
import time
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

Event = dict[str, Any]  # "event" is its kind; every other key is what that kind tells

FOLDER = "journals"  # below the project's root
EVENTS, WRITER, COURIER = "events.jsonl", "writer.lock", "courier.lock"


class Journal:
    """The writing end; held by one process until close(), or until it dies."""

    def __init__(self, home: Path) -> None:
        seconds, rest = divmod(time.time_ns(), 10**9)  # names stand in the order of time
        name = f"{time.strftime('%Y%m%d-%H%M%S', time.localtime(seconds))}-{rest:09}-{os.urandom(3).hex()}"
        made, self.folder = home / FOLDER / f".{name}", home / FOLDER / name
        made.mkdir(parents=True)
        self.lock = FileLock(made / WRITER)
        self.lock.acquire()
        made.rename(self.folder)  # whoever sees a journal sees it locked
        self.files = 0

    def write(self, event: str, **told: Any) -> None:
        append(self.folder, {"event": event, **told})

    def place(self, name: str) -> Path:
        """Return where to put a file called `name` before the event that names it."""
        self.files += 1
        folder = self.folder / "files" / str(self.files)
        folder.mkdir(parents=True)
        return folder / name

    def close(self) -> None:
        self.lock.release()


def append(folder: Path, event: Event) -> None:
    """Add an event to a journal: in one write, so that two processes of a machine may do it at once."""
    line = json.dumps({"time": int(time.time() * 1000), **event}) + "\n"
    with (folder / EVENTS).open("ab", buffering=0) as file:
        file.write(line.encode())


class Reader:
    """The reading end; goes on where it stopped."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / EVENTS
        self.offset = 0  # bytes

    def new(self) -> list[Event]:
        """Return the events since the last call; a line that is still being written is left for later."""
        if not self.path.exists():
            return []
        with self.path.open("rb") as file:
            file.seek(self.offset)
            lines = file.read().rpartition(b"\n")[0]
        self.offset += len(lines) + 1 if lines else 0
        return [json.loads(line) for line in lines.splitlines()]


def waiting(home: Path) -> list[Path]:
    """Return the journals that are not delivered to their end, the oldest first."""
    return sorted(path for path in (home / FOLDER).glob("[!.]*") if path.is_dir())


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
