"""A server that fails in every known way: what comes of it is the verified file or one clear error, never wrong or half data."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.config.errors import NetworkError
from pipeline.config.schema import Config, SourceFile, Sources
from pipeline.dataset.fetch import fetch
from tests.dataset.mirrors import CONTENT, CRUMB, OTHER, Mirrors

SHA256 = hashlib.sha256(CONTENT).hexdigest()
SIZE = len(CONTENT)
NAME = "images.gz"


class Fetching:
    """Fetches one file from mirrors that go wrong."""

    def __init__(self, cfg: Config, mirrors: Mirrors, folder: Path) -> None:
        cfg.fetch = replace(cfg.fetch, pause=0.01, timeout=0.5)
        self.cfg, self.mirrors, self.folder = cfg, mirrors, folder
        self.part = folder / "downloads" / SHA256[:16] / f".{NAME}.part"

    def __call__(self, *ways: str, size: int | None = None) -> None:
        file = SourceFile(name=NAME, sha256=SHA256, bytes=size)
        self.cfg.dataset.sources = Sources(folder=None, mirrors=[self.mirrors[way] for way in ways], files={"images": file})
        fetch(self.cfg, self.folder / "raw", self.folder / "downloads", self.folder)

    def refused(self, *ways: str, size: int | None = None) -> str:
        with pytest.raises(NetworkError) as caught:
            self(*ways, size=size)
        assert self.files() == {}
        return str(caught.value)

    def files(self) -> dict[str, bytes]:
        """Return what lies anywhere under a final name."""
        found = [path for path in self.folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
        return {path.parent.name if path.parent.name == "raw" else path.name: path.read_bytes() for path in found}

    def arrived(self) -> bool:
        return self.files() == {"raw": CONTENT, NAME: CONTENT} and not self.part.exists()

    def left_by_a_killed_run(self, data: bytes) -> None:
        self.part.parent.mkdir(parents=True)
        self.part.write_bytes(data)


@pytest.fixture
def fetching(cfg: Config, mirrors: Mirrors, tmp_path: Path) -> Fetching:
    return Fetching(cfg, mirrors, tmp_path)


@pytest.mark.parametrize("size", [None, SIZE])
@pytest.mark.parametrize(
    ("way", "requests"),
    [
        *(("good", 1), ("encoded", 1), ("overlong", 1), ("chunked", 1), ("redirected", 1), ("busy", 2), ("hiccup", 2)),
        *(("crumbs", 4), ("reset", 2), ("stalling", 2), ("chunks-cut", 2), ("no-range", 2), ("416", 3), ("shifted", 3), ("unsaid", 3)),
        *(("lying", 3), ("renewed", 2), ("renewed-unsaid", 3)),
    ],
)
def test_a_fault_that_passes_ends_in_the_right_bytes(way: str, requests: int, size: int | None, fetching: Fetching) -> None:
    fetching(way, size=size)
    assert fetching.arrived()
    assert fetching.mirrors.asked.count(way) == requests


@pytest.mark.parametrize(
    ("way", "size", "times", "why"),
    [
        ("absent", None, 1, "/absent/images.gz: the server answered 404 Not Found"),
        ("locked", None, 1, "/locked/images.gz: the server answered 401 Unauthorized"),
        ("failing", None, 3, "/failing/images.gz: the server answered 500 Internal Server Error"),
        ("garbage", None, 3, "/garbage/images.gz: no HTTP at all"),
        ("silent", None, 3, "/silent/images.gz: it fell silent"),
        ("trickle", None, 3, "bytes came in 1 s, fewer than 1000 a second"),
        ("short", None, 3, f"/short/images.gz: the connection ended after {CRUMB // 2} of {SIZE} bytes"),
        ("unmeasured", SIZE, 3, f"/unmeasured/images.gz: the connection ended after {CRUMB} of {SIZE} bytes"),
        ("unmeasured", None, 1, f"/unmeasured/images.gz: {CRUMB} bytes with sha256 "),
        ("wrong", None, 1, f"{SIZE} bytes with sha256 {hashlib.sha256(OTHER).hexdigest()}, expected {SHA256}; the download was deleted"),
        ("page", None, 1, "/page/images.gz: 20 bytes (the server sent a web page) with sha256"),
        ("page", SIZE, 1, f"/page/images.gz has 20 bytes, not {SIZE}; this is another file, or a web page"),
        ("always-shifted", None, 3, "/always-shifted/images.gz: asked for the bytes from 0 on, the server sent those from 10 on"),
        ("endless", SIZE, 1, "(more than were announced) with sha256"),
        ("loop", None, 5, "/loop/images.gz redirects in a loop"),
        ("to-a-file", None, 1, "/to-a-file/images.gz redirects to something that is not a web address"),
        ("to-ftp", None, 1, "/to-ftp/images.gz redirects to ftp://host/x; only https is followed"),
    ],
)
def test_a_fault_that_stays_is_told_and_leaves_nothing_under_the_final_name(
    way: str, size: int | None, times: int, why: str, fetching: Fetching
) -> None:
    assert why in fetching.refused(way, size=size)
    assert fetching.mirrors.asked == [way] * times


@pytest.mark.parametrize("way", ["absent", "wrong", "page", "short", "failing", "garbage", "unmeasured", "loop", "silent"])
def test_the_second_mirror_is_used_when_the_first_is_bad(way: str, fetching: Fetching) -> None:
    fetching(way, "good")
    assert fetching.arrived()
    assert fetching.mirrors.asked[-1] == "good"


def test_when_all_mirrors_fail_each_is_named_with_its_reason(fetching: Fetching) -> None:
    message = fetching.refused("absent", "wrong", "page", "failing")
    assert message.startswith("images.gz could not be fetched from any of 4 mirrors. ")
    assert [f"/{way}/images.gz: " in message for way in ("absent", "wrong", "page", "failing")] == [True] * 4
    assert "Nothing was kept. Repeat when the network is back, or name another base URL in dataset.sources.mirrors" in message


def test_a_server_that_is_away_is_told_in_one_sentence(fetching: Fetching) -> None:
    fetching.mirrors.server_close()
    assert "/good/images.gz: [Errno 111] Connection refused" in fetching.refused("good")


def test_a_broken_download_goes_on_where_it_ended_also_in_the_next_run_and_from_another_mirror(fetching: Fetching) -> None:
    assert f"{CRUMB // 2} bytes are kept to resume from" in fetching.refused("short")
    fetching("failing", "good")
    assert fetching.arrived()
    assert fetching.mirrors.ranges[-1] == f"bytes={CRUMB // 2}-"


def test_a_file_that_was_whole_when_the_run_was_killed_gets_its_name_without_asking(fetching: Fetching) -> None:
    fetching.left_by_a_killed_run(CONTENT)
    fetching("good")
    assert fetching.arrived()
    assert fetching.mirrors.asked == []


@pytest.mark.parametrize("data", [b"", OTHER[:CRUMB], CONTENT + OTHER, b"<html>"])
def test_what_a_killed_run_left_is_never_trusted(data: bytes, fetching: Fetching) -> None:
    fetching.left_by_a_killed_run(data)
    fetching("good")
    assert fetching.arrived()


def test_a_web_page_in_place_of_the_file_costs_nothing_of_what_is_there_where_the_size_is_known(fetching: Fetching) -> None:
    fetching.left_by_a_killed_run(CONTENT[:CRUMB])
    fetching.refused("page", size=SIZE)
    assert fetching.part.read_bytes() == CONTENT[:CRUMB]


def test_two_fetches_at_once_ask_once(fetching: Fetching) -> None:
    file = SourceFile(name=NAME, sha256=SHA256)
    fetching.cfg.dataset.sources = Sources(folder=None, mirrors=[fetching.mirrors["good"]], files={"images": file})
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda raw: fetch(fetching.cfg, fetching.folder / raw, fetching.folder / "downloads", fetching.folder), "ab"))
    assert (fetching.folder / "a" / NAME).samefile(fetching.folder / "b" / NAME)
    assert fetching.mirrors.asked == ["good"]


def test_progress_is_told_with_rate_and_time_left(fetching: Fetching, capsys: pytest.CaptureFixture[str]) -> None:
    fetching.cfg.fetch.progress = 0
    fetching.left_by_a_killed_run(CONTENT[: SIZE // 2])
    fetching("good")
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("fetching")]
    assert lines[-1].startswith("fetching images.gz: 5.0 of 5.0 MB, ")
    assert lines[-1].endswith(" MB/s, 0 s left")
