"""Files of web servers: http and https, with Range, redirects and credentials."""

import base64
import functools
import http
import http.client
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from pipeline.config.errors import NetworkError
from pipeline.config.urls import redacted, without_credentials
from pipeline.dataset.source.answer import BLOCK, Answer, Interrupted, Outdated

TRY_AGAIN = {408, 429, 500, 502, 503, 504}  # statuses that pass: timeouts, too many requests, a server in trouble
REDIRECTS = {301, 302, 303, 307, 308}
NOT_THERE = 416  # the range that was asked for lies behind the end


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to https, and from http to http: what was asked for safely is not got unsafely."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: http.client.HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        if urllib.parse.urlsplit(newurl).scheme not in ("https", req.type):
            fp.close()
            raise NetworkError(
                f"{without_credentials(req.full_url)} redirects to {without_credentials(newurl)}; nothing but https is followed"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_opener = urllib.request.build_opener(_Redirects)


@contextmanager
def answered(url: str, start: int, version: str | None, timeout: float) -> Iterator[Answer]:
    """Ask a web server for a file from byte `start` on, if it still is `version`.

    Raises NetworkError where asking again is of no use, Interrupted or Outdated where it is."""
    with _sent(_request(url, start, version), url, timeout) as response:
        first, whole = _extent(response)
        if first not in (0, start):
            raise Outdated(f"asked for the bytes from {start} on, the server sent those from {first} on")
        yield Answer(first, whole, _version(response.headers), _blocks(response))


def _request(url: str, start: int, version: str | None) -> urllib.request.Request:
    """Return the request with the URL's user:password in a header: urllib takes them for a part of the host's name."""
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


def _refusal(error: urllib.error.HTTPError, shown: str, ranged: bool) -> Exception:
    """Return what an answer without a file means: give the server up, or ask it again."""
    if error.code in REDIRECTS:
        in_a_loop = error.msg.startswith(urllib.request.HTTPRedirectHandler.inf_msg)
        return NetworkError(f"{shown} redirects {'in a loop' if in_a_loop else 'to what is no web address'}")
    words = f"the server answered {error.code} {error.reason}"
    if error.code == NOT_THERE and ranged:
        return Outdated(words)
    if error.code in TRY_AGAIN:
        asked = error.headers.get("Retry-After", "")
        return Interrupted(words, float(asked) if asked.isdecimal() else 0)
    return NetworkError(f"{shown}: {words}")


def _extent(response: http.client.HTTPResponse) -> tuple[int, int | None]:
    """Return the first byte's place and the whole file's size as the headers say them."""
    if response.status == http.HTTPStatus.PARTIAL_CONTENT:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", "").strip())
        if not found:
            raise Outdated("the server sent a part of the file without saying which")
        return int(found[1]), None if found[2] == "*" else int(found[2])
    return 0, response.length  # of http.client: Content-Length where it is a number and holds


def _version(headers: http.client.HTTPMessage) -> str | None:
    """Return what If-Range takes: a strong ETag, else the time of the last change (RFC 9110, 13.1.5)."""
    tag = headers.get("ETag", "")
    return tag if tag.startswith('"') else headers.get("Last-Modified")


def _blocks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    try:
        yield from iter(functools.partial(response.read1, BLOCK), b"")
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Interrupted(_reason(error, "")) from error


def _reason(error: Exception, url: str) -> str:
    cause = getattr(error, "reason", error)
    return redacted("it fell silent" if isinstance(cause, TimeoutError) else f"{cause or type(cause).__name__}", url)
