"""What killed processes left: folders that nobody holds any more, each with its lock beside it."""

import shutil
import time
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

DAY = 86_400  # seconds


def lock_of(folder: Path, is_waiting: bool) -> FileLock:
    """Return a folder's lock, which waits for who holds it or raises Timeout at once."""
    return FileLock(folder.with_name(f"{folder.name}.lock"), blocking=is_waiting)


def remove_old(root: Path, keep: float) -> None:
    """Remove the folders below root that nobody holds and in which nothing has changed for `keep` days."""
    for folder in [path for path in root.iterdir() if path.is_dir()]:
        with suppress(Timeout, FileNotFoundError):  # held, or removed by its own process just now
            newest = max((file.stat().st_mtime for file in [folder, *folder.iterdir()]), default=0.0)
            if time.time() - newest > keep * DAY:
                with lock_of(folder, is_waiting=False):
                    shutil.rmtree(folder)
