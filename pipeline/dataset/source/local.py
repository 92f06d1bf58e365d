"""Files of this machine: by a path, by file:// and those that an installed package carries."""

import functools
import importlib.resources
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit
from urllib.request import url2pathname

from pipeline.config.errors import NetworkError
from pipeline.dataset.source.answer import BLOCK, Answer, Interrupted


@contextmanager
def answered(url: str, start: int, root: Path) -> Iterator[Answer]:
    """Open a file from byte `start` on; root: what a path is relative to. Raises NetworkError where there is none."""
    try:
        stream = _opened(url, root)
    except (OSError, ModuleNotFoundError) as error:
        raise NetworkError(f"{url}: {error}") from error
    with stream:
        whole = stream.seek(0, os.SEEK_END)
        yield Answer(stream.seek(min(start, whole)), whole, None, _blocks(stream))


def _opened(url: str, root: Path) -> IO[bytes]:
    scheme, _, place = url.partition("://")
    if scheme == "package":
        package, _, path = place.partition("/")
        return importlib.resources.files(package).joinpath(path).open("rb")
    return (Path(url2pathname(urlsplit(url).path)) if scheme == "file" else root / url).open("rb")


def _blocks(stream: IO[bytes]) -> Iterator[bytes]:
    try:
        yield from iter(functools.partial(stream.read, BLOCK), b"")
    except OSError as error:
        raise Interrupted(str(error)) from error
