import hashlib
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest

from pipeline.config.errors import ConfigError, DataError, NetworkError
from pipeline.config.schema import Config, SourceFile, Sources
from pipeline.config.secrets import without_credentials
from pipeline.dataset.fetch import fetch
from tests.dataset.archives import zipped
from tests.dataset.mirrors import CONTENT, OTHER, Mirrors

SHA256 = hashlib.sha256(CONTENT).hexdigest()
SECRET = "s3cret"


@pytest.fixture
def cfg(cfg: Config) -> Config:
    """A config that loses no time between attempts."""
    cfg.fetch = replace(cfg.fetch, pause=0.01, timeout=5)
    return cfg


def asking(cfg: Config, *mirrors: str, **changes: object) -> Config:
    """Return the config with one source file."""
    file = replace(SourceFile(name="images.gz", sha256=SHA256), **changes)
    cfg.dataset.sources = Sources(folder=None, mirrors=list(mirrors), files={"images": file})
    return cfg


def left_in(folder: Path) -> list[str]:
    """Names of the files below a folder, locks excepted."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and path.name != ".lock")


def test_a_good_file_arrives_under_its_own_name(cfg: Config, mirrors: Mirrors, raw: Path, downloads: Path, tmp_path: Path) -> None:
    assert fetch(asking(cfg, mirrors["good"]), raw, downloads, tmp_path) == 1
    assert left_in(raw) == left_in(downloads) == ["images.gz"]
    assert (raw / "images.gz").read_bytes() == CONTENT


def test_kept_downloads_are_used_again_without_asking(cfg: Config, mirrors: Mirrors, raw: Path, downloads: Path, tmp_path: Path) -> None:
    fetch(asking(cfg, mirrors["good"]), raw, downloads, tmp_path)
    fetch(asking(cfg, "http://127.0.0.1:9/gone"), tmp_path / "second", downloads, tmp_path)
    assert (tmp_path / "second" / "images.gz").read_bytes() == CONTENT
    assert mirrors.asked == ["good"]


def test_a_damaged_kept_download_is_fetched_anew(cfg: Config, mirrors: Mirrors, raw: Path, downloads: Path, tmp_path: Path) -> None:
    fetch(asking(cfg, mirrors["good"]), raw, downloads, tmp_path)
    [kept] = downloads.rglob("images.gz")
    kept.write_bytes(b"damaged")
    fetch(asking(cfg, mirrors["good"]), raw, downloads, tmp_path)
    assert (raw / "images.gz").read_bytes() == CONTENT
    assert mirrors.asked == ["good", "good"]


def test_a_file_may_have_its_own_url(cfg: Config, mirrors: Mirrors, raw: Path, downloads: Path, tmp_path: Path) -> None:
    asking(cfg, mirrors["absent"])
    other = SourceFile(name="labels/other.bin", sha256=hashlib.sha256(OTHER).hexdigest(), url=f"{mirrors['wrong']}/any?name=1")
    cfg.dataset.sources.files = {"a": replace(cfg.dataset.sources.files["images"], url=f"{mirrors['good']}/elsewhere"), "b": other}
    assert fetch(cfg, raw, downloads, tmp_path) == 2
    assert (raw / "images.gz").read_bytes() == CONTENT
    assert (raw / "labels" / "other.bin").read_bytes() == OTHER
    assert mirrors.asked == ["good", "wrong"]


def test_a_name_may_have_spaces_and_signs(cfg: Config, mirrors: Mirrors, raw: Path, downloads: Path, tmp_path: Path) -> None:
    fetch(asking(cfg, mirrors["good"], name="my photos #1 [é]?.gz"), raw, downloads, tmp_path)
    assert mirrors.paths == ["/good/my%20photos%20%231%20%5B%C3%A9%5D%3F.gz"]


def test_credentials_in_a_url_are_sent_and_never_shown(
    cfg: Config, mirrors: Mirrors, raw: Path, downloads: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fetch(asking(cfg, mirrors["locked"].replace("//", f"//me:{SECRET}@")), raw, downloads, tmp_path)
    assert (raw / "images.gz").read_bytes() == CONTENT
    shown = capsys.readouterr()
    assert f"{mirrors['locked']}/images.gz" in shown.out
    assert SECRET not in shown.out + shown.err


@pytest.mark.parametrize(
    "url", ["http://me:{}@127.0.0.1:9/x", "http://me:{}@nowhere.invalid/x", "ftp://me:{}@host/x", "http://h/x?token={}"]
)
def test_credentials_do_not_stand_in_errors(url: str, cfg: Config, mirrors: Mirrors, raw: Path, downloads: Path, tmp_path: Path) -> None:
    with pytest.raises((NetworkError, ConfigError)) as caught:
        fetch(asking(cfg, url.format(SECRET)), raw, downloads, tmp_path)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("way", ["loop", "to-a-file", "to-ftp"])
def test_what_a_server_redirects_to_is_shown_without_its_secrets(
    way: str, cfg: Config, mirrors: Mirrors, raw: Path, downloads: Path, tmp_path: Path
) -> None:
    with pytest.raises(NetworkError, match="redirects") as caught:
        fetch(asking(cfg, mirrors[way]), raw, downloads, tmp_path)
    assert SECRET not in str(caught.value)


def test_shown_urls_have_neither_user_nor_query() -> None:
    assert without_credentials("https://me:pass@host:8/a/b?token=1") == "https://host:8/a/b"


@pytest.mark.parametrize("name", ["../images.gz", "a/../../images.gz", "/etc/images.gz"])
def test_names_that_leave_the_folder_are_refused(
    name: str, cfg: Config, mirrors: Mirrors, raw: Path, downloads: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"dataset\.sources\.files: the name .* leaves its folder; give a plain file name"):
        fetch(asking(cfg, mirrors["good"], name=name), raw, downloads, tmp_path)
    assert mirrors.asked == left_in(tmp_path) == []


@pytest.mark.parametrize("url", ["ftp://host/folder", "folder/on/disk", "javascript:x"])
def test_other_schemes_are_refused(url: str, cfg: Config, raw: Path, downloads: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"dataset\.sources\.mirrors: .* must begin with https, http, file, package, s3 or gs, or be a path"
    ):
        fetch(asking(cfg, url), raw, downloads, tmp_path)


def test_a_file_of_an_installed_package_is_a_source(cfg: Config, raw: Path, downloads: Path, tmp_path: Path) -> None:
    carried = files("sklearn").joinpath("datasets/data/digits.csv.gz").read_bytes()
    asking(cfg, "package://sklearn/datasets/data", name="digits.csv.gz", sha256=hashlib.sha256(carried).hexdigest())
    fetch(cfg, raw, downloads, tmp_path)
    assert (raw / "digits.csv.gz").read_bytes() == carried


@pytest.mark.parametrize("url", ["package://sklearn/nowhere", "package://no_such_package/data", "./nowhere", "file:///nowhere"])
def test_a_place_of_this_machine_without_the_file_is_told(url: str, cfg: Config, raw: Path, downloads: Path, tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match=rf"{url}/images.gz does not exist: .*No (such file|module)"):
        fetch(asking(cfg, url), raw, downloads, tmp_path)


@pytest.mark.parametrize("way", ["as_uri", "__str__", "relative"])
def test_a_folder_on_disk_is_a_source(way: str, cfg: Config, raw: Path, downloads: Path, tmp_path: Path) -> None:
    folder = tmp_path / "my #1 photos"
    folder.mkdir()
    (folder / "a b.gz").write_bytes(CONTENT)
    url = f"./{folder.name}" if way == "relative" else getattr(folder, way)()
    fetch(asking(cfg, url, name="a b.gz"), raw, downloads, tmp_path)
    assert (raw / "a b.gz").read_bytes() == CONTENT


def test_the_room_that_is_needed_is_said_before_anything_is_fetched(
    cfg: Config, mirrors: Mirrors, raw: Path, downloads: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = zipped(tmp_path / "photos.zip", {"cat/1.jpg": CONTENT})
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    size = archive.stat().st_size
    fetch(asking(cfg, str(tmp_path), name="photos.zip", sha256=digest, bytes=size, unpack=True), raw, downloads, tmp_path)
    first, *_ = capsys.readouterr().out.splitlines()
    assert first.startswith("0.01 GB to fetch, 0.01 GB of disk for it at least; ")
    next(downloads.rglob("photos.zip")).unlink()  # what it holds is there
    fetch(cfg, raw, downloads, tmp_path)
    assert "to fetch" not in capsys.readouterr().out


@pytest.mark.parametrize("unpack", [False, True])
def test_too_little_room_is_refused_with_the_figures_before_anything_is_asked(
    unpack: bool, cfg: Config, mirrors: Mirrors, raw: Path, downloads: Path, tmp_path: Path
) -> None:
    with pytest.raises(OSError, match=rf"can't take images.gz: {1 + unpack}000000.00 GB are needed, \d+\.\d\d GB are free") as caught:
        fetch(asking(cfg, mirrors["good"], bytes=10**15, unpack=unpack), raw, downloads, tmp_path)
    assert caught.value.errno == 28
    assert mirrors.asked == []


def test_two_archives_with_files_of_one_name_are_told_apart_by_folders(cfg: Config, raw: Path, downloads: Path, tmp_path: Path) -> None:
    asking(cfg, str(tmp_path))
    for name, text in (("train", b"t"), ("test", b"e")):
        archive = zipped(tmp_path / f"{name}.zip", {"cat/1.jpg": text})
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        cfg.dataset.sources.files[name] = SourceFile(name=f"{name}.zip", sha256=digest, unpack=True, url=str(archive))
    del cfg.dataset.sources.files["images"]
    with pytest.raises(DataError, match="train.zip and test.zip both hold cat/1.jpg; give one of them a folder: name: other/test.zip"):
        fetch(cfg, raw, downloads, tmp_path)
    cfg.dataset.sources.files["test"].name = "other/test.zip"
    assert fetch(cfg, raw, downloads, tmp_path) == 2
    assert [(raw / name).read_bytes() for name in ("cat/1.jpg", "other/cat/1.jpg")] == [b"t", b"e"]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A project with photos of two classes."""
    for name in ("cat/1.jpg", "cat/deep/2.jpg", "dog/1.jpg"):
        (tmp_path / "own" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "own" / name).write_text(name)
    return tmp_path / "own"


