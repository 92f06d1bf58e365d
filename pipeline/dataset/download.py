"""Download one file from its mirrors: attempts, resume, slow-server rule, checksum.

Until its checksum is verified the file is called `.<name>.part`, which survives a broken connection and a killed process. An earlier
part is not trusted: if the file that it grew into has a wrong checksum, it is downloaded once more from the start."""

import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from pipeline.config.atomic import rename_durably
from pipeline.config.errors import NetworkError
from pipeline.config.schema import Fetch, SourceFile
from pipeline.config.secrets import without_credentials
from pipeline.dataset.files import require_space, sha256
from pipeline.dataset.progress import BYTES, Progress
from pipeline.dataset.transports import BLOCK, Answer, Interrupted, Outdated, open_url


def download(file: SourceFile, mirrors: list[str], kept: Path, how: Fetch, root: Path) -> None:
    """Download a file to the path `kept`, from its own URL or from the first mirror that has the right bytes.

    root: what relative paths are relative to. Raises NetworkError with each mirror's reason if none has them."""
    part = part_of(kept)
    urls = [file.url] if file.url else [_url_below(mirror, file.name) for mirror in mirrors]
    failures = []
    for url in urls:
        try:
            _download_verified(url, file, part, how, root)
        except NetworkError as error:
            failures.append(str(error))
        else:
            rename_durably(part, kept)
            return
    raise _not_fetched(file, urls, failures, part)


def _not_fetched(file: SourceFile, urls: list[str], failures: list[str], part: Path) -> NetworkError:
    if file.url:
        where, other = "its url", "url"
    else:
        where = f"any of {len(urls)} mirrors" if len(urls) > 1 else "the only mirror"
        other = "base URL in dataset.sources.mirrors"
    left = f"{part.stat().st_size} bytes are kept to resume from" if part.exists() else "Nothing was kept"
    return NetworkError(
        f"{file.name} could not be fetched from {where}. {'; '.join(failures)}. "
        f"{left}. Repeat when the network is back, or name another {other}"
    )


def part_of(kept: Path) -> Path:
    """Return the path that a download has until its checksum is verified."""
    return kept.with_name(f".{kept.name}.part")


def _url_below(mirror: str, name: str) -> str:
    is_quoted = mirror.partition(":")[0] in ("http", "https", "file")
    return f"{mirror.rstrip('/')}/{quote(name) if is_quoted else name}"


def _download_verified(url: str, file: SourceFile, part: Path, how: Fetch, root: Path) -> None:
    """Complete the part and verify its checksum. Raises NetworkError."""
    if part.exists() and sha256(part) == file.sha256:  # killed before the rename
        return
    start = time.monotonic()
    is_resumed = receive(url, file, part, how, root)
    if (found := sha256(part)) != file.sha256 and is_resumed:
        part.unlink()
        receive(url, file, part, how, root)
        found = sha256(part)
    if found != file.sha256:
        raise _rejected(part, found, file, without_credentials(url))
    print(f"fetched {file.name}: {part.stat().st_size / 1e6:.1f} MB in {time.monotonic() - start:.1f} s from {without_credentials(url)}")


def receive(url: str, file: SourceFile, part: Path, how: Fetch, root: Path) -> bool:
    """Download a whole file in as many attempts as needed; return whether it was pieced together from several.

    The checksum is not verified. fetch.attempts counts attempts in a row that bring less than a BLOCK. Raises NetworkError."""
    failures = 0  # in a row
    furthest = 0  # bytes that any attempt reached
    version = None
    is_resumed = False
    while True:
        try:
            with open_url(url, size_so_far(part), version, how.timeout, root) as answer:
                is_resumed = is_resumed or answer.start > 0
                version = answer.version
                _require_size(answer, file, url)
                _write(answer, file, part, how)
            return is_resumed
        except OSError:  # of the local disk, whose space is freed
            part.unlink(missing_ok=True)
            raise
        except Interrupted as error:
            if isinstance(error, Outdated):
                part.unlink(missing_ok=True)
            size = size_so_far(part)
            failures = failures + 1 if size < furthest + BLOCK else 1
            furthest = max(furthest, size)
            if failures >= how.attempts:
                raise NetworkError(f"{without_credentials(url)}: {error}") from error
            time.sleep(max(how.pause * 2 ** (failures - 1), min(error.wait, how.timeout)))


def _require_size(answer: Answer, file: SourceFile, url: str) -> None:
    """Raise NetworkError for an answer of another size, before it overwrites the part."""
    if file.bytes and answer.whole and file.bytes != answer.whole:
        raise NetworkError(f"{without_credentials(url)} has {answer.whole} bytes, not {file.bytes}; this is another file, or a web page")


def _write(answer: Answer, file: SourceFile, part: Path, how: Fetch) -> None:
    """Append the answer to the part, up to the size of the file. Raises Interrupted if less arrives."""
    whole = file.bytes or answer.whole
    require_space(part.parent, (whole or 0) - answer.start, file.name)
    progress = Progress(f"fetching {file.name}", whole, BYTES, how.progress, answer.start)
    with part.open("ab" if answer.start else "wb") as out:
        for block in _fast_enough(answer.blocks, how):
            out.write(block)
            progress.add(len(block))
            if whole and progress.done > whole:
                return
    if whole and progress.done < whole:
        raise Interrupted(f"the connection ended after {progress.done} of {whole} bytes")


def _fast_enough(blocks: Iterator[bytes], how: Fetch) -> Iterator[bytes]:
    """Yield blocks; raise Interrupted if over fetch.timeout they arrive slower than fetch.slowest."""
    since, count = time.monotonic(), 0
    for block in blocks:
        yield block
        count += len(block)
        if (seconds := time.monotonic() - since) >= how.timeout:
            if count < how.slowest * seconds:
                raise Interrupted(f"{count} bytes came in {seconds:.0f} s, fewer than {how.slowest:g} a second")
            since, count = time.monotonic(), 0


def size_so_far(part: Path) -> int:
    """Return the size of a part in bytes, 0 if there is none."""
    return part.stat().st_size if part.exists() else 0


def _rejected(part: Path, found: str, file: SourceFile, url: str) -> NetworkError:
    """Delete a part with a wrong checksum, `found`; return the error."""
    with part.open("rb") as stream:
        page = " (the server sent a web page)" if stream.read(512).lstrip()[:1] == b"<" else ""
    size = part.stat().st_size
    part.unlink()
    too_many = " (more than were announced)" if file.bytes and size > file.bytes else ""
    return NetworkError(f"{url}: {size} bytes{page}{too_many} with sha256 {found}, expected {file.sha256}; the download was deleted")
