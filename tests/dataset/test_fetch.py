import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path

import pytest

from pipeline.config.errors import ConfigError, DataError, NetworkError
from pipeline.config.schema import SourceFile, Sources
from pipeline.config.urls import without_credentials
from pipeline.dataset import fetch as module
from pipeline.dataset.fetch import fetch

CONTENT = b"the original bytes " * 100
SHA256 = hashlib.sha256(CONTENT).hexdigest()
SECRET = "s3cret"


class Mirrors(ThreadingHTTPServer):
    """Each first folder of the path is a mirror that behaves in its own way."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.asked: list[str] = []

    def __getitem__(self, mirror: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{mirror}"


class Answer(BaseHTTPRequestHandler):
    server: Mirrors

    def do_GET(self) -> None:
        mirror = self.path.split("/")[1]
        self.server.asked.append(mirror)
        first = self.server.asked.count(mirror) == 1
        if mirror == "absent" or (mirror == "locked" and not self.headers["Authorization"]):
            self.send_error(404 if mirror == "absent" else 401)
        elif mirror == "failing" or (mirror == "hiccup" and first):
            self.send_error(500)
        elif mirror == "garbage":
            self.wfile.write(b"no HTTP at all\r\n\r\n")
        else:
            body = {"wrong": b"other bytes", "page": b"\n<html>log in</html>"}.get(mirror, CONTENT)
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if mirror == "short" or (mirror == "cut-once" and first) else body)

    def log_message(self, *_: object) -> None:
        """Say nothing on stderr."""


@pytest.fixture
def mirrors(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirrors]:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(module, "PAUSE", 0.01)
    server = Mirrors()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return tmp_path / "raw"


@pytest.fixture
def downloads(tmp_path: Path) -> Path:
    return tmp_path / "downloads"


def sources(*mirrors: str, name: str = "images.gz", sha256: str = SHA256) -> Sources:
    return Sources(folder=None, mirrors=list(mirrors), files={"images": SourceFile(name=name, sha256=sha256)})


def left_in(folder: Path) -> list[str]:
    """Names of the files below a folder, locks excepted."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and path.name != ".lock")


def test_a_good_file_arrives_under_its_own_name(mirrors: Mirrors, raw: Path, downloads: Path, tmp_path: Path) -> None:
    assert fetch(sources(mirrors["good"]), raw, downloads, tmp_path) == 1
    assert left_in(raw) == left_in(downloads) == ["images.gz"]
    assert (raw / "images.gz").read_bytes() == CONTENT


@pytest.mark.parametrize("bad", ["absent", "wrong", "page", "short", "failing", "garbage"])
def test_the_second_mirror_is_used_when_the_first_is_bad(bad: str, mirrors: Mirrors, raw: Path, downloads: Path, tmp_path: Path) -> None:
    fetch(sources(mirrors[bad], mirrors["good"]), raw, downloads, tmp_path)
    assert (raw / "images.gz").read_bytes() == CONTENT
    assert mirrors.asked[-1] == "good"


@pytest.mark.parametrize(("mirror", "times"), [("hiccup", 2), ("cut-once", 2), ("failing", 3), ("short", 3), ("absent", 1), ("wrong", 1)])
def test_only_a_broken_connection_or_server_is_asked_again(
    mirror: str, times: int, mirrors: Mirrors, raw: Path, downloads: Path, tmp_path: Path
) -> None:
    fetch(sources(mirrors[mirror], mirrors["good"]), raw, downloads, tmp_path)
    assert mirrors.asked.count(mirror) == times
    assert (raw / "images.gz").read_bytes() == CONTENT


def test_when_all_mirrors_fail_each_is_named_with_its_reason(mirrors: Mirrors, raw: Path, downloads: Path, tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match=r"images.gz could not be fetched from any of 4 mirrors\. .*Nothing was kept") as caught:
        fetch(sources(*(mirrors[name] for name in ("absent", "wrong", "page", "failing"))), raw, downloads, tmp_path)
    message = str(caught.value)
    assert "/absent/images.gz: the server answered 404 Not Found" in message
    assert f"/wrong/images.gz: 11 bytes with sha256 {hashlib.sha256(b'other bytes').hexdigest()}, expected {SHA256}" in message
    assert "/page/images.gz: 20 bytes (the server sent a web page) with sha256" in message
    assert "/failing/images.gz: the server answered 500" in message
    assert not raw.exists()


