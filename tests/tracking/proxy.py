"""A real MLflow server, and a proxy before it that harms chosen calls: the n-th is refused, cut off, or its answer is lost."""

import http.client
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.project import environment


class Harm(Enum):
    AWAY = 503  # it does not reach the server
    DROPPED = "the connection ends before it reaches the server"
    LOST = "the server does it; its answer is lost"
    LOGIN = 401
    FORBIDDEN = 403
    ABSENT = 404
    PAGE = 200  # a page, such as a login's, in place of an answer


Chosen = Callable[[int, str], Harm | None]  # number of the call from 0, "METHOD path"


class Proxy:
    """What is called, and what is done to it; to be changed at any time."""

    def __init__(self, server: str) -> None:
        self.server = urlsplit(server).netloc
        self.calls: list[str] = []
        self.harm: Chosen = lambda number, call: None
        self.url = ""

    def harming(self, number: int, harm: Harm, times: int = 1) -> None:
        """Harm so many calls from this one on; count anew."""
        self.calls.clear()
        self.harm = lambda now, _: harm if number <= now < number + times else None

    def heal(self) -> None:
        self.harm = lambda number, call: None


@contextmanager
def proxy_of(server: str) -> Iterator[Proxy]:
    proxy = Proxy(server)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments: Any) -> None: ...

        def handle_call(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            call = f"{self.command} {urlsplit(self.path).path}"
            proxy.calls.append(call)
            harm = proxy.harm(len(proxy.calls) - 1, call)
            if harm in (None, Harm.LOST):
                answer = forwarded(proxy.server, self.command, self.path, dict(self.headers), body)
            elif harm is not Harm.DROPPED:
                answer = (int(harm.value), "text/html", b"<!doctype html><title>not now</title>")
            if harm in (Harm.LOST, Harm.DROPPED):
                self.close_connection = True
                with suppress(OSError):
                    self.connection.shutdown(2)
                return
            status, kind, content = answer
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = handle_call

    server_here = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    proxy.url = f"http://127.0.0.1:{server_here.server_port}"
    threading.Thread(target=server_here.serve_forever, daemon=True).start()
    yield proxy
    server_here.shutdown()
    server_here.server_close()


def forwarded(server: str, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection(server, timeout=60)
    connection.request(method, path, body, {name: value for name, value in headers.items() if name.lower() not in ("host", "connection")})
    response = connection.getresponse()
    answer = response.status, response.getheader("Content-Type", "application/json"), response.read()
    connection.close()
    return answer


@contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """Serve an empty store from a folder; yield its address."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}", "--artifacts-destination", str(folder / "artifacts")]
    quiet = environment() | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(command, env=quiet, stdout=log, stderr=log, start_new_session=True)
    try:
        until_it_answers(port, folder / "server.log")
        yield f"http://127.0.0.1:{port}"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 9)  # uvicorn's worker is a process of its own
        process.wait()


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def until_it_answers(port: int, log: Path) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        with suppress(OSError):
            if forwarded(f"127.0.0.1:{port}", "GET", "/health", {}, b"")[0] == 200:
                return
        time.sleep(0.2)
    raise AssertionError(log.read_text())
