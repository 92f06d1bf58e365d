"""Files on disk: which ones count, safe reading of users' files, CSV, free space, scratch folders."""

import csv
import errno
import hashlib
import io
import os
import shutil
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path, PurePath
from typing import Any, TextIO

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from pipeline.config.errors import DataError

RESOURCES = ("__MACOSX", "Icon\r")  # macOS's own files: metadata in every zip, a folder's icon

# What else may lie where a file is expected; opening a pipe would wait for a writer, and a device may never end.
KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}

LARGEST = 2**29  # bytes of an image: 65 million pixels of 16 bits in four channels; more could fill the memory
CRLF = "\r\n"  # csv quotes a field for the characters of its line terminator only, and a name may hold either
DAY = 86_400  # seconds


def save_array(path: Path, array: NDArray[Any]) -> None:
    """Write a small array as .npy. Raises OSError with its errno, which np.save loses: a full disk would look like a bug."""
    stream = io.BytesIO()
    np.save(stream, array)
    path.write_bytes(stream.getvalue())


class Refused(Exception):
    """The file can't be used; the message is the reason."""


def names_below(folder: Path) -> list[str]:
    """Return the relative paths of all files below a folder, sorted part by part. Raises DataError for an unreadable folder."""
    found = []
    for top, folders, names in os.walk(folder, onerror=_refuse):
        folders.sort()
        where = "" if top == str(folder) else top[len(str(folder)) + 1 :] + "/"
        found += [where + name for name in names]
    return sorted(found, key=lambda name: name.replace("/", "\0"))  # the order of lists of parts, in a third of their memory


def _refuse(error: OSError) -> None:
    raise DataError(f"the folder {error.filename} can't be read: {error.strerror}; mend that, or move it away") from error


def visible_files(folder: Path) -> list[Path]:
    """Return all files below a folder, sorted, but no hidden ones nor any in hidden folders."""
    return [folder / name for name in names_below(folder) if not is_hidden(PurePath(name))]


def is_hidden(path: PurePath) -> bool:
    """Return whether any part of a path begins with a dot or is one of macOS's own."""
    return any(part.startswith(".") or part in RESOURCES for part in path.parts)


def sha256(path: Path) -> str:
    """Return the hexadecimal digest of a file of the project's own. Raises OSError."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def opened(path: Path) -> Iterator[BufferedReader]:
    """Open a user's file. Raises Refused for anything but a file, and if opening or reading fails."""
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
        if kind in KINDS:
            raise Refused(f"it is {KINDS[kind]}, not a file")
        with path.open("rb") as stream:
            yield stream
    except FileNotFoundError as error:
        raise Refused(f"it can't be read: {'its link is broken' if path.is_symlink() else 'there is no such file'}") from error
    except OSError as error:
        raise Refused(f"it can't be read: {error.strerror}") from error


def contents(path: Path) -> bytes:
    """Return the bytes of a user's file. Raises Refused as `opened` does, and for more than LARGEST."""
    with opened(path) as stream:
        if (size := os.fstat(stream.fileno()).st_size) > LARGEST:
            raise Refused(f"it has {gigabytes(size)}, more than any photo: a video?")
        return stream.read()


def digest(path: Path) -> str:
    """Return the sha256 of a user's file. Raises Refused as `opened` does."""
    with opened(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def is_readable(path: Path) -> bool:
    """Return whether `opened` opens a file and its first byte can be read."""
    with suppress(Refused), opened(path) as stream:
        stream.read(1)
        return True
    return False


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table in UTF-8, one line feed after each row, such that any file or class name survives."""
    with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as stream:  # old archives' names may not be UTF-8
        table = csv.writer(_LineFeeds(stream), lineterminator=CRLF)
        table.writerow(header)
        table.writerows(rows)


class _LineFeeds:
    """Takes one row per call from csv, and ends it with a line feed."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, row: str) -> None:
        self.stream.write(row.removesuffix(CRLF) + "\n")


def require_space(folder: Path, needed: int, purpose: str) -> int:
    """Return the free bytes on the disk of `folder`, which need not exist. Raises OSError (ENOSPC) with the figures if too few."""
    there = next(path for path in [folder, *folder.parents] if path.exists())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise OSError(errno.ENOSPC, f"can't take {purpose}: {gigabytes(needed)} are needed, {gigabytes(free)} are free", str(folder))
    return free


def gigabytes(count: int) -> str:
    """Return a number of bytes in GB, for a message."""
    return f"{count / 1e9:.2f} GB"


def lock_of(folder: Path, is_waiting: bool) -> FileLock:
    """Return the lock of a scratch folder, a file beside it. Acquiring it waits for its holder, or raises Timeout at once."""
    return FileLock(folder.with_name(f"{folder.name}.lock"), blocking=is_waiting)


def remove_old(root: Path, keep: float) -> None:
    """Remove the unlocked scratch folders below root in which nothing has changed for `keep` days."""
    for folder in [path for path in root.iterdir() if path.is_dir()]:
        with suppress(Timeout, FileNotFoundError):  # locked, or just removed by its own process
            newest = max((file.stat().st_mtime for file in [folder, *folder.iterdir()]), default=0.0)
            if time.time() - newest > keep * DAY:
                with lock_of(folder, is_waiting=False):
                    shutil.rmtree(folder)