@pytest.mark.parametrize(
    ("mirror", "why"),
    [("short", "the connection ended after 950 of 1900 bytes"), ("garbage", "no HTTP at all"), ("locked", "answered 401 Unauthorized")],
)
def test_a_broken_download_is_never_left_under_the_final_name(
    mirror: str, why: str, mirrors: Mirrors, raw: Path, downloads: Path, tmp_path: Path
) -> None:
    with pytest.raises(NetworkError, match=why):
        fetch(sources(mirrors[mirror]), raw, downloads, tmp_path)
    assert "images.gz" not in left_in(tmp_path)


@pytest.mark.parametrize("mirror", ["wrong", "page"])
def test_wrong_bytes_are_deleted(mirror: str, mirrors: Mirrors, raw: Path, downloads: Path, tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match="the download was deleted"):
        fetch(sources(mirrors[mirror]), raw, downloads, tmp_path)
    assert left_in(tmp_path) == []


def test_a_server_that_is_away_is_told_in_one_sentence(mirrors: Mirrors, raw: Path, downloads: Path, tmp_path: Path) -> None:
    away = mirrors["good"]
    mirrors.server_close()
    with pytest.raises(NetworkError, match=r"/good/images.gz: .*[Cc]onnection refused"):
        fetch(sources(away), raw, downloads, tmp_path)


def test_kept_downloads_are_used_again_without_asking(mirrors: Mirrors, raw: Path, downloads: Path, tmp_path: Path) -> None:
    fetch(sources(mirrors["good"]), raw, downloads, tmp_path)
    fetch(sources("http://127.0.0.1:9/gone"), tmp_path / "second", downloads, tmp_path)
    assert (tmp_path / "second" / "images.gz").read_bytes() == CONTENT
    assert mirrors.asked == ["good"]


def test_a_damaged_kept_download_is_fetched_anew(mirrors: Mirrors, raw: Path, downloads: Path, tmp_path: Path) -> None:
    fetch(sources(mirrors["good"]), raw, downloads, tmp_path)
    [kept] = downloads.rglob("images.gz")
    kept.write_bytes(b"damaged")
    fetch(sources(mirrors["good"]), raw, downloads, tmp_path)
    assert (raw / "images.gz").read_bytes() == CONTENT
    assert mirrors.asked == ["good", "good"]


