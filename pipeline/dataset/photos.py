"""Find the photos that a command is given: files, folders, patterns, archives, standard input."""

import glob
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath

from pipeline.config.errors import DataError
from pipeline.config.schema import Fetch
from pipeline.dataset.archive import MAGIC
from pipeline.dataset.files import LARGEST, Refused, contents, gigabytes, opened, visible_files
from pipeline.dataset.transports import BLOCK
from pipeline.dataset.unpack import unpack

STDIN = "-"
TAR, TAR_AT = b"ustar", 257  # magic of a tar's first header, and its offset


@dataclass(frozen=True)
class Photo:
    """A photo to classify."""

    path: Path  # as answers name it; that of an archive goes on with the name in it
    file: Path  # holds its bytes
    actual: str | None = None  # its class, where it lies in a sub-folder that is called so
    refusal: str = ""  # why there is no such photo

    @classmethod
    def at(cls, path: Path) -> "Photo":
        """Return the photo that is this file."""
        return cls(path, path)

    def read(self) -> bytes:
        """Return the file's bytes. Raises Refused."""
        if self.refusal:
            raise Refused(self.refusal)
        return contents(self.file)


def files_of(paths: list[Path]) -> Iterator[Path]:
    """Yield files as given, readable or not, and the files below folders but hidden ones; or the folder itself, where it has none."""
    for path in paths:
        yield from (visible_files(path) if path.is_dir() else []) or [path]


def photos_of(words: list[str], classes: Collection[str], limits: Callable[[], Fetch], scratch: Path) -> Iterator[Photo]:
    """Yield the photos that a command line names, in its order; what is refused is among them, with the reason.

    A word is a file, a folder, an archive, a pattern (where the shell has left one), or - for the bytes of a photo or an archive on
    standard input. classes: names of sub-folders that tell a photo's class. limits: of what an archive may hold, asked for if there is one.
    scratch: folder for what comes out of archives and standard input."""
    for word in words:
        if word == STDIN:
            yield from _of_file(_from_stdin(scratch), classes, limits, scratch)
        elif glob.has_magic(word) and not Path(word).exists():
            found = sorted(glob.glob(word, recursive=True))  # noqa: PTH207 - Path's glob finds hidden files too
            if "**" in word:  # matches folders and what lies in them
                found = [name for name in found if not Path(name).is_dir()]
            for name in found:
                yield from _of_path(Path(name), classes, limits, scratch)
            if not found:
                yield Photo(Path(word), Path(word), refusal="no file matches this pattern")
        else:
            yield from _of_path(Path(word), classes, limits, scratch)


def _of_path(path: Path, classes: Collection[str], limits: Callable[[], Fetch], scratch: Path) -> Iterator[Photo]:
    if path.is_dir():
        files = list(files_of([path]))
        labels = labels_of([file.relative_to(path) for file in files], classes)
        yield from (Photo(file, file, label) for file, label in zip(files, labels, strict=True))
    else:
        yield from _of_file(Photo.at(path), classes, limits, scratch)


def _of_file(photo: Photo, classes: Collection[str], limits: Callable[[], Fetch], scratch: Path) -> Iterator[Photo]:
    """Yield the photo, or those of the archive that it is."""
    if photo.refusal or not is_archive(photo.file):
        yield photo
        return
    # An archive is unpacked beside itself, and its own folder is the user's.
    beside = Path(tempfile.mkdtemp(dir=scratch)) / photo.file.name
    beside.symlink_to(photo.file.resolve())
    try:
        with redirect_stdout(sys.stderr):
            unpacked = unpack(beside, limits())
    except DataError as error:
        yield Photo(photo.path, photo.file, refusal=f"this archive was not unpacked: {error.__cause__ or error}")
        return
    labels = labels_of([PurePath(name) for name in unpacked], classes)
    for (name, file), label in zip(unpacked.items(), labels, strict=True):
        yield Photo(photo.path / name, file, label)


def is_archive(path: Path) -> bool:
    """Return whether a file begins as one of the archives that `unpack` takes."""
    try:
        with opened(path) as stream:
            start = stream.read(TAR_AT + len(TAR))
    except Refused:
        return False
    return start.startswith(tuple(MAGIC)) or start[TAR_AT:] == TAR


def labels_of(names: Sequence[PurePath], classes: Collection[str]) -> list[str | None]:
    """Return the class of each file below a folder, which is that of its sub-folder, or None.

    Where all lie in one folder that is no class, as in an archive of a folder, its sub-folders count."""
    depth = 0
    while len({name.parts[depth : depth + 1] for name in names}) == 1 and all(len(name.parts) > depth + 1 for name in names):
        if names[0].parts[depth] in classes:
            break
        depth += 1
    folders = [name.parts[depth] if len(name.parts) > depth + 1 else None for name in names]
    return [folder if folder in classes else None for folder in folders]


def _from_stdin(scratch: Path) -> Photo:
    """Write standard input to a file, up to the size of the largest photo."""
    file, size = scratch / "stdin", 0
    with file.open("wb") as out:
        for block in iter(partial(sys.stdin.buffer.read, BLOCK), b""):
            if (size := size + len(block)) > LARGEST:
                return Photo(Path(STDIN), file, refusal=f"standard input has more than {gigabytes(LARGEST)}; give the file's name instead")
            out.write(block)
    return Photo(Path(STDIN), file)
