"""Open a URL at an offset: http(s) by urllib, files and object stores by fsspec.

fsspec's HTTP client cannot resume with If-Range and follows redirects from https to http (docs/decisions/0016). Credentials and
endpoint of s3:// and gs:// come from the vendors' environment variables: AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL,
GOOGLE_APPLICATION_CREDENTIALS, STORAGE_EMULATOR_HOST …; without credentials, public buckets are read."""

import base64
import functools
import http
import http.client
import importlib.resources
import logging
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pipeline.config.errors import ConfigError, NetworkError
from pipeline.config.secrets import redact, redacted, without_credentials

BLOCK = 1 << 20  # bytes read at a time
RANGE = 8 * BLOCK  # bytes per request to an object store: little to lose, enough to hide the latency

TRY_AGAIN = {408, 429, 500, 502, 503, 504}  # transient statuses: timeouts, rate limits, server errors
REDIRECTS = {301, 302, 303, 307, 308}
RANGE_NOT_SATISFIABLE = 416


@dataclass(frozen=True)
class Answer:
    """The response to one request."""

    start: int  # offset of the first byte
    whole: int | None  # size of the whole file in bytes, if known
    version: str | None  # validator of these bytes, such as an ETag
    blocks: Iterator[bytes]  # raises Interrupted


class Interrupted(Exception):
    """A transient failure; another attempt may resume from here."""

    def __init__(self, reason: str, wait: float = 0) -> None:
        super().__init__(reason)
        self.wait = wait  # seconds, as the server asks (Retry-After)


class Outdated(Interrupted):
    """The part cannot be resumed; another attempt must start from the first byte."""


@contextmanager
def open_url(url: str, start: int, version: str | None, timeout: float, root: Path) -> Iterator[Answer]:
    """Open a file at byte `start` if it is still `version`, else at 0. root: what relative paths are relative to.

    timeout: seconds without a byte. Raises ConfigError for an unsupported scheme, NetworkError for a permanent failure, Interrupted
    or Outdated for one worth another attempt."""
    if url.partition("://")[0] not in ("http", "https"):
        yield _by_fsspec(url, start, version, timeout, root)
        return
    with _sent(_request(url, start, version), url, timeout) as response:
        first, whole = _extent(response)
        if first not in (0, start):
            raise Outdated(f"asked for the bytes from {start} on, the server sent those from {first} on")
        yield Answer(first, whole, _validator(response.headers), _body(response))


def _by_fsspec(url: str, start: int, version: str | None, timeout: float, root: Path) -> Answer:
    try:
        store, path = _store(url, timeout, root)
        found = store.info(path)
    except (FileNotFoundError, NotADirectoryError, ModuleNotFoundError) as error:
        raise NetworkError(f"{url} does not exist: {redact(str(error))}") from error
    except PermissionError as error:
        raise NetworkError(f"{url} is not readable with the credentials in the environment: {redact(str(error))}") from error
    except ConfigError:
        raise
    except Exception as error:  # the vendors' packages share no base class
        raise Interrupted(redact(f"{type(error).__name__}: {error}")) from error
    tag, whole = found.get("ETag") or found.get("etag"), found["size"]
    first = min(start, whole) if version in (None, tag) else 0
    return Answer(first, whole, tag, _ranges(store, path, first, whole))


def _store(url: str, timeout: float, root: Path) -> tuple[Any, str]:
    """Return the fsspec file system of a URL and the path in it; vendors' packages are imported on use."""
    scheme, _, place = url.partition("://")
    if scheme == "s3":
        from botocore.session import get_session
        from s3fs import S3FileSystem

        patience = {"connect_timeout": timeout, "read_timeout": timeout}
        is_anonymous = get_session().get_credentials() is None
        return S3FileSystem(anon=is_anonymous, config_kwargs=patience, skip_instance_cache=True), url
    if scheme == "gs":
        from gcsfs.core import GCSFileSystem  # not gcsfs' default, which first asks for the kind of bucket by gRPC

        logging.getLogger("gcsfs").setLevel(logging.CRITICAL)  # it prints tracebacks of what it also raises
        return GCSFileSystem(requests_timeout=timeout, skip_instance_cache=True), url
    from fsspec.implementations.local import LocalFileSystem

    return LocalFileSystem(), str(_local_path(url, scheme, place, root))


