"""The photos that a command is given: files, folders, patterns, archives, standard input; what is refused is among them."""

import io
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path, PurePath

import pytest

from pipeline.config.schema import Fetch
from pipeline.dataset.files import Refused
from pipeline.dataset.photos import Photo, labels_of, photos_of
from tests.conftest import MakeConfig
from tests.samples import put_files

CLASSES = ["cat", "dog"]


@pytest.fixture
def limits(config: MakeConfig) -> Fetch:
    return config().fetch


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    (tmp_path / "scratch").mkdir()
    return tmp_path / "scratch"


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the command is typed."""
    (tmp_path / "own").mkdir()
    monkeypatch.chdir(tmp_path / "own")
    return tmp_path / "own"


def zipped(path: Path, *names: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, name)


def found(limits: Fetch, scratch: Path, *words: str) -> list[Photo]:
    return list(photos_of(list(words), CLASSES, lambda: limits, scratch))


def reason(photo: Photo) -> str:
    with pytest.raises(Refused) as refused:
        photo.read()
    return str(refused.value)


def test_the_photos_of_a_zip_and_a_tar_are_named_below_it_and_read_from_scratch(own: Path, limits: Fetch, scratch: Path) -> None:
    zipped(own / "photos.zip", "b.jpg", "in/a.jpg", ".hidden.jpg", "__MACOSX/b.jpg")
    with tarfile.open(own / "photos.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("c.jpg"), io.BytesIO())
    photos = found(limits, scratch, "photos.zip", "photos.tar")
    assert [str(photo.path) for photo in photos] == ["photos.zip/b.jpg", "photos.zip/in/a.jpg", "photos.tar/c.jpg"]
    assert [photo.read() for photo in photos] == [b"b.jpg", b"in/a.jpg", b""]
    assert sorted(path.name for path in own.iterdir()) == ["photos.tar", "photos.zip"]


def test_an_archive_is_unpacked_under_the_limits_and_a_refused_one_is_one_answer(own: Path, limits: Fetch, scratch: Path) -> None:
    zipped(own / "many.zip", "1.jpg", "2.jpg", "3.jpg")
    zipped(own / "climbs.zip", "../out.jpg")
    (own / "torn.zip").write_bytes((own / "many.zip").read_bytes()[:60])
    many, climbs, torn = found(replace(limits, max_files=2), scratch, "many.zip", "climbs.zip", "torn.zip")
    assert (
        reason(many) == "this archive was not unpacked: it holds more than 2 files, perhaps a bomb; raise fetch.max_files if you trust it"
    )
    assert reason(climbs) == "this archive was not unpacked: the entry '../out.jpg' leads out of its folder by .."
    assert reason(torn).startswith("this archive was not unpacked: it is damaged: ")
    assert not list(own.parent.rglob("out.jpg"))


def test_what_unpacking_says_does_not_mix_with_the_answers(
    own: Path, limits: Fetch, scratch: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    zipped(own / "photos.zip", "a.jpg", "empty/")
    found(limits, scratch, "photos.zip")
    out, notes = capsys.readouterr()
    assert out == ""
    assert "photos.zip holds empty folders, which are left out: empty" in notes


def test_archives_within_folders_stay_as_they_are(own: Path, limits: Fetch, scratch: Path) -> None:
    put_files(own, "folder/a.jpg")
    zipped(own / "folder" / "b.zip", "b.jpg")
    assert [str(photo.path) for photo in found(limits, scratch, "folder")] == ["folder/a.jpg", "folder/b.zip"]


def test_a_pattern_that_the_shell_has_left_finds_files_but_hidden_ones(own: Path, limits: Fetch, scratch: Path) -> None:
    put_files(own, "b/1.jpg", "a/2.jpg", "a/.3.jpg", "a/4.png", "odd[1].jpg")
    for pattern, expected in (
        ("*/*.jpg", ["a/2.jpg", "b/1.jpg"]),
        ("**", ["a/2.jpg", "a/4.png", "b/1.jpg", "odd[1].jpg"]),
        ("a*", ["a/2.jpg", "a/4.png"]),  # a folder
        ("odd[1].jpg", ["odd[1].jpg"]),  # a file of that name
    ):
        assert [str(photo.path) for photo in found(limits, scratch, pattern)] == expected
    [none] = found(limits, scratch, "*.webp")
    assert (str(none.path), reason(none)) == ("*.webp", "no file matches this pattern")


def given(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))


def test_standard_input_is_a_photo_or_an_archive(own: Path, limits: Fetch, scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, b"photo")
    [photo] = found(limits, scratch, "-")
    assert (str(photo.path), photo.read()) == ("-", b"photo")
    zipped(own / "photos.zip", "cat/a.jpg")
    given(monkeypatch, (own / "photos.zip").read_bytes())
    [photo] = found(limits, scratch, "-")
    assert (str(photo.path), photo.read(), photo.actual) == ("-/cat/a.jpg", b"cat/a.jpg", "cat")


def test_more_on_standard_input_than_any_photo_has_is_refused(limits: Fetch, scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.dataset.photos.LARGEST", 2_000_000)
    given(monkeypatch, b"x" * 4_000_000)
    [photo] = found(limits, scratch, "-")
    assert reason(photo) == "standard input has more than 0.00 GB; give the file's name instead"
    assert (scratch / "stdin").stat().st_size <= 2_000_000


def test_a_folder_called_as_a_class_tells_the_class_of_its_photos(own: Path, limits: Fetch, scratch: Path) -> None:
    put_files(own, "test/cat/1.jpg", "test/cat/deeper/2.jpg", "test/fox/3.jpg", "test/4.jpg", "test/deeper/dog/5.jpg")
    by_path = {str(photo.path): photo.actual for photo in found(limits, scratch, "test")}
    assert by_path == {
        "test/4.jpg": None,
        "test/cat/1.jpg": "cat",
        "test/cat/deeper/2.jpg": "cat",
        "test/deeper/dog/5.jpg": None,
        "test/fox/3.jpg": None,
    }
    assert [photo.actual for photo in found(limits, scratch, "test/cat")] == [None, None]


def test_a_folder_around_all_others_does_not_count() -> None:
    def labels(*names: str) -> list[str | None]:
        return labels_of([PurePath(name) for name in names], CLASSES)

    assert labels("all/test/cat/1.jpg", "all/test/dog/1.jpg") == ["cat", "dog"]
    assert labels("cat/1.jpg", "cat/2.jpg") == ["cat", "cat"]
    assert labels("cat/dog/1.jpg") == ["cat"]  # a class's folder is none around others
    assert labels("all/1.jpg", "all/2.jpg") == [None, None]
    assert labels("cat") == [None]  # a file
    assert labels() == []
