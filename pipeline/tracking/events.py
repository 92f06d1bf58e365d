"""The event log: everything that a run logs, kept on disk until it is in MLflow. One JSON line per event, beside the files it names.

A training appends and never waits, so a slow or unreachable store costs no time and loses nothing (docs/decisions/0009). The
reader (sync.py) tells by the writer's lock whether the training is alive.

Folders, files and tags keep the names of earlier versions, whose logs may be waiting or in use."""

import json
import os
import re
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path, PurePath
from typing import Any

from filelock import FileLock, Timeout

Event = dict[str, Any]  # "event" is its kind, "time" milliseconds since 1970; the other keys depend on the kind

FOLDER = "journals"  # below the project's root, with a folder per log
EVENTS, WRITER, UPLOADER = "events.jsonl", "writer.lock", "uploader.lock"
REFUSED = "refused.jsonl"  # what MLflow has rejected of a log that is otherwise uploaded
BEGIN, TORN = "begin", "torn"  # kinds of the first event, and of a line that can't be parsed
LONGEST_FILE = 200  # bytes; file systems allow 255, and MLflow adds to a name
FILE = re.compile(r"[^a-zA-Z0-9_\-. ]")  # invalid in an artifact's URL or in the MLflow UI
QUOTED = 200  # bytes of such a line that are shown
ERROR = "error"  # tag: why a run failed
RESUMED = "resumed"  # tag of a training that was stopped and went on
RESTORED = "restored"  # tag of a run that was recreated from a bundle
CHANGED = "changed"  # tag: what a training changes on top of conf/, as words of a command line
COMMAND = "command"  # tag: the command that repeats it
NOTE = "mlflow.note.content"  # tag: the description on MLflow's page of a run
PICTURES = "pictures"  # section of the MLflow UI for pictures of the trained network
FILTERS = "filters/first_layer"  # one key for all networks: the MLflow UI shows equal keys side by side
SYSTEM = "system/"  # prefix by which the MLflow UI groups system metrics
SWEEP_ID = "sweep_id"  # tag of a trial's run: its sweep, whose name may be that of an earlier one, too
LAUNCHER = "launcher"  # tag of a trial's run whose sweep has no log of its own: what has started its trials
STORE = "MLFLOW_TRACKING_URI"  # environment variable with the store's URI; only there may it hold a password


def key_of_sweep(sweep_id: str) -> str:
    """Return the tag `training` of a sweep's own run, which is the same at each start."""
    return f"sweep-{sweep_id}"


def trial_tags(sweep: str, sweep_id: str, number: int, varied: Sequence[str], repeated: Sequence[str] = ()) -> dict[str, str]:
    """Return the tags of a trial's run, by which MLflow finds and groups the runs of a sweep.

    varied: the overrides that not all trials have; repeated: those by which the trainings of one point differ."""
    tags = {"sweep": sweep, SWEEP_ID: sweep_id, "trial": str(number), "varied": " ".join(varied)}
    return tags | {f"varied.{key.lstrip('+')}": value for key, _, value in (word.partition("=") for word in (*varied, *repeated))}


class EventLog:
    """The writing end, locked by one process until close() or its death."""

    def __init__(self, home: Path) -> None:
        (home / FOLDER).mkdir(parents=True, exist_ok=True)
        with FileLock(home / FOLDER / ".lock"):
            # Numbered, because clocks can go back. A log that is gone has been uploaded.
            number = 1 + max(map(_number, waiting(home)), default=0)
            name = f"{number:04}-{time.strftime('%Y%m%d-%H%M%S')}-{os.urandom(3).hex()}"
            hidden, self.folder = home / FOLDER / f".{name}", home / FOLDER / name
            hidden.mkdir()
            self.lock = FileLock(hidden / WRITER)
            self.lock.acquire()
            hidden.rename(self.folder)  # no reader ever sees a log without its lock
        self.files = 0

    def write(self, event: str, **fields: Any) -> None:
        """Append an event; raises OSError where the disk is full."""
        append(self.folder, {"event": event, **fields})

    def new_file(self, name: str) -> Path:
        """Return the path of a new file, to be written before the event that names it; `name` is made valid for MLflow."""
        self.files += 1
        folder = self.folder / "files" / str(self.files)
        folder.mkdir(parents=True)
        return folder / file_name_of(name)

    def close(self) -> None:
        """Release the lock: readers then take the log as complete."""
        self.lock.release()


