"""A photo's file, opened to read, or the reason why it can't be: one that can't keeps no other from being looked at."""

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from pipeline.dataset.refused import Refused
from pipeline.dataset.source.space import gigabytes

# What may lie where a file is looked for; to open a pipe would wait for a writer, and a device may never end.
KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}

LARGEST = 2**29  # bytes of a photo: 65 million pixels of 16 bits in four channels; what is longer would fill the memory


@contextmanager
def opened(path: Path) -> Iterator[BufferedReader]:
    """Open a file. Raises Refused for what is no file or has gone, and where opening or reading fails."""
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
        if kind in KINDS:
            raise Refused(f"it is {KINDS[kind]}, not a file")
        with path.open("rb") as stream:
            yield stream
    except FileNotFoundError as error:
        raise Refused(f"it can't be read: {'its link leads to no file' if path.is_symlink() else 'there is no such file'}") from error
    except OSError as error:
        raise Refused(f"it can't be read: {error.strerror}") from error


def contents(path: Path) -> bytes:
    """Return a file's bytes. Raises Refused as `opened` does, and for more than LARGEST."""
    with opened(path) as stream:
        if (size := os.fstat(stream.fileno()).st_size) > LARGEST:
            raise Refused(f"it has {gigabytes(size)}, more than any photo: a video?")
        return stream.read()


def size_of(path: Path) -> int:
    """Return a file's bytes. Raises Refused as `opened` does."""
    with opened(path) as stream:
        return os.fstat(stream.fileno()).st_size


def digest(path: Path) -> str:
    """Return the sha256 of a file. Raises Refused as `opened` does."""
    with opened(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def can_be_read(path: Path) -> bool:
    try:
        with opened(path) as stream:
            stream.read(1)
    except Refused:
        return False
    return True
