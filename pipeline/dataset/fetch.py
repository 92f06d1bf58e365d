"""Sources → data/raw: verified original files. Knows nothing of pixels.

A file is on disk under its own name only when its checksum is right; downloads are kept by checksum under
the project's root, so a second fetch, a queued experiment or a changed mirror downloads nothing again."""

import base64
import http.client
import importlib.resources
import os
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock

from pipeline.config.errors import ConfigError, DataError, NetworkError
from pipeline.config.schema import SourceFile, Sources
from pipeline.config.urls import without_credentials
from pipeline.dataset.files import is_hidden, sha256, visible_files

BLOCK = 1 << 20  # bytes between two looks at the clock
TIMEOUT = 30  # seconds without a byte before a mirror is given up
ATTEMPTS = 3  # per mirror
PAUSE = 1.0  # seconds before the second attempt, doubled for each further one


def fetch(sources: Sources, raw: Path, downloads: Path, root: Path) -> int:
    """Put the data set's original files into `raw`, and nothing else; return their number.

    downloads: where files are kept by checksum. root: what `sources.folder` is relative to.
    Raises DataError for a missing or empty folder, NetworkError when no mirror gives the right bytes."""
    if sources.folder:
        return link_folder(root / sources.folder, raw, sources.folder)
    for file in sources.files.values():
        link(downloaded(file, sources.mirrors, downloads), raw / _safe_name(file.name))
    return len(sources.files)


def link_folder(folder: Path, raw: Path, shown: str) -> int:
    """Link every file below folder into raw, hidden ones excepted."""
    if not folder.is_dir():
        raise DataError(f"{shown} does not exist; make it and put one sub-folder of images per class into it")
    paths = visible_files(folder)
    if not paths:
        raise DataError(f"{shown} holds no files; put one sub-folder of images per class into it, or choose another dataset")
    filled = {parent for path in paths for parent in path.parents}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_dir() and path not in filled and not is_hidden(name):
            if path.is_symlink():
                raise DataError(f"{shown}/{name} is a link; put the folder itself there, or make {shown} a link to a folder of classes")
            raise DataError(f"{shown}/{name} is empty, and a class needs images; fill the folder or remove it")
    for path in paths:
        link(path, raw / path.relative_to(folder))
    return len(paths)


def link(source: Path, target: Path) -> None:
    """Hard-link a file, or copy it where the file system can't."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copy2(source, target)


def downloaded(file: SourceFile, mirrors: list[str], downloads: Path) -> Path:
    """Return the verified file below `downloads`, from the first mirror that has the right bytes."""
    kept = downloads / file.sha256[:16] / _safe_name(file.name)
    kept.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(kept.parent / ".lock"):
        if kept.exists() and sha256(kept) == file.sha256:
            return kept
        failures = []
        for mirror in mirrors:
            url = f"{mirror.rstrip('/')}/{file.name}"
            try:
                _from_mirror(url, file, kept)
                return kept
            except NetworkError as error:
                failures.append(str(error))
        raise NetworkError(
            f"{file.name} could not be fetched from any of {len(mirrors)} mirrors. {'; '.join(failures)}. "
            "Nothing was kept. Repeat when the network is back, or name another base URL in dataset.sources.mirrors"
        )


def _from_mirror(url: str, file: SourceFile, kept: Path) -> None:
    """Download one URL to its place, trying again after a broken connection. Raises NetworkError."""
    part = kept.with_name(f".{kept.name}.part")
    shown = without_credentials(url)
    start = time.monotonic()
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE * 2 ** (attempt - 1))
        try:
            with _opened(url) as stream, part.open("wb") as out:
                _copy(stream, out, file.name)
            break
        except urllib.error.HTTPError as error:
            if (error.code < 500 and error.code != 429) or attempt == ATTEMPTS - 1:
                raise NetworkError(f"{shown}: the server answered {error.code} {error.reason}") from error
        except (OSError, http.client.HTTPException, ModuleNotFoundError) as error:  # the last: of package://
            if getattr(error, "errno", None) == 28:  # no space left: the entry point says so
                part.unlink(missing_ok=True)
                raise
            if attempt == ATTEMPTS - 1:
                raise NetworkError(f"{shown}: {getattr(error, 'reason', error)}") from error
    if (found := sha256(part)) != file.sha256:
        with part.open("rb") as stream:
            page = " (the server sent a web page)" if stream.read(512).lstrip()[:1] == b"<" else ""
        size = part.stat().st_size
        part.unlink()
        raise NetworkError(f"{shown}: {size} bytes{page} with sha256 {found}, expected {file.sha256}; the download was deleted")
    part.replace(kept)
    print(f"fetched {file.name}: {kept.stat().st_size / 1e6:.1f} MB in {time.monotonic() - start:.1f} s from {shown}")


def _opened(url: str) -> BinaryIO:
    scheme = urllib.parse.urlsplit(url).scheme
    if scheme == "package":  # a file that an installed package carries
        package, _, path = url.removeprefix("package://").partition("/")
        return importlib.resources.files(package).joinpath(path).open("rb")  # type: ignore[return-value]
    if scheme not in ("http", "https", "file"):
        raise ConfigError(f"dataset.sources.mirrors: {without_credentials(url)} must begin with https, http, file or package")
    return urllib.request.urlopen(_request(url), timeout=TIMEOUT)


def _request(url: str) -> urllib.request.Request:
    """Return the request with the URL's user:password in a header: urllib takes them for a part of the host's name."""
    parts = urllib.parse.urlsplit(url)
    credentials, _, host = parts.netloc.rpartition("@")
    request = urllib.request.Request(parts._replace(netloc=host).geturl())
    if credentials:
        token = base64.b64encode(urllib.parse.unquote(credentials).encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {token}")
    return request


def _copy(stream: BinaryIO, out: BinaryIO, name: str) -> None:
    """Copy block by block, with a line of progress every few seconds."""
    announced = int(getattr(stream, "headers", {}).get("Content-Length") or 0)
    start = told = time.monotonic()
    done = 0
    for block in _blocks(stream):
        out.write(block)
        done += len(block)
        if time.monotonic() - told > 5:
            told = time.monotonic()
            rate = done / (told - start)
            left = f", {(announced - done) / rate:.0f} s left" if announced else ""
            print(f"fetching {name}: {done / 1e6:.0f} of {announced / 1e6:.0f} MB, {rate / 1e6:.1f} MB/s{left}", flush=True)
    if announced and done < announced:
        raise ConnectionError(f"the connection ended after {done} of {announced} bytes")


def _blocks(stream: BinaryIO) -> Iterator[bytes]:
    while block := stream.read(BLOCK):
        yield block


def _safe_name(name: str) -> str:
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise ConfigError(f"dataset.sources.files: the name {name} leaves its folder; give a plain file name")
    return name