def test_credentials_in_a_url_are_sent_and_never_shown(
    mirrors: Mirrors, raw: Path, downloads: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fetch(sources(mirrors["locked"].replace("//", f"//me:{SECRET}@")), raw, downloads, tmp_path)
    assert (raw / "images.gz").read_bytes() == CONTENT
    shown = capsys.readouterr()
    assert f"{mirrors['locked']}/images.gz" in shown.out
    assert SECRET not in shown.out + shown.err


@pytest.mark.parametrize(
    "url", ["http://me:{}@127.0.0.1:9/x", "http://me:{}@nowhere.invalid/x", "ftp://me:{}@host/x", "http://h/x?token={}"]
)
def test_credentials_do_not_stand_in_errors(url: str, mirrors: Mirrors, raw: Path, downloads: Path, tmp_path: Path) -> None:
    with pytest.raises((NetworkError, ConfigError)) as caught:
        fetch(sources(url.format(SECRET)), raw, downloads, tmp_path)
    assert SECRET not in str(caught.value)


def test_shown_urls_have_neither_user_nor_query() -> None:
    assert without_credentials("https://me:pass@host:8/a/b?token=1") == "https://host:8/a/b"


@pytest.mark.parametrize("name", ["../images.gz", "a/../../images.gz", "/etc/images.gz"])
def test_names_that_leave_the_folder_are_refused(name: str, mirrors: Mirrors, raw: Path, downloads: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"dataset\.sources\.files: the name .* leaves its folder; give a plain file name"):
        fetch(sources(mirrors["good"], name=name), raw, downloads, tmp_path)
    assert mirrors.asked == left_in(tmp_path) == []


@pytest.mark.parametrize("url", ["ftp://host/folder", "folder/on/disk", "javascript:x"])
def test_other_schemes_are_refused(url: str, raw: Path, downloads: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"dataset\.sources\.mirrors: .* must begin with https, http, file or package"):
        fetch(sources(url), raw, downloads, tmp_path)


def test_a_file_of_an_installed_package_is_a_source(raw: Path, downloads: Path, tmp_path: Path) -> None:
    carried = files("sklearn").joinpath("datasets/data/digits.csv.gz").read_bytes()
    digits = sources("package://sklearn/datasets/data", name="digits.csv.gz", sha256=hashlib.sha256(carried).hexdigest())
    fetch(digits, raw, downloads, tmp_path)
    assert (raw / "digits.csv.gz").read_bytes() == carried


@pytest.mark.parametrize("url", ["package://sklearn/nowhere", "package://no_such_package/data"])
def test_a_package_without_the_file_is_told(url: str, mirrors: Mirrors, raw: Path, downloads: Path, tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match=rf"{url}/images.gz: .*No (such file|module)"):
        fetch(sources(url), raw, downloads, tmp_path)


def test_a_folder_on_disk_is_a_source(raw: Path, downloads: Path, tmp_path: Path) -> None:
    (tmp_path / "images.gz").write_bytes(CONTENT)
    fetch(sources(tmp_path.as_uri()), raw, downloads, tmp_path)
    assert (raw / "images.gz").read_bytes() == CONTENT


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A project with photos of two classes."""
    for name in ("cat/1.jpg", "cat/deep/2.jpg", "dog/1.jpg"):
        (tmp_path / "own" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "own" / name).write_text(name)
    return tmp_path / "own"


FOLDER = Sources(folder="own", mirrors=[], files={})


def test_a_folder_is_taken_as_it_is_without_hidden_files(own: Path, raw: Path, downloads: Path, tmp_path: Path) -> None:
    (own / "cat" / ".DS_Store").write_text("hidden")
    (own / ".git").mkdir()
    (own / ".git" / "HEAD").write_text("hidden")
    assert fetch(FOLDER, raw, downloads, tmp_path) == 3
    found = {str(path.relative_to(raw)): path.read_text() for path in raw.rglob("*") if path.is_file()}
    assert found == {name: name for name in ("cat/1.jpg", "cat/deep/2.jpg", "dog/1.jpg")}


def test_a_linked_folder_is_followed_and_costs_no_space(own: Path, raw: Path, downloads: Path, tmp_path: Path) -> None:
    own.rename(tmp_path / "elsewhere")
    own.symlink_to(tmp_path / "elsewhere")
    fetch(FOLDER, raw, downloads, tmp_path)
    assert (raw / "dog" / "1.jpg").samefile(tmp_path / "elsewhere" / "dog" / "1.jpg")


@pytest.mark.parametrize("hidden", [None, ".gitkeep"])
def test_an_empty_class_folder_is_refused(hidden: str | None, own: Path, raw: Path, downloads: Path, tmp_path: Path) -> None:
    (own / "bird").mkdir()
    if hidden:
        (own / "bird" / hidden).touch()
    with pytest.raises(DataError, match="own/bird is empty, and a class needs images; fill the folder or remove it"):
        fetch(FOLDER, raw, downloads, tmp_path)
    assert not raw.exists()


def test_an_empty_hidden_folder_does_not_matter(own: Path, raw: Path, downloads: Path, tmp_path: Path) -> None:
    (own / "cat" / ".cache" / "empty").mkdir(parents=True)
    assert fetch(FOLDER, raw, downloads, tmp_path) == 3


def test_a_missing_folder_is_told_with_what_to_put_there(raw: Path, downloads: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="own does not exist; make it and put one sub-folder of images per class into it"):
        fetch(FOLDER, raw, downloads, tmp_path)


def test_a_folder_without_files_is_told(raw: Path, downloads: Path, tmp_path: Path) -> None:
    (tmp_path / "own" / "cat").mkdir(parents=True)
    with pytest.raises(DataError, match="own holds no files; .*or choose another dataset"):
        fetch(FOLDER, raw, downloads, tmp_path)
