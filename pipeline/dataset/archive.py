"""Iterate over the entries of an archive: zip, tar (plain, gz, xz, bz2, zst) or one compressed file. Nothing is written here.

The kind is recognized by the first bytes, not by the name."""

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

from backports import zstd

from pipeline.config.errors import DataError
from pipeline.dataset.transports import BLOCK

FILE, FOLDER, LINK, SPECIAL = "file", "folder", "a link", "a device, a pipe or a socket"  # kinds of entries

MAGIC = {
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",  # an empty one
    b"\x1f\x8b": "gz",
    b"BZh": "bz2",
    b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "zst",
}
SUFFIXES = {".gz", ".bz2", ".xz", ".zst"}
OPENERS: dict[str, Callable[[Path], Any]] = {
    "gz": gzip.open,
    "bz2": bz2.open,
    "xz": lzma.open,
    "zst": zstd.open,
    "tar": lambda path: path.open("rb"),
}

# Headers whose body, a long name say, tarfile reads into memory at once.
EXTENDED = {tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE}
LONGEST_HEADER = 1 << 20  # bytes

DAMAGE = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, zstd.ZstdError, EOFError, OSError),  # gzip's and bz2's are OSErrors
    *(ValueError, RuntimeError, NotImplementedError, RecursionError, OverflowError, MemoryError),  # for headers that lie
)


@dataclass(frozen=True)
class Entry:
    """One entry of an archive; its bytes can be read until the next entry is asked for."""

    name: str  # as it is spelled in the archive
    kind: str  # FILE, FOLDER, or a description of anything else
    size: int | None  # bytes, as its header announces them
    blocks: Callable[[], Iterator[bytes]]


def entries(archive: Path) -> Iterator[Entry]:
    """Yield an archive's entries in order. Raises DataError if it is damaged, encrypted or of another kind."""
    kind = _kind(archive)
    with _damage_refused():
        yield from _zip(archive) if kind == "zip" else _decompressed(archive, OPENERS[kind])


def announced(archive: Path) -> int | None:
    """Return the unpacked bytes that a zip's directory promises; None for other kinds, which have no directory."""
    if _kind(archive) != "zip":
        return None
    with _damage_refused(), zipfile.ZipFile(archive) as listed:
        return sum(info.file_size for info in listed.infolist())


def quoted(name: str) -> str:
    """Return an entry's name for a message: shortened, in ASCII, in quotes."""
    return ascii(name) if len(name) <= 100 else f"{name[:97]!a}..."


def _kind(archive: Path) -> str:
    with archive.open("rb") as stream:
        start = stream.read(tarfile.BLOCKSIZE)
    if kind := next((kind for magic, kind in MAGIC.items() if start.startswith(magic)), "tar" if _is_tar(start) else ""):
        return kind
    raise DataError(f"it is no zip, tar, gz, bz2, xz or zst: it begins with {start[:4].hex() or 'nothing'}")


@contextmanager
def _damage_refused() -> Iterator[None]:
    try:
        yield
    except DAMAGE as error:
        raise DataError(f"it is damaged: {str(error) or type(error).__name__}") from error


def _blocks(opened: Callable[[], IO[bytes]]) -> Iterator[bytes]:
    with _damage_refused(), opened() as stream:
        yield from iter(functools.partial(stream.read, BLOCK), b"")


def _zip(path: Path) -> Iterator[Entry]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.flag_bits & 1:
                raise DataError(f"the entry {quoted(info.orig_filename)} is encrypted, and there is no password")
            read = functools.partial(archive.open, info)
            yield Entry(info.orig_filename, _zip_kind(info), info.file_size, functools.partial(_blocks, read))


def _zip_kind(info: zipfile.ZipInfo) -> str:
    mode = info.external_attr >> 16  # Unix permissions; 0 if the archive was made elsewhere
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return LINK if stat.S_ISLNK(mode) else SPECIAL
    return FOLDER if info.is_dir() else FILE


def _decompressed(path: Path, opener: Callable[[Path], Any]) -> Iterator[Entry]:
    """Yield a tar's entries, or the single compressed file."""
    with opener(path) as stream:
        is_tar = _is_tar(stream.read(tarfile.BLOCKSIZE))
        stream.seek(0)
        if is_tar:
            yield from _tar(stream)
        else:
            name = path.stem if path.suffix in SUFFIXES else path.name
            yield Entry(name, FILE, None, functools.partial(_blocks, lambda: stream))


def _is_tar(start: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(start, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


class Header(tarfile.TarInfo):
    """A tar header that raises if it is broken: tarfile takes a broken one in the middle for the end of the archive."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(archive)
        except tarfile.HeaderError as error:
            if type(error).__name__ == "EOFHeaderError":  # the block of zeros that ends a tar
                raise
            raise tarfile.ReadError(f"{error}; it may be truncated") from error

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        header = super().frombuf(buf, encoding, errors)
        if header.size < 0 or (header.type in EXTENDED and header.size > LONGEST_HEADER):
            raise tarfile.ReadError(f"a header announces {header.size} bytes")
        return header


def _tar(stream: IO[bytes]) -> Iterator[Entry]:
    with tarfile.open(fileobj=stream, mode="r|", tarinfo=Header, encoding="utf-8", errors="surrogateescape") as opened:
        archive: Any = opened  # mypy does not know its members and fileobj
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
        return LINK
    if member.issparse():
        return "a sparse file"
    return FILE if member.isreg() else SPECIAL
