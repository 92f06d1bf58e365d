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
        name = f"{time.strftime('%Y%m%d-%H%M%S')}-{os.urandom(3).hex()}"
        made, self.folder = home / FOLDER / f".{name}", home / FOLDER / name
        made.mkdir(parents=True)
        self.lock = FileLock(made / WRITER)
        self.lock.acquire()
        made.rename(self.folder)  # whoever sees a journal sees it locked
        self.events = (self.folder / EVENTS).open("a")
        self.files = 0

    def write(self, event: str, **told: Any) -> None:
        self.events.write(json.dumps({"event": event, "time": int(time.time() * 1000), **told}) + "\n")
        self.events.flush()

    def place(self, name: str) -> Path:
        """Return where to put a file called `name` before the event that names it."""
        self.files += 1
        folder = self.folder / "files" / str(self.files)
        folder.mkdir(parents=True)
        return folder / name

    def close(self) -> None:
        self.events.close()
        self.lock.release()


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


def events(folder: Path) -> list[Event]:
    """Return the events so far; a line that is still being written is left for later."""
    path = folder / EVENTS
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines]


def last_sign(folder: Path) -> int:
    """Return when the writer wrote last, in milliseconds since 1970."""
    return int((folder / EVENTS).stat().st_mtime * 1000)