@pytest.fixture
def own_photos(cfg: Config) -> Config:
    cfg.dataset.sources = Sources(folder="own", mirrors=[], files={})
    cfg.dataset.reader = "folder"
    return cfg


def test_a_folder_is_taken_as_it_is_without_hidden_files(own: Path, own_photos: Config, raw: Path, downloads: Path, tmp_path: Path) -> None:
    (own / "cat" / ".DS_Store").write_text("hidden")
    (own / ".git").mkdir()
    (own / ".git" / "HEAD").write_text("hidden")
    (own / "__MACOSX" / "cat").mkdir(parents=True)
    (own / "__MACOSX" / "cat" / "notes").write_text("of macOS")
    (own / "cat" / "Icon\r").write_text("of macOS")
    assert fetch(own_photos, raw, downloads, tmp_path) == 3
    found = {str(path.relative_to(raw)): path.read_text() for path in raw.rglob("*") if path.is_file()}
    assert found == {name: name for name in ("cat/1.jpg", "cat/deep/2.jpg", "dog/1.jpg")}


def test_a_linked_folder_is_followed_and_costs_no_space(own: Path, own_photos: Config, raw: Path, downloads: Path, tmp_path: Path) -> None:
    own.rename(tmp_path / "elsewhere")
    own.symlink_to(tmp_path / "elsewhere")
    fetch(own_photos, raw, downloads, tmp_path)
    assert (raw / "dog" / "1.jpg").samefile(tmp_path / "elsewhere" / "dog" / "1.jpg")


