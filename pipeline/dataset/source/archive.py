"""What an archive holds, entry by entry: zip, tar (plain, gz, xz, bz2, zst) and one compressed file. Nothing is written here.

The kind is known by the first bytes, not by the name. Each entry's bytes can be read until the next entry is asked for."""

import bz2
import functools
import gzip
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

from pipeline.config.errors import DataError
from pipeline.dataset.source.answer import BLOCK
from pipeline.dataset.source.entry_names import shown

FILE, FOLDER = "file", "folder"  # every other kind is named in words, for a message

MAGIC = {
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",  # an empty one
    b"\x1f\x8b": "gz",
    b"BZh": "bz2",
    b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "zst",
}
SUFFIXES = {".gz", ".bz2", ".xz", ".zst"}

# Tar headers that hold a long name and the like are read into memory at once.
EXTENDED = {tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE}
LONGEST_HEADER = 1 << 20  # bytes

DAMAGE = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError),  # gzip's and bz2's are OSErrors
    *(ValueError, RuntimeError, NotImplementedError, RecursionError, OverflowError, MemoryError),  # of headers that lie
)


@dataclass(frozen=True)
class Entry:
    name: str  # as it is written in the archive
    kind: str  # FILE, FOLDER or what it is instead
    size: int | None  # bytes that the archive announces for it
    blocks: Callable[[], Iterator[bytes]]


def entries(archive: Path) -> Iterator[Entry]:
    """Yield what an archive holds, in its order. Raises DataError where it is damaged, encrypted or of another kind."""
    kind = _kind(archive)
    with _told():
        yield from _zip(archive) if kind == "zip" else _decompressed(archive, kind)


def announced(archive: Path) -> int | None:
    """Return the bytes that a zip's own listing promises; None of other kinds, which have no listing."""
    if _kind(archive) != "zip":
        return None
    with _told(), zipfile.ZipFile(archive) as listed:
        return sum(info.file_size for info in listed.infolist())


def _kind(archive: Path) -> str:
    with archive.open("rb") as stream:
        start = stream.read(tarfile.BLOCKSIZE)
    if kind := next((kind for magic, kind in MAGIC.items() if start.startswith(magic)), "tar" if _is_tar(start) else ""):
        return kind
    raise DataError(f"it is no zip, tar, gz, bz2, xz or zst: it begins with {start[:4].hex() or 'nothing'}")


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except DAMAGE as error:
        raise DataError(f"it is damaged: {str(error) or type(error).__name__}") from error
    except Exception as error:
        if type(error).__name__ != "ZstdError":  # its package is imported when it is used
            raise
        raise DataError(f"it is damaged: {error}") from error


def _blocks(opened: Callable[[], IO[bytes]]) -> Iterator[bytes]:
    with _told(), opened() as stream:
        yield from iter(functools.partial(stream.read, BLOCK), b"")


def _zip(path: Path) -> Iterator[Entry]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.flag_bits & 1:
                raise DataError(f"the entry {shown(info.orig_filename)} is encrypted, and no password is known here")
            read = functools.partial(archive.open, info)
            yield Entry(info.orig_filename, _zip_kind(info), info.file_size, functools.partial(_blocks, read))


def _zip_kind(info: zipfile.ZipInfo) -> str:
    mode = info.external_attr >> 16  # of Unix; 0 where the archive was made elsewhere
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return _special(mode)
    return FOLDER if info.is_dir() else FILE


def _special(mode: int) -> str:
    return "a link" if stat.S_ISLNK(mode) else "a device, a pipe or a socket"


def _decompressed(path: Path, kind: str) -> Iterator[Entry]:
    """Yield a tar's entries, or the one file that is compressed."""
    with _opener(kind)(path) as stream:
        is_tar = _is_tar(stream.read(tarfile.BLOCKSIZE))
        stream.seek(0)
        if is_tar:
            yield from _tar(stream)
        else:
            name = path.stem if path.suffix in SUFFIXES else path.name
            yield Entry(name, FILE, None, functools.partial(_blocks, lambda: stream))


def _opener(kind: str) -> Callable[[Path], Any]:
    if kind == "zst":
        from backports.zstd import ZstdFile

        return ZstdFile
    openers: dict[str, Callable[[Path], Any]] = {"gz": gzip.open, "bz2": bz2.open, "xz": lzma.open}
    return openers.get(kind, lambda path: path.open("rb"))


def _is_tar(start: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(start, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


class Header(tarfile.TarInfo):
    """A tar header that can't be misread: tarfile takes a broken one in the middle for the end of the archive."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(archive)
        except tarfile.HeaderError as error:
            if type(error).__name__ == "EOFHeaderError":  # the block of zeros by which a tar ends
                raise
            raise tarfile.ReadError(f"{error}; it may be cut short") from error

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        header = super().frombuf(buf, encoding, errors)
        if header.size < 0 or (header.type in EXTENDED and header.size > LONGEST_HEADER):
            raise tarfile.ReadError(f"a header announces {header.size} bytes")
        return header


def _tar(stream: IO[bytes]) -> Iterator[Entry]:
    with tarfile.open(fileobj=stream, mode="r|", tarinfo=Header, encoding="utf-8", errors="surrogateescape") as opened:
        archive: Any = opened  # some of what is used has no type known to mypy
        while (member := archive.next()) is not None:
            archive.members.clear()  # tarfile keeps them all, a kilobyte each
            read = functools.partial(archive.extractfile, member)
            yield Entry(member.name, _tar_kind(member), member.size, functools.partial(_blocks, read))
        while block := archive.fileobj.read(BLOCK):
            if any(block):
                raise tarfile.ReadError("bytes follow behind its end")


def _tar_kind(member: tarfile.TarInfo) -> str:
    if member.isdir():
        return FOLDER
    if member.issym() or member.islnk():
        return "a link"
    if member.issparse():
        return "a file with holes"
    return FILE if member.isreg() else "a device, a pipe or a socket"
