"""A photo that can't be read gets its row and its reason; the others are prepared as ever."""

import copy
import csv
import os
import signal
import socket
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.config.errors import DataError
from pipeline.config.schema import Config
from pipeline.dataset.fetch import fetch
from pipeline.dataset.files import Refused, contents, names_below
from pipeline.dataset.manifest import require_current
from pipeline.dataset.resize import resize
from tests.conftest import MakeConfig
from tests.dataset.test_data_page import words
from tests.dataset.test_splits import add, picture

MEMORY = Path("/proc/self/mem")  # a file whose first byte can't be read, whoever asks


def broken_link(path: Path) -> None:
    path.symlink_to("nowhere.jpg")


def link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


def read_error(path: Path) -> None:
    path.symlink_to(MEMORY)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")  # which never ends


def unix_socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # its name must be short
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)
    os.chdir(here)


# What lies there instead of a photo → why it can't be read.
UNREADABLE: dict[str, tuple[Callable[[Path], None], str]] = {
    "link.jpg": (broken_link, "it can't be read: its link is broken"),
    "loop.jpg": (link_to_itself, "it can't be read: Too many levels of symbolic links"),
    "mem.jpg": (read_error, "it can't be read: Input/output error"),
    "pipe.jpg": (os.mkfifo, "it is a pipe, not a file"),
    "zero.jpg": (device, "it is a device, not a file"),
    "socket.jpg": (unix_socket, "it is a socket, not a file"),
}


@pytest.fixture
def cfg(config: MakeConfig) -> Config:
    return config("dataset=folder", "resize.size=8", "resize.max_refused=0.5")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    add(tmp_path / "own", range(20))
    for name, (make, _) in UNREADABLE.items():
        make(tmp_path / "own" / "dog" / name)
    return tmp_path / "own"


@pytest.fixture
def at_once(own: Path) -> Iterator[None]:
    """Ends what waits, for a pipe's writer or a device's end, after some seconds."""

    def give_up(*_: object) -> None:
        raise AssertionError("reading waits")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(5)  # seconds
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def rows(prepared: Path) -> dict[str, dict[str, str]]:
    with (prepared / "images.csv").open() as stream:
        return {row["path"]: row for row in csv.DictReader(stream)}


def prepare(cfg: Config, raw: Path, top: Path) -> Path:
    (top / "prepared").mkdir(exist_ok=True)
    resize(cfg, raw, top / "prepared", top / "data.html", top / "chunks")
    return top / "prepared"


@pytest.mark.parametrize("name", UNREADABLE)
@pytest.mark.usefixtures("at_once")
def test_what_is_no_readable_file_is_refused_at_once(name: str, own: Path) -> None:
    with pytest.raises(Refused) as refused:
        contents(own / "dog" / name)
    assert str(refused.value) == UNREADABLE[name][1]


def test_a_folder_and_a_file_that_has_gone_are_refused(own: Path) -> None:
    with pytest.raises(Refused, match="it is a folder, not a file"):
        contents(own / "dog")
    with pytest.raises(Refused, match="it can't be read: there is no such file"):
        contents(own / "dog" / "gone.jpg")


def test_a_video_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "film.mp4").open("wb") as stream:
        stream.truncate(700_000_000)  # bytes; none of them takes disk
    tracemalloc.start()
    with pytest.raises(Refused, match=r"it has 0\.70 GB, more than any photo: a video\?"):
        contents(tmp_path / "film.mp4")
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_each_has_its_row_with_the_reason_and_the_others_are_prepared(cfg: Config, own: Path, tmp_path: Path) -> None:
    found = rows(prepare(cfg, own, tmp_path))
    refused = {path: row["reason"] for path, row in found.items() if row["status"] == "refused"}
    assert refused == {f"dog/{name}": why for name, (_, why) in UNREADABLE.items()}
    assert sum(row["status"] == "used" for row in found.values()) == 20
    page = (tmp_path / "data.html").read_text()
    assert all(why.replace("'", "&#39;") in page for _, why in UNREADABLE.values())


def test_a_photo_of_own_ones_that_cannot_be_read_comes_as_far_as_its_row(cfg: Config, own: Path, tmp_path: Path) -> None:
    cfg.dataset.sources.folder = "own"
    assert fetch(cfg, tmp_path / "raw", tmp_path / "downloads", tmp_path) == 20 + len(UNREADABLE)
    prepared = prepare(cfg, tmp_path / "raw", tmp_path)
    assert {path for path, row in rows(prepared).items() if row["status"] == "refused"} == {f"dog/{name}" for name in UNREADABLE}
    require_current(own, prepared)


def test_a_photo_that_vanishes_after_it_was_listed_has_its_row(
    cfg: Config, own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.dataset import resize as module

    def then_gone(*given: object) -> object:
        samples = read(*given)
        (own / "cat" / "000.png").unlink()
        return samples

    read = module.read
    monkeypatch.setattr(module, "read", then_gone)
    row = rows(prepare(cfg, own, tmp_path))["cat/000.png"]
    assert (row["status"], row["reason"]) == ("refused", "it can't be read: there is no such file")


def test_a_stray_file_that_cannot_be_read_stops_nothing(cfg: Config, own: Path, tmp_path: Path) -> None:
    os.mkfifo(own / "pipe.jpg")
    row = rows(prepare(cfg, own, tmp_path))["pipe.jpg"]
    assert (row["status"], row["reason"]) == ("left out", "not in a class folder")


def test_photos_beside_the_class_folders_are_told_with_their_number_and_the_first_names(
    cfg: Config, own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for i, ending in enumerate(("JPG", "avif", "jfif", "HEIC", "heif", "jpe", "ppm")):
        picture(500 + i).save(own / f"stray{i}.{ending}", "PNG")
    (own / "readme.txt").write_text("no photo, which nobody misses")
    prepare(cfg, own, tmp_path)
    first = "stray0.JPG, stray1.avif, stray2.jfif, stray3.HEIC, stray4.heif"
    told = f"7 photos are in no class and were left out (not in a class folder): {first} and 2 more"
    assert told in capsys.readouterr().out
    assert told in words((tmp_path / "data.html").read_text())


def test_a_photo_that_no_row_of_the_table_names_is_told_and_those_of_classes_not_taken_are_not(
    config: MakeConfig, own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"{path.relative_to(own)},{path.parent.name}" for path in sorted(own.rglob("*.png"))]
    add(own, range(50, 60), "eel")
    rows += [f"eel/0{number}.png,eel" for number in range(51, 60)]
    (own / "labels.csv").write_text("\n".join(["path,label", *rows]))
    for name in UNREADABLE:
        (own / "dog" / name).unlink()
    table = copy.deepcopy(config("dataset=csv", "resize.size=8"))
    table.dataset.take, table.dataset.classes = {"cat": "cat", "dog": "dog"}, ["cat", "dog"]
    prepare(table, own, tmp_path)
    assert "1 photo is in no class and was left out (no row of the table names it): eel/050.png" in capsys.readouterr().out


def test_a_folder_that_cannot_be_listed_is_told_and_not_passed_over(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"the folder .*gone can't be read: No such file or directory"):
        names_below(tmp_path / "gone")
