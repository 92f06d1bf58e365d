"""Are prepared photos still those of their folder? DVC sees to it in the line; a live run asks here."""

import csv
from pathlib import Path

from pipeline.config.errors import DataError
from pipeline.dataset.files import visible_files
from pipeline.dataset.reading import digest
from pipeline.dataset.refused import Refused


def require_current(folder: Path, prepared: Path) -> None:
    """Raise DataError where photos of `folder` were added, changed or removed since `prepared` was made from it."""
    with (prepared / "images.csv").open(newline="", encoding="utf-8") as stream:
        listed = {row["path"]: row["sha256"] for row in csv.DictReader(stream)}
    found = {_as_listed(path.relative_to(folder)): path for path in visible_files(folder)}
    added, removed = found.keys() - listed.keys(), listed.keys() - found.keys()
    made = (prepared / "manifest.json").stat().st_mtime
    touched = [name for name in found.keys() & listed.keys() if last_change(found[name]) > made]
    changed = [name for name in touched if _digest(found[name]) != listed[name]]
    if added or removed or changed:
        raise DataError(
            f"the photos have changed since they were prepared: {len(added)} added, {len(changed)} changed, {len(removed)} removed. "
            "Prepare them anew with `dvc repro resize`, then repeat"
        )


def _as_listed(path: Path) -> str:
    """Return a path as images.csv has it, where bytes that are no UTF-8 stand escaped."""
    return str(path).encode(errors="backslashreplace").decode()


def _digest(path: Path) -> str:
    """Return a photo's sha256 as images.csv has it, where one that can't be read has none."""
    try:
        return digest(path)
    except Refused:
        return ""


def last_change(path: Path) -> float:
    """Return when the bytes or the name last changed: a restored file keeps the time of its bytes."""
    try:
        status = path.stat()
    except OSError:  # a link that leads nowhere
        status = path.lstat()
    return max(status.st_mtime, status.st_ctime)
