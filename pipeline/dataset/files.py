"""Files on disk: which ones count, and what their bytes are."""

import hashlib
import os
from pathlib import Path, PurePath

from pipeline.config.errors import DataError

# What macOS adds: a folder with its own notes about each file, in every zip; a folder's own icon.
RESOURCES = ("__MACOSX", "Icon\r")


def names_below(folder: Path) -> list[str]:
    """Return the relative path of all below a folder that is no folder, sorted part by part; DataError where one can't be listed."""
    found = []
    for top, folders, names in os.walk(folder, onerror=_refuse):
        folders.sort()
        where = "" if top == str(folder) else top[len(str(folder)) + 1 :] + "/"
        found += [where + name for name in names]
    return sorted(found, key=lambda name: name.replace("/", "\0"))  # as lists of the parts would be, in a third of their memory


def _refuse(error: OSError) -> None:
    raise DataError(f"the folder {error.filename} can't be read: {error.strerror}; mend that, or move it away") from error


def visible_files(folder: Path) -> list[Path]:
    """Return the path of all below a folder that is no folder, sorted; what is hidden or in hidden folders excepted."""
    return [folder / name for name in names_below(folder) if not is_hidden(PurePath(name))]


def is_hidden(path: PurePath) -> bool:
    return any(part.startswith(".") or part in RESOURCES for part in path.parts)


def sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
