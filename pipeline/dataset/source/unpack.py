"""An archive → a folder of its files, made once and looked over each time: regular files only, under declared limits.

An archive that holds anything else is refused whole: names that lead elsewhere or that two systems read differently, links,
devices, passwords. Hidden files and what macOS adds are left out. What counts is what comes out, never what a header says."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from pipeline.config.errors import DataError
from pipeline.config.schema import Fetch
from pipeline.dataset.files import is_hidden, sha256
from pipeline.dataset.names import first_of
from pipeline.dataset.progress import BYTES, Progress
from pipeline.dataset.source.archive import FILE, FOLDER, Entry, announced, entries
from pipeline.dataset.source.budget import Budget
from pipeline.dataset.source.entry_names import Taken, place_of, shown
from pipeline.dataset.source.space import require_space

LISTING = "listing.json"  # sha256 by name


def unpack(archive: Path, how: Fetch) -> dict[str, Path]:
    """Unpack an archive beside itself and return its files by their names in it.

    Raises DataError for an archive that is damaged, hostile or beyond fetch.max_…; nothing of it is left then."""
    folder = folder_of(archive)
    fresh = folder.with_name(f".{folder.name}")
    shutil.rmtree(fresh, ignore_errors=True)  # of a fetch that was killed
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
    """Return the files of an archive that was unpacked before, by their names in it; none where one is not what it was."""
    try:
        listing: dict[str, str] = json.loads((folder / LISTING).read_text())
        files = {name: folder / "files" / name for name in listing}
        return files if all(sha256(files[name]) == digest for name, digest in listing.items()) else {}
    except (OSError, ValueError):
        return {}


def folder_of(archive: Path) -> Path:
    return archive.with_name(f"{archive.name}.unpacked")


def _write_all(archive: Path, fresh: Path, how: Fetch) -> None:
    """Write an archive's files and the listing of their sha256, last."""
    promised = announced(archive)
    require_space(archive.parent, promised or archive.stat().st_size, f"what {archive.name} holds")
    budget = Budget(how, archive.stat().st_size, Progress(f"unpacking {archive.name}", promised, BYTES, how.progress))
    listing, folders = _write_files(entries(archive), fresh / "files", budget)
    if not listing:
        raise DataError("it holds no files but hidden ones")
    if empty := folders - {str(above) for name in listing for above in PurePosixPath(name).parents}:
        print(f"{archive.name} holds folders without files, which are left out: {first_of(sorted(empty))}", flush=True)
    with (fresh / LISTING).open("w") as stream:
        json.dump(listing, stream)
        stream.flush()
        os.fsync(stream.fileno())


def _write_files(found: Iterable[Entry], folder: Path, budget: Budget) -> tuple[dict[str, str], set[str]]:
    """Write the files; return each one's sha256 by its name, and the folders that are no hidden ones."""
    taken, listing, folders = Taken(), dict[str, str](), set[str]()
    for entry in found:
        place = place_of(entry.name, budget.how.max_depth)
        budget.spend(files=1)
        if is_hidden(place):
            _pass_over(entry, budget)
        elif entry.kind == FOLDER:
            folders.add(str(place))
        elif entry.kind != FILE:
            raise DataError(f"the entry {shown(entry.name)} is {entry.kind}, and only files are unpacked")
        else:
            taken.take(place)
            listing[str(place)] = _write(entry, folder / place, budget)
    return listing, folders


def _pass_over(entry: Entry, budget: Budget) -> None:
    """Read what is left out: a tar's next entry lies behind it, and it costs as much time as any other."""
    for block in entry.blocks() if entry.kind == FILE else ():
        budget.spend(len(block))


def _write(entry: Entry, target: Path, budget: Budget) -> str:
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    with target.open("xb") as out:
        for block in entry.blocks():
            budget.spend(len(block))
            digest.update(block)
            size += out.write(block)
    if entry.size not in (None, size):
        raise DataError(f"the entry {shown(entry.name)} has {size} bytes, the archive announces {entry.size}")
    return digest.hexdigest()