def _local_path(url: str, scheme: str, place: str, root: Path) -> Any:
    if scheme == "package":
        package, _, path = place.partition("/")
        return importlib.resources.files(package).joinpath(path)
    if scheme == "file":
        return urllib.request.url2pathname(urllib.parse.urlsplit(url).path)
    if url.startswith(("/", "./", "../")):
        return root / url
    raise ConfigError(
        f"dataset.sources.mirrors: {without_credentials(url)} must begin with https, http, file, package, s3 or gs, "
        "or be a path that begins with / or ./"
    )


def _ranges(store: Any, path: str, start: int, whole: int) -> Iterator[bytes]:
    for place in range(start, whole, RANGE):
        try:
            yield store.cat_file(path, start=place, end=min(place + RANGE, whole))
        except Exception as error:
            raise Interrupted(redact(f"{type(error).__name__}: {error}")) from error


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to https, and from http to http, but never from https to http."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: http.client.HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        if urllib.parse.urlsplit(newurl).scheme not in ("https", req.type):
            fp.close()
            raise NetworkError(f"{without_credentials(req.full_url)} redirects to {without_credentials(newurl)}; only https is followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_opener = urllib.request.build_opener(_Redirects)


def _request(url: str, start: int, version: str | None) -> urllib.request.Request:
    """Return the request, with the URL's user:password in a header: urllib takes them for part of the host name."""
    parts = urllib.parse.urlsplit(url)
    credentials, _, host = parts.netloc.rpartition("@")
    request = urllib.request.Request(parts._replace(netloc=host).geturl())
    if credentials:
        token = base64.b64encode(urllib.parse.unquote(credentials).encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {token}")
    if start:
        request.add_header("Range", f"bytes={start}-")
    if start and version:
        request.add_header("If-Range", version)
    return request


def _sent(request: urllib.request.Request, url: str, timeout: float) -> http.client.HTTPResponse:
    try:
        response: http.client.HTTPResponse = _opener.open(request, timeout=timeout)
        return response
    except urllib.error.HTTPError as error:
        with error:
            raise _refusal(error, without_credentials(url), request.has_header("Range")) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Interrupted(_reason(error, url)) from error


def _refusal(error: urllib.error.HTTPError, shown: str, is_ranged: bool) -> Exception:
    """Return the error for an HTTP status, transient or permanent."""
    if error.code in REDIRECTS:
        in_a_loop = error.msg.startswith(urllib.request.HTTPRedirectHandler.inf_msg)
        return NetworkError(f"{shown} redirects {'in a loop' if in_a_loop else 'to something that is not a web address'}")
    words = f"the server answered {error.code} {error.reason}"
    if error.code == RANGE_NOT_SATISFIABLE and is_ranged:
        return Outdated(words)
    if error.code in TRY_AGAIN:
        asked = error.headers.get("Retry-After", "")
        return Interrupted(words, float(asked) if asked.isdecimal() else 0)
    return NetworkError(f"{shown}: {words}")


def _extent(response: http.client.HTTPResponse) -> tuple[int, int | None]:
    """Return the offset of the first byte and the size of the whole file, from the headers."""
    if response.status == http.HTTPStatus.PARTIAL_CONTENT:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", "").strip())
        if not found:
            raise Outdated("the server sent a part of the file without saying which")
        return int(found[1]), None if found[2] == "*" else int(found[2])
    return 0, response.length  # http.client: Content-Length if it is a number


def _validator(headers: http.client.HTTPMessage) -> str | None:
    """Return the validator for If-Range: a strong ETag, else Last-Modified (RFC 9110, 13.1.5)."""
    tag = headers.get("ETag", "")
    return tag if tag.startswith('"') else headers.get("Last-Modified")


def _body(response: http.client.HTTPResponse) -> Iterator[bytes]:
    try:
        yield from iter(functools.partial(response.read1, BLOCK), b"")
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Interrupted(_reason(error, "")) from error


def _reason(error: Exception, url: str) -> str:
    cause = getattr(error, "reason", error)
    return redacted("it fell silent" if isinstance(cause, TimeoutError) else f"{cause or type(cause).__name__}", url)
