"""A web server on this machine that hands out one file in every wrong way; the first folder of the path chooses the way."""

import random
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic

CONTENT = random.Random(0).randbytes(5_000_000)
OTHER = random.Random(1).randbytes(5_000_000)  # as long
CRUMB = 1_500_000  # bytes that a broken connection brings
PAGE = b"\n<html>log in</html>"


class Mirrors(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.asked: list[str] = []  # ways, in order
        self.paths: list[str] = []  # as they were asked for
        self.ranges: list[str | None] = []
        self.ready = 0.0  # the time from which on a busy server answers
        self.ended = threading.Event()

    def __getitem__(self, way: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{way}"


class Answer(BaseHTTPRequestHandler):
    server: Mirrors
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        way = self.path.split("/")[1]
        self.server.asked.append(way)
        self.server.paths.append(self.path)
        self.server.ranges.append(self.headers["Range"])
        self.close_connection = True
        try:
            WAYS[way](self, self.server.asked.count(way))
        except OSError:
            """The client has heard enough."""

    @property
    def start(self) -> int:
        return int((self.headers["Range"] or "bytes=0-").removeprefix("bytes=").removesuffix("-"))

    def head(self, status: int, **headers: object) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def whole(self, body: bytes = CONTENT, most: int | None = None, **headers: object) -> None:
        """Send all of it, or announce all and send the first bytes."""
        self.head(200, Content_Length=len(body), **headers)
        self.wfile.write(body[:most])

    def ranged(self, body: bytes = CONTENT, most: int | None = None, **headers: object) -> None:
        """Send what was asked for as a good server does, or break off."""
        if self.start >= len(body):
            return self.head(416, Content_Range=f"bytes */{len(body)}", Content_Length=0)
        rest = body[self.start :]
        if not self.start:
            return self.whole(body, most, **headers)
        span = f"bytes {self.start}-{len(body) - 1}/{len(body)}"
        self.head(206, Content_Length=len(rest), Content_Range=span, **headers)
        self.wfile.write(rest[:most])
        return None

    def chunks(self, *blocks: bytes) -> None:
        self.head(200, Transfer_Encoding="chunked")
        for block in blocks:
            self.wfile.write(f"{len(block):x}\r\n".encode() + block + b"\r\n")

    def log_message(self, *_: object) -> None:
        """Say nothing on stderr."""


def void(_: object) -> None:
    """Nothing is answered any more."""


def pour(answer: Answer) -> None:
    """Never end."""
    answer.head(200)
    while True:
        answer.wfile.write(bytes(1 << 16))


def trickle(answer: Answer) -> None:
    """A byte now and then, never silent."""
    answer.head(200, Content_Length=len(CONTENT))
    while not answer.server.ended.wait(0.02):
        answer.wfile.write(b".")


def stall(answer: Answer) -> None:
    """Fall silent in the middle, the connection left open."""
    answer.ranged(most=CRUMB)
    answer.server.ended.wait(20)


def reset(answer: Answer) -> None:
    """End the connection as a crashed server does."""
    answer.ranged(most=1)
    answer.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    answer.connection.close()


def unmeasured(answer: Answer) -> None:
    """No length, and the end of the connection is the end of the file; it comes too soon."""
    answer.head(200)
    answer.wfile.write(CONTENT[:CRUMB])


def overlong(answer: Answer) -> None:
    """More bytes than announced."""
    answer.whole()
    answer.wfile.write(OTHER)


def part(answer: Answer, begin: int, **headers: object) -> None:
    """Send the bytes from `begin` on as a part of the file, which need not be what was asked for."""
    answer.head(206, Content_Length=len(CONTENT) - begin, **headers)
    answer.wfile.write(CONTENT[begin:])


def shifted(answer: Answer) -> None:
    """The range begins ten bytes late, and says so."""
    part(answer, answer.start + 10, Content_Range=f"bytes {answer.start + 10}-{len(CONTENT) - 1}/{len(CONTENT)}")


def busy(answer: Answer, time: int) -> None:
    """Ask for a second of patience, and need a third of it."""
    if time == 1:
        answer.server.ready = monotonic() + 0.3
    if monotonic() < answer.server.ready:
        answer.head(429, Retry_After=1, Content_Length=0)
    else:
        answer.ranged()


def renewed(answer: Answer, time: int) -> None:
    """The file is replaced after the first request, and the server minds If-Range."""
    if time == 1:
        answer.whole(OTHER, most=CRUMB, ETag='"old"')
    elif answer.headers["If-Range"] in (None, '"new"'):
        answer.ranged(ETag='"new"')
    else:
        answer.whole(ETag='"new"')


Way = Callable[[Answer, int], None]


def cut_then(broken: Callable[[Answer], None]) -> Way:
    """Break off at first, go wrong where a range is asked for, serve the whole file."""
    return lambda answer, time: answer.whole(most=CRUMB) if time == 1 else broken(answer) if answer.start else answer.whole()


# (the request, its number in this way) -> None
WAYS: dict[str, Way] = {
    "good": lambda answer, _: answer.ranged(),
    "wrong": lambda answer, _: answer.whole(OTHER),
    "page": lambda answer, _: answer.whole(PAGE, Content_Type="text/html"),
    "encoded": lambda answer, _: answer.whole(Content_Encoding="gzip"),
    "absent": lambda answer, _: answer.send_error(404),
    "locked": lambda answer, _: answer.ranged() if answer.headers["Authorization"] else answer.send_error(401),
    "failing": lambda answer, _: answer.send_error(500),
    "hiccup": lambda answer, time: answer.send_error(503) if time == 1 else answer.ranged(),
    "busy": lambda answer, time: busy(answer, time),
    "garbage": lambda answer, _: void(answer.wfile.write(b"no HTTP at all\r\n\r\n")),
    "silent": lambda answer, _: void(answer.server.ended.wait(20)),
    "redirected": lambda answer, _: answer.head(302, Location="/good/x", Content_Length=0),
    "loop": lambda answer, _: answer.head(302, Location="/loop/again?token=s3cret", Content_Length=0),
    "to-a-file": lambda answer, _: answer.head(302, Location="file:///etc/hostname?token=s3cret", Content_Length=0),
    "to-ftp": lambda answer, _: answer.head(302, Location="ftp://me:s3cret@host/x", Content_Length=0),
    "short": lambda answer, _: answer.whole(most=CRUMB // 2),
    "crumbs": lambda answer, _: answer.ranged(most=CRUMB),
    "reset": lambda answer, time: reset(answer) if time == 1 else answer.ranged(),
    "stalling": lambda answer, time: stall(answer) if time == 1 else answer.ranged(),
    "trickle": lambda answer, _: trickle(answer),
    "unmeasured": lambda answer, _: unmeasured(answer),
    "overlong": lambda answer, _: overlong(answer),
    "endless": lambda answer, _: pour(answer),
    "chunked": lambda answer, _: answer.chunks(CONTENT[:CRUMB], CONTENT[CRUMB:], b""),
    "chunks-cut": lambda answer, time: answer.chunks(CONTENT[:CRUMB]) if time == 1 else answer.ranged(),
    "no-range": cut_then(lambda answer: answer.whole()),
    "416": cut_then(lambda answer: answer.send_error(416)),
    "shifted": cut_then(shifted),
    "always-shifted": lambda answer, _: shifted(answer),
    "unsaid": cut_then(lambda answer: part(answer, answer.start)),
    "lying": cut_then(lambda answer: answer.ranged(OTHER)),
    "renewed": renewed,
    "renewed-unsaid": lambda answer, time: answer.whole(OTHER, most=CRUMB) if time == 1 else answer.ranged(),
}


@contextmanager
def serving() -> Iterator[Mirrors]:
    with Mirrors() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.ended.set()
            server.shutdown()
            thread.join()
