"""One file from its mirrors to its place: attempts, going on where a part ends, checksum.

Until its checksum is right it is called `.<name>.part`, which outlives a broken connection and a killed process. What stands
in a part from before is not trusted: where the whole has a wrong checksum, all of it is asked for once more."""

import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import quote

from pipeline.config.errors import ConfigError, NetworkError
from pipeline.config.schema import Fetch, SourceFile
from pipeline.config.urls import without_credentials
from pipeline.dataset.files import sha256
from pipeline.dataset.progress import BYTES, Progress
from pipeline.dataset.source import local, object_store, web
from pipeline.dataset.source.answer import BLOCK, Answer, Interrupted, Outdated
from pipeline.dataset.source.space import require_space


def download(file: SourceFile, mirrors: list[str], kept: Path, how: Fetch, root: Path) -> None:
    """Put the file to `kept`, from its own URL or the first mirror that has the right bytes; root: what paths are relative to.

    Raises NetworkError with each mirror's reason when none has them."""
    part = part_of(kept)
    urls = [file.url] if file.url else [_below(mirror, file.name) for mirror in mirrors]
    failures = []
    for url in urls:
        try:
            _verified(url, file, part, how, root)
            return _finish(part, kept)
        except NetworkError as error:
            failures.append(str(error))
    left = f"{part.stat().st_size} bytes are kept to go on from" if part.exists() else "Nothing was kept"
    where, other = (
        ("its url", "url")
        if file.url
        else (f"any of {len(urls)} mirrors" if len(urls) > 1 else "the only mirror", "base URL in dataset.sources.mirrors")
    )
    raise NetworkError(
        f"{file.name} could not be fetched from {where}. {'; '.join(failures)}. "
        f"{left}. Repeat when the network is back, or name another {other}"
    )


def part_of(kept: Path) -> Path:
    return kept.with_name(f".{kept.name}.part")


def _below(mirror: str, name: str) -> str:
    on_the_web = mirror.partition(":")[0] in ("http", "https", "file")
    return f"{mirror.rstrip('/')}/{quote(name) if on_the_web else name}"


def _verified(url: str, file: SourceFile, part: Path, how: Fetch, root: Path) -> None:
    """Bring the part to the right checksum. Raises NetworkError."""
    if part.exists() and sha256(part) == file.sha256:  # killed before it got its name
        return
    start = time.monotonic()
    went_on = received(url, file, part, how, root)
    if (found := sha256(part)) != file.sha256 and went_on:
        part.unlink()
        received(url, file, part, how, root)
        found = sha256(part)
    if found != file.sha256:
        raise _wrong(part, found, file, without_credentials(url))
    print(f"fetched {file.name}: {part.stat().st_size / 1e6:.1f} MB in {time.monotonic() - start:.1f} s from {without_credentials(url)}")


def received(url: str, file: SourceFile, part: Path, how: Fetch, root: Path) -> bool:
    """Write the whole file, attempt after attempt; return whether bytes from before or from several attempts are in it.

    Its checksum is not looked at. Raises NetworkError."""
    failed = most = 0
    version = None
    went_on = False
    while True:
        try:
            with _opened(url, size_of(part), version, how.timeout, root) as answer:
                went_on = went_on or answer.start > 0
                version = answer.version
                _require_size(answer, file, url)
                _write(answer, file, part, how)
            return went_on
        except OSError:  # of our own disk, which gets its room back
            part.unlink(missing_ok=True)
            raise
        except Interrupted as error:
            if isinstance(error, Outdated):
                part.unlink(missing_ok=True)
            failed = failed + 1 if size_of(part) < most + BLOCK else 1
            most = max(most, size_of(part))
            if failed >= how.attempts:
                raise NetworkError(f"{without_credentials(url)}: {error}") from error
            time.sleep(max(how.pause * 2 ** (failed - 1), min(error.wait, how.timeout)))


def _opened(url: str, start: int, version: str | None, timeout: float, root: Path) -> AbstractContextManager[Answer]:
    scheme = url.partition("://")[0]
    if scheme in ("http", "https"):
        return web.answered(url, start, version, timeout)
    if scheme in ("s3", "gs"):
        return object_store.answered(url, start, version, timeout)
    if scheme in ("file", "package") or url.startswith(("/", "./", "../")):
        return local.answered(url, start, root)
    raise ConfigError(
        f"dataset.sources.mirrors: {without_credentials(url)} must begin with https, http, file, package, s3 or gs, "
        "or be a path that begins with / or ./"
    )


def _require_size(answer: Answer, file: SourceFile, url: str) -> None:
    """Look before what is there already is written over."""
    if file.bytes and answer.whole and file.bytes != answer.whole:
        raise NetworkError(f"{without_credentials(url)} has {answer.whole} bytes, not {file.bytes}; this is another file, or a web page")


def _write(answer: Answer, file: SourceFile, part: Path, how: Fetch) -> None:
    """Write what comes behind what is there, no more than the whole file has; raises Interrupted when it is too little."""
    whole = file.bytes or answer.whole
    require_space(part.parent, (whole or 0) - answer.start, file.name)
    progress = Progress(f"fetching {file.name}", whole, BYTES, how.progress, answer.start)
    with part.open("ab" if answer.start else "wb") as out:
        for block in _in_time(answer.blocks, how):
            out.write(block)
            progress.add(len(block))
            if whole and progress.done > whole:
                return
    if whole and progress.done < whole:
        raise Interrupted(f"the connection ended after {progress.done} of {whole} bytes")


def _in_time(blocks: Iterator[bytes], how: Fetch) -> Iterator[bytes]:
    """Yield blocks; raise Interrupted when they come too slowly, a byte now and then."""
    since, count = time.monotonic(), 0
    for block in blocks:
        yield block
        count += len(block)
        if (seconds := time.monotonic() - since) >= how.timeout:
            if count < how.slowest * seconds:
                raise Interrupted(f"{count} bytes came in {seconds:.0f} s, fewer than {how.slowest:g} a second")
            since, count = time.monotonic(), 0


def size_of(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _finish(part: Path, kept: Path) -> None:
    """Give the part its name when its bytes are on the disk, so that a power cut leaves no name without bytes."""
    with part.open("rb") as stream:
        os.fsync(stream.fileno())
    part.replace(kept)


def _wrong(part: Path, found: str, file: SourceFile, shown: str) -> NetworkError:
    """Delete a part with a wrong checksum; return the words for it."""
    with part.open("rb") as stream:
        page = " (the server sent a web page)" if stream.read(512).lstrip()[:1] == b"<" else ""
    size = part.stat().st_size
    part.unlink()
    too_many = " (more than were announced)" if file.bytes and size > file.bytes else ""
    return NetworkError(f"{shown}: {size} bytes{page}{too_many} with sha256 {found}, expected {file.sha256}; the download was deleted")
