"""Which names an archive's files may have: those that mean the same file inside the same folder on every system."""

import re
import unicodedata
from pathlib import PurePosixPath

from pipeline.config.errors import DataError

LONGEST_NAME, LONGEST_PATH = 255, 1024  # bytes: what ext4, APFS and NTFS take, and macOS's PATH_MAX
CONTROL, SURROGATE = "Cc", "Cs"  # Unicode's categories; a surrogate stands for a byte that is no UTF-8


def place_of(name: str, max_depth: int) -> PurePosixPath:
    """Return where an entry lies below the archive's folder; raises DataError for a name that could lie elsewhere or nowhere."""
    path = PurePosixPath(name)
    for wrong, reason in (
        (name.startswith("/"), "is absolute"),
        (".." in path.parts, "leads out of its folder by .."),
        ("\\" in name, "holds a backslash, which parts folders on Windows"),
        (re.match("[A-Za-z]:", name), "begins with a drive letter"),
        (any(unicodedata.category(character) == CONTROL for character in name), "holds a control character"),
        (any(unicodedata.category(character) == SURROGATE for character in name), "is no UTF-8"),
        (any(_bytes(part) > LONGEST_NAME for part in path.parts), f"is longer than {LONGEST_NAME} bytes"),
        (_bytes(name) > LONGEST_PATH, f"is longer than {LONGEST_PATH} bytes with its folders"),
        (len(path.parts) > max_depth + 1, f"lies more than {max_depth} folders deep (fetch.max_depth)"),
    ):
        if wrong:
            raise DataError(f"the entry {shown(name)} {reason}")
    return path


def shown(name: str) -> str:
    """Return a name for a message: short, its control characters spelled out."""
    return ascii(name) if len(name) <= 100 else f"{name[:97]!a}..."


def _bytes(name: str) -> int:
    return len(name.encode("utf-8", "surrogateescape"))


class Taken:
    """The names that an archive has used, compared as macOS and Windows do: without case, é as e with an accent."""

    def __init__(self) -> None:
        self.names: dict[str, tuple[str, bool]] = {}  # the name as it is compared → as it is written, and whether it is a folder

    def take(self, file: PurePosixPath) -> None:
        """Note a file and its folders; raises DataError where another entry has its name, or one that differs in case or accents alone."""
        for folder in list(file.parents)[-2::-1]:  # without the archive's own
            self._take(folder, is_folder=True)
        self._take(file, is_folder=False)

    def _take(self, path: PurePosixPath, is_folder: bool) -> None:
        named, known = (str(path), is_folder), self.names.get(_folded(path))
        if known is None:
            self.names[_folded(path)] = named
        elif known != named or not is_folder:
            both = f"{shown(known[0])} and {shown(named[0])}"
            raise DataError(f"the entries {both} have one name where case and the spelling of accents do not count")


def _folded(path: PurePosixPath) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", str(path)).casefold())