def append(folder: Path, event: Event) -> None:
    """Append an event in one write, so that two processes on one machine can do so at once.

    The line also starts with a newline, so that one truncated by a full disk does not corrupt the next."""
    line = f"\n{json.dumps({'time': int(time.time() * 1000), **event})}\n".encode()
    with (folder / EVENTS).open("ab", buffering=0) as file:
        while line:
            line = line[file.write(line) :]


class Reader:
    """The reading end; each call of new() continues where the last one stopped."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / EVENTS
        self.offset = 0  # bytes

    def new(self, is_closed: bool = False) -> list[Event]:
        """Return the events since the last call, without a line that is still being written.

        is_closed: the writer is gone, so a line without an end is truncated."""
        if not self.path.exists():
            return []
        with self.path.open("rb") as file:
            file.seek(self.offset)
            found = file.read()
        lines = found if is_closed else found[: found.rfind(b"\n") + 1]
        self.offset += len(lines)
        return [_parsed(line) for line in lines.split(b"\n") if line]


def _parsed(line: bytes) -> Event:
    """Parse a line; one damaged by a power cut or a full disk becomes an event of kind TORN."""
    with suppress(ValueError, AttributeError):
        event: Event = json.loads(line)
        if {"event", "time"} <= event.keys():
            return event
    return {"event": TORN, "line": line[:QUOTED].decode(errors="replace")}


def begin_of(events: list[Event]) -> Event | None:
    """Return the BEGIN event, which identifies the run; None where its line is damaged."""
    return next((event for event in events if event["event"] == BEGIN), None)


def waiting(home: Path) -> list[Path]:
    """Return the logs that are not fully uploaded, oldest first."""
    return sorted((path for path in _logs(home) if not (path / REFUSED).exists()), key=_order)


def refused(home: Path) -> list[Path]:
    """Return the logs of which MLflow has rejected a part, oldest first."""
    return sorted((path for path in _logs(home) if (path / REFUSED).exists()), key=_order)


def _logs(home: Path) -> list[Path]:
    return [path for path in (home / FOLDER).glob("[!.]*") if path.is_dir()]


def _order(folder: Path) -> tuple[int, str]:
    return _number(folder), folder.name


def _number(folder: Path) -> int:
    number = folder.name.partition("-")[0]
    return int(number) if number.isdecimal() else 0  # a foreign folder comes first


def is_before(folder: Path, other: Path) -> bool:
    """Return whether a log was begun before another."""
    return _order(folder) < _order(other)


def has_writer(folder: Path) -> bool:
    """Return whether the writing process is alive."""
    try:
        with FileLock(folder / WRITER, blocking=False):
            return False
    except Timeout:
        return True


def last_write(folder: Path) -> int:
    """Return the time of the last write, in milliseconds since 1970."""
    return int((folder / EVENTS).stat().st_mtime * 1000)


def remove(folder: Path) -> None:
    """Remove a log atomically, as a half-removed one would be uploaded again; a missing one is no error."""
    gone = folder.with_name(f".{folder.name}-{os.urandom(3).hex()}")  # random: another process may be removing it too
    with suppress(FileNotFoundError):
        folder.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


def file_name_of(name: str) -> str:
    """Return a valid artifact name of at most 200 bytes; a name that has to change gets a hash and keeps its suffix."""
    kept, suffix = FILE.sub("_", name), FILE.sub("_", PurePath(name).suffix)[:20]
    if kept == name and len(name) <= LONGEST_FILE:
        return name
    stem = kept.removesuffix(suffix)[: LONGEST_FILE - 10 - len(suffix)]
    return f"{stem}-{short_hash(name)}{suffix}"


def short_hash(text: str) -> str:
    """Return 8 hexadecimal digits by which two texts differ."""
    return sha256(text.encode(errors="surrogatepass")).hexdigest()[:8]