@pytest.mark.parametrize("hidden", [None, ".gitkeep"])
def test_an_empty_class_folder_is_refused(
    hidden: str | None, own: Path, own_photos: Config, raw: Path, downloads: Path, tmp_path: Path
) -> None:
    (own / "bird").mkdir()
    if hidden:
        (own / "bird" / hidden).touch()
    with pytest.raises(DataError, match="own/bird is empty, and a class needs images; fill the folder or remove it"):
        fetch(own_photos, raw, downloads, tmp_path)
    assert not raw.exists()


def test_an_empty_hidden_folder_does_not_matter(own: Path, own_photos: Config, raw: Path, downloads: Path, tmp_path: Path) -> None:
    (own / "cat" / ".cache" / "empty").mkdir(parents=True)
    assert fetch(own_photos, raw, downloads, tmp_path) == 3


def test_a_missing_folder_is_told_with_what_to_put_there(own_photos: Config, raw: Path, downloads: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="own does not exist; make it and put one sub-folder of images per class into it"):
        fetch(own_photos, raw, downloads, tmp_path)


@pytest.mark.parametrize("reader", ["csv", "parquet"])
def test_where_a_table_names_the_photos_an_empty_folder_does_not_matter(
    reader: str, own: Path, own_photos: Config, raw: Path, downloads: Path, tmp_path: Path
) -> None:
    (own / "later").mkdir()
    own_photos.dataset.reader = reader
    assert fetch(own_photos, raw, downloads, tmp_path) == 3


@pytest.mark.parametrize(
    ("reader", "wanted"),
    [
        ("folder", "one sub-folder of images per class"),
        ("csv", "the images and a table of them, labels.csv,"),
        ("parquet", "its .parquet files"),
    ],
)
def test_what_is_missing_is_what_the_reader_wants(
    reader: str, wanted: str, own_photos: Config, raw: Path, downloads: Path, tmp_path: Path
) -> None:
    own_photos.dataset.reader = reader
    with pytest.raises(DataError, match=rf"^own does not exist; make it and put {wanted} into it$"):
        fetch(own_photos, raw, downloads, tmp_path)
    (tmp_path / "own").mkdir()
    with pytest.raises(DataError, match=rf"^own holds no files; put {wanted} into it, or choose another dataset$"):
        fetch(own_photos, raw, downloads, tmp_path)


def test_a_folder_without_files_is_told(own_photos: Config, raw: Path, downloads: Path, tmp_path: Path) -> None:
    (tmp_path / "own" / "cat").mkdir(parents=True)
    with pytest.raises(DataError, match="own holds no files; .*or choose another dataset"):
        fetch(own_photos, raw, downloads, tmp_path)
