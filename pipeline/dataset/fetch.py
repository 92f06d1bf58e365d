"""Fetch the original files into data/raw, verified by checksum.

Downloads and unpacked archives are kept by checksum under the project's root, so a second fetch, a queued experiment or a changed
mirror downloads and unpacks nothing again."""

import os
import shutil
from pathlib import Path

from filelock import FileLock

from pipeline.config.errors import ConfigError, DataError
from pipeline.config.schema import Config, Fetch, SourceFile
from pipeline.dataset.download import download, part_of, size_so_far
from pipeline.dataset.files import gigabytes, is_hidden, is_readable, require_space, sha256, visible_files
from pipeline.dataset.unpack import folder_of, intact, unpack

# What users put into sources.folder, by reader.
WANTED = {
    "folder": "one sub-folder of images per class",
    "csv": "the images and a table of them, labels.csv,",
    "parquet": "its .parquet files",
}


def fetch(cfg: Config, raw: Path, downloads: Path, root: Path) -> int:
    """Put the data set's original files into `raw`; return their number.

    downloads: where files are kept by checksum. root: what `sources.folder` and relative paths of mirrors are relative to.
    Raises DataError for a folder that is missing or empty and for an archive that can't be unpacked, NetworkError if no mirror has the
    right bytes, OSError (ENOSPC) before a download that does not fit on the disk."""
    sources = cfg.dataset.sources
    if sources.folder:
        return link_folder(root / sources.folder, raw, sources.folder, cfg.dataset.reader)
    for file in sources.files.values():
        _require_inside(file.name)
    _require_room(list(sources.files.values()), downloads)
    sources_of: dict[Path, str] = {}
    for file in sources.files.values():
        for name, path in _originals(file, sources.mirrors, downloads, cfg.fetch, root).items():
            target = raw / name
            if target in sources_of:
                raise DataError(
                    f"{sources_of[target]} and {file.name} both hold {name}; give one of them a folder: "
                    f"name: other/{Path(file.name).name}, with its own url"
                )
            sources_of[target] = file.name
            _link(path, target)
    return len(sources_of)


def _originals(file: SourceFile, mirrors: list[str], downloads: Path, how: Fetch, root: Path) -> dict[str, Path]:
    """Return name in data/raw → verified file below `downloads`, fetched if missing, for one source file."""
    kept = _kept_at(file, downloads)
    kept.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(kept.parent / ".lock"):
        if file.unpack and (files := intact(folder_of(kept))):
            return _beside(file, files)
        if not (kept.exists() and sha256(kept) == file.sha256):
            download(file, mirrors, kept, how, root)
        return _beside(file, unpack(kept, how)) if file.unpack else {file.name: kept}


def _beside(file: SourceFile, files: dict[str, Path]) -> dict[str, Path]:
    """Name an archive's files from where the archive itself would lie."""
    return {str(Path(file.name).parent / name): path for name, path in files.items()}


def _kept_at(file: SourceFile, downloads: Path) -> Path:
    """Return where a source file is kept, by its checksum."""
    return downloads / file.sha256[:16] / file.name


def _require_room(files: list[SourceFile], downloads: Path) -> None:
    """Print how much disk space the missing files need, as far as known. Raises OSError if there is too little."""
    places = {_kept_at(file, downloads): file for file in files if file.bytes}
    missing = {place: file for place, file in places.items() if not place.exists() and not folder_of(place).exists()}
    load = sum((file.bytes or 0) - size_so_far(part_of(place)) for place, file in missing.items())
    # The contents of an archive are not known yet: images hardly compress, so they need its size again or more.
    room = load + sum(file.bytes or 0 for file in missing.values() if file.unpack)
    if missing:
        free = require_space(downloads, room, ", ".join(file.name for file in missing.values()))
        print(f"{gigabytes(load)} to fetch, {gigabytes(room)} of disk for it at least; {gigabytes(free)} are free", flush=True)


def link_folder(folder: Path, raw: Path, shown: str, reader: str) -> int:
    """Link all files below a folder into raw, except hidden ones; return their number. Raises DataError if there are none."""
    wanted = WANTED.get(reader, "the data set's files")
    if not folder.is_dir():
        raise DataError(f"{shown} does not exist; make it and put {wanted} into it")
    paths = visible_files(folder)
    if not paths:
        raise DataError(f"{shown} holds no files; put {wanted} into it, or choose another dataset")
    _require_filled(folder, {parent for path in paths for parent in path.parents}, shown, reader)
    for path in paths:
        _link(path, raw / path.relative_to(folder))
    return len(paths)


def _require_filled(folder: Path, filled: set[Path], shown: str, reader: str) -> None:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_dir() and path not in filled and not is_hidden(name):
            if path.is_symlink():
                raise DataError(
                    f"{shown}/{name} is a link; put the folder itself there, or make {shown} a link to the folder of all images"
                )
            if reader == "folder":
                raise DataError(f"{shown}/{name} is empty, and a class needs images; fill the folder or remove it")


def _link(source: Path, target: Path) -> None:
    """Hard-link a file, or copy it across file systems; symlink an unreadable one, to be refused when it is decoded."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source.resolve(), target)
    except (OSError, RuntimeError):  # a circular link
        if is_readable(source):
            shutil.copy2(source, target)
        else:
            target.symlink_to(source.absolute())


def _require_inside(name: str) -> None:
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise ConfigError(f"dataset.sources.files: the name {name} leaves its folder; give a plain file name")
