"""Object stores: s3:// against moto's server, gs:// against the few answers of Google's that are asked for."""

import hashlib
import json
import re
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest

from pipeline.config.errors import NetworkError
from pipeline.config.schema import Config, SourceFile, Sources
from pipeline.dataset.fetch import fetch
from tests.dataset.mirrors import OTHER
from tests.project import environment, wait_for

CONTENT = OTHER * 4  # 20 MB: three ranges
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """The address of a store that speaks S3, with one public and one private file."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        wait_for(port)
        address = f"http://127.0.0.1:{port}"
        put(f"{address}/photos")
        put(f"{address}/photos/set/images.gz", x_amz_acl="public-read")
        put(f"{address}/photos/private/images.gz", x_amz_acl="private")
        yield address
        server.terminate()


def put(url: str, **headers: str) -> None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, data=CONTENT if headers else None, method="PUT", headers={"Content-Type": "x/y"} | named)
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 200


@pytest.fixture
def s3(moto: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The environment of a person with a login for the store."""
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "person")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")


@pytest.fixture
def without_login(s3: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


class Bucket(BaseHTTPRequestHandler):
    """Answers as Google's JSON API does for one file: what it is, and ranges of it."""

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        bounds = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["Range"] or "")
        if not unquote(path).endswith("/b/photos/o/set/images.gz"):
            self.answer(404, b'{"error": {"code": 404, "message": "Not Found"}}')
        elif query == "alt=media" and bounds:
            self.answer(206, CONTENT[int(bounds[1]) : int(bounds[2]) + 1])
        else:
            self.answer(200, json.dumps({"name": "set/images.gz", "bucket": "photos", "size": str(len(CONTENT)), "etag": "A"}).encode())

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing on stderr."""


@pytest.fixture
def gs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Bucket) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("NO_GCE_CHECK", "true")
        yield
        server.shutdown()


def fetching(cfg: Config, mirror: str, folder: Path, **changes: object) -> None:
    file = replace(SourceFile(name="images.gz", sha256=SHA256), **changes)
    cfg.dataset.sources = Sources(folder=None, mirrors=[mirror], files={"images": file})
    cfg.fetch = replace(cfg.fetch, pause=0.01, timeout=10)
    fetch(cfg, folder / "raw", folder / "downloads", folder)


def left(folder: Path, data: bytes) -> None:
    """Put there what a killed fetch left."""
    part = folder / "downloads" / SHA256[:16] / ".images.gz.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(data)


@pytest.mark.parametrize(
    ("store", "mirror"),
    [("s3", "s3://photos/set"), ("s3", "s3://photos/private"), ("without_login", "s3://photos/set"), ("gs", "gs://photos/set")],
)
@pytest.mark.parametrize("before", [None, CONTENT[:15_000_000], OTHER[::-1], CONTENT + b"more"])
def test_a_file_of_an_object_store_arrives_whole_whatever_a_killed_fetch_left(
    store: str, mirror: str, before: bytes | None, cfg: Config, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue(store)
    if before:
        left(tmp_path, before)
    fetching(cfg, mirror, tmp_path)
    assert (tmp_path / "raw" / "images.gz").read_bytes() == CONTENT


def test_what_is_there_is_not_asked_for_again(s3: None, cfg: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    left(tmp_path, CONTENT[:15_000_000])
    cfg.fetch.progress = 0
    fetching(cfg, "s3://photos/set", tmp_path)
    [line] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("fetching")]
    assert line.startswith("fetching images.gz: 20.0 of 20.0 MB, ")


@pytest.mark.parametrize(
    ("store", "mirror", "why"),
    [
        ("s3", "s3://photos/nowhere", "s3://photos/nowhere/images.gz does not exist"),
        ("s3", "s3://nobody", "s3://nobody/images.gz does not exist"),
        ("gs", "gs://photos/nowhere", "gs://photos/nowhere/images.gz does not exist"),
        ("without_login", "s3://photos/private", "s3://photos/private/images.gz is not readable with the credentials in the environment"),
    ],
)
def test_a_file_that_is_not_there_or_not_to_be_read_is_told(
    store: str, mirror: str, why: str, cfg: Config, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue(store)
    with pytest.raises(NetworkError, match=why):
        fetching(cfg, mirror, tmp_path)
    assert not (tmp_path / "raw").exists()


def test_a_store_that_is_away_is_told(s3: None, cfg: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    cfg.fetch.attempts = 1
    with pytest.raises(NetworkError, match="s3://photos/set/images.gz: EndpointConnectionError: Could not connect to the endpoint URL"):
        fetching(cfg, "s3://photos/set", tmp_path)


def test_a_wrong_file_of_a_store_is_deleted(s3: None, cfg: Config, tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match=r"20000000 bytes with sha256 \w+, expected a{64}; the download was deleted"):
        fetching(cfg, "s3://photos/set", tmp_path, sha256="a" * 64)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.name != ".lock"]
