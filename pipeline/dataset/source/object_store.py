"""Files of object stores, s3:// and gs://, by ranges through fsspec's packages, which are imported when one is used.

Login and endpoint come by the environment, as each vendor's own tools take them: AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL …,
GOOGLE_APPLICATION_CREDENTIALS, STORAGE_EMULATOR_HOST. Without a login public buckets are read."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pipeline.config.errors import NetworkError
from pipeline.config.secrets import redact
from pipeline.dataset.source.answer import BLOCK, Answer, Interrupted

RANGE = 8 * BLOCK  # bytes of one request: few enough to lose, many enough not to wait for the next one most of the time


@contextmanager
def answered(url: str, start: int, version: str | None, timeout: float) -> Iterator[Answer]:
    """Ask an object store for a file from byte `start` on, if it still is `version`.

    Raises NetworkError where asking again is of no use, Interrupted where it is."""
    try:
        store = _s3(timeout) if url.startswith("s3:") else _gs(timeout)
        found = store.info(url)
    except FileNotFoundError as error:
        raise NetworkError(f"{url} does not exist: {redact(str(error))}") from error
    except PermissionError as error:
        raise NetworkError(f"{url} is not to be read with the login of the environment: {redact(str(error))}") from error
    except Exception as error:  # the vendors' packages share no base
        raise Interrupted(redact(f"{type(error).__name__}: {error}")) from error
    there = found.get("ETag") or found.get("etag")
    begin = start if version in (None, there) else 0
    yield Answer(begin, found["size"], there, _blocks(store, url, begin, found["size"]))


def _s3(timeout: float) -> Any:
    from botocore.session import get_session
    from s3fs import S3FileSystem

    patience = {"connect_timeout": timeout, "read_timeout": timeout}
    anonymous = get_session().get_credentials() is None
    return S3FileSystem(anon=anonymous, config_kwargs=patience, skip_instance_cache=True)


def _gs(timeout: float) -> Any:
    from gcsfs.core import GCSFileSystem  # not gcsfs' own choice, which asks first what kind of bucket it is, by gRPC

    logging.getLogger("gcsfs").setLevel(logging.CRITICAL)  # it prints whole tracebacks of what it also raises
    return GCSFileSystem(requests_timeout=timeout, skip_instance_cache=True)


def _blocks(store: Any, url: str, start: int, whole: int) -> Iterator[bytes]:
    for place in range(start, whole, RANGE):
        try:
            block = store.cat_file(url, start=place, end=min(place + RANGE, whole))
        except Exception as error:
            raise Interrupted(redact(f"{type(error).__name__}: {error}")) from error
        yield block
