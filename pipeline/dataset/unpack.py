"""Unpack an archive into a folder of its own: regular files only, within a limit of bytes and one of files.

An archive that holds anything else is refused whole: names that lead elsewhere or that systems read differently, links, devices,
passwords. (tarfile's `data` filter renames or follows some of these.) Hidden files and what macOS adds are skipped. Limits count
what comes out, not what headers announce."""

import hashlib
import json
import os
import re
import shutil
import unicodedata
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline.config.errors import DataError
from pipeline.config.schema import Fetch
from pipeline.config.wording import counted
from pipeline.dataset.archive import FILE, FOLDER, Entry, announced, entries, quoted
from pipeline.dataset.files import is_hidden, require_space, sha256
from pipeline.dataset.names import first_of
from pipeline.dataset.progress import BYTES, Progress

LISTING = "listing.json"  # name → sha256
LONGEST_NAME, LONGEST_PATH = 255, 1024  # bytes: what ext4, APFS and NTFS take, and macOS's PATH_MAX
CONTROL, SURROGATE = "Cc", "Cs"  # Unicode categories; a surrogate stands for a byte that is not UTF-8


def unpack(archive: Path, how: Fetch) -> dict[str, Path]:
    """Unpack an archive beside itself; return its files by their names in it.

    Raises DataError for an archive that is damaged, hostile or beyond fetch.max_files or max_bytes, and leaves nothing of it."""
    folder = folder_of(archive)
    fresh = folder.with_name(f".{folder.name}")
    shutil.rmtree(fresh, ignore_errors=True)  # from a fetch that was killed
    try:
        _write_all(archive, fresh, how)
        shutil.rmtree(folder, ignore_errors=True)  # damaged since
        fresh.replace(folder)
    except DataError as error:
        raise DataError(f"{archive.name} was not unpacked: {error}. Mend the archive, or put its files into data/own by hand") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return intact(folder)


def intact(folder: Path) -> dict[str, Path]:
    """Return the files of an archive unpacked before, by their names in it; empty if any is missing or changed."""
    try:
        listing: dict[str, str] = json.loads((folder / LISTING).read_text())
        files = {name: folder / "files" / name for name in listing}
        return files if all(sha256(files[name]) == digest for name, digest in listing.items()) else {}
    except (OSError, ValueError):
        return {}


def folder_of(archive: Path) -> Path:
    """Return where an archive is unpacked."""
    return archive.with_name(f"{archive.name}.unpacked")


def _write_all(archive: Path, fresh: Path, how: Fetch) -> None:
    """Write an archive's files, and last the listing of their sha256."""
    promised = announced(archive)
    require_space(archive.parent, promised or archive.stat().st_size, f"what {archive.name} holds")
    budget = _Budget(how, Progress(f"unpacking {archive.name}", promised, BYTES, how.progress))
    listing, folders = _write_files(archive, fresh / "files", budget)
    if not listing:
        raise DataError("it holds no files but hidden ones")
    if empty := folders - {str(above) for name in listing for above in PurePosixPath(name).parents}:
        print(f"{archive.name} holds empty folders, which are left out: {first_of(sorted(empty))}", flush=True)
    with (fresh / LISTING).open("w") as stream:
        json.dump(listing, stream)
        stream.flush()
        os.fsync(stream.fileno())


def _write_files(archive: Path, folder: Path, budget: "_Budget") -> tuple[dict[str, str], set[str]]:
    """Write the files; return name → sha256, and the folders that are not hidden."""
    taken: dict[str, tuple[str, bool]] = {}
    listing, folders = dict[str, str](), set[str]()
    for entry in entries(archive):
        path = _safe_path(entry.name)
        budget.spend(files=1)
        if is_hidden(path):  # read all the same: a tar's next entry follows it, and it counts against the limits
            for block in entry.blocks() if entry.kind == FILE else ():
                budget.spend(len(block))
        elif entry.kind == FOLDER:
            folders.add(str(path))
        elif entry.kind != FILE:
            raise DataError(f"the entry {quoted(entry.name)} is {entry.kind}, and only files are unpacked")
        else:
            _take(path, taken)
            listing[str(path)] = _write(entry, folder / path, budget)
    return listing, folders


def _write(entry: Entry, target: Path, budget: "_Budget") -> str:
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    with target.open("xb") as out:
        for block in entry.blocks():
            budget.spend(len(block))
            digest.update(block)
            size += out.write(block)
    if entry.size not in (None, size):
        raise DataError(f"the entry {quoted(entry.name)} has {size} bytes, the archive announces {entry.size}")
    return digest.hexdigest()


@dataclass
class _Budget:
    """What has come out of an archive so far, against fetch.max_files and fetch.max_bytes."""

    how: Fetch
    progress: Progress
    files: int = 0

    def spend(self, count: int = 0, files: int = 0) -> None:
        """Count bytes and files. Raises DataError beyond a limit."""
        self.files += files
        self.progress.add(count)
        for is_over, key, limit in (
            (self.files > self.how.max_files, "max_files", counted(self.how.max_files, "file")),
            (self.progress.done > self.how.max_bytes, "max_bytes", f"{self.how.max_bytes} bytes"),
        ):
            if is_over:
                raise DataError(f"it holds more than {limit}, perhaps a bomb; raise fetch.{key} if you trust it")


def _safe_path(name: str) -> PurePosixPath:
    """Return an entry's path below the archive's folder. Raises DataError for a name that could lead elsewhere or nowhere."""
    path = PurePosixPath(name)
    categories = set(map(unicodedata.category, name))
    for wrong, reason in (
        (name.startswith("/"), "is absolute"),
        (".." in path.parts, "leads out of its folder by .."),
        ("\\" in name, "holds a backslash, which separates folders on Windows"),
        (re.match("[A-Za-z]:", name), "begins with a drive letter"),
        (CONTROL in categories, "holds a control character"),
        (SURROGATE in categories, "is not UTF-8"),
        (any(_bytes(part) > LONGEST_NAME for part in path.parts), f"is longer than {LONGEST_NAME} bytes"),
        (_bytes(name) > LONGEST_PATH, f"is longer than {LONGEST_PATH} bytes with its folders"),
    ):
        if wrong:
            raise DataError(f"the entry {quoted(name)} {reason}")
    return path


def _bytes(name: str) -> int:
    return len(name.encode("utf-8", "surrogateescape"))


def _take(file: PurePosixPath, taken: dict[str, tuple[str, bool]]) -> None:
    """Note a file and its folders. Raises DataError if an earlier entry has the same name as macOS and Windows compare names.

    taken: name without case, accents composed → the name as spelled, and whether it is a folder."""
    for path in [*list(file.parents)[-2::-1], file]:  # without the archive's own folder
        named, folded = (str(path), path != file), unicodedata.normalize("NFC", unicodedata.normalize("NFC", str(path)).casefold())
        known = taken.setdefault(folded, named)
        if known != named or (known is not named and path == file):
            both = f"{quoted(known[0])} and {quoted(named[0])}"
            raise DataError(f"the entries {both} are the same name on macOS or Windows, which ignore case and how accents are encoded")
