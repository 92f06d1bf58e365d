"""Archives of every kind come out as they went in; hostile and broken ones leave nothing, inside and outside."""

import bz2
import gzip
import hashlib
import io
import lzma
import os
import random
import re
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from backports import zstd

from pipeline.config.errors import DataError
from pipeline.config.schema import Config, Fetch, SourceFile, Sources
from pipeline.dataset.fetch import fetch
from pipeline.dataset.files import is_hidden
from pipeline.dataset.unpack import folder_of, intact, unpack
from tests.dataset.archives import Files, tar_bytes, zipped
from tests.project import ROOT

PHOTOS: Files = {
    "cat/1.jpg": random.Random(1).randbytes(1_100_000),
    "cat/deep/2 ü.jpg": b"two",
    "dog/1.jpg": random.Random(2).randbytes(1000),
    "dog/empty.jpg": b"",
    "-rf": b"a name like an option",
}
LEFT_OUT: Files = {"cat/.DS_Store": b"h", "__MACOSX/cat/notes": b"h", ".git/HEAD": b"h", "cat/.hidden/3.jpg": b"h"}
PRESSED: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lambda data: lzma.compress(data, preset=0),
    "zst": lambda data: zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 1}),  # as the command does
}


@pytest.fixture
def how(cfg: Config) -> Fetch:
    return cfg.fetch


def unpacked(data: bytes, how: Fetch, folder: Path, name: str = "photos.zip") -> Files:
    """Unpack an archive; return what came out."""
    (folder / name).write_bytes(data)
    return {found: path.read_bytes() for found, path in unpack(folder / name, how).items()}


def zip_bytes(files: Files) -> bytes:
    with io.BytesIO() as stream:
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in files.items():
                archive.writestr(name, data)
        return stream.getvalue()


def everything(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Return every file, folder and link below a folder with its mode and content, but not what stands in `at work`."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if "at work" not in path.parts:
            status = path.lstat()
            found[str(path)] = (status.st_mode, path.read_bytes() if stat.S_ISREG(status.st_mode) else b"")
    return found


@pytest.fixture
def refused(how: Fetch, tmp_path: Path) -> Callable[..., str]:
    """Unpack what must not be unpacked; return why, having seen that nothing is left of it and nothing else has changed."""
    work = tmp_path / "home" / "user" / "at work"
    work.mkdir(parents=True)
    (tmp_path / "home" / "user" / "precious").write_text("mine")
    (tmp_path / "home" / "precious").write_text("ours")

    def refuse(data: bytes, name: str = "photos.zip", **limits: int) -> str:
        before = everything(tmp_path)
        with pytest.raises(DataError) as caught:
            unpacked(data, replace(how, **limits), work, name)
        assert everything(tmp_path) == before
        assert [path.name for path in work.iterdir()] == [name]
        message = str(caught.value)
        assert message.startswith(f"{name} was not unpacked: ")
        assert message.endswith(". Mend the archive, or put its files into data/own by hand")
        return message

    return refuse


@pytest.mark.parametrize("name", ["photos.zip", "no suffix"])
def test_a_zip_comes_out_as_it_went_in_without_hidden_files(name: str, how: Fetch, tmp_path: Path) -> None:
    assert unpacked(zip_bytes(PHOTOS | LEFT_OUT), how, tmp_path, name) == PHOTOS


@pytest.mark.parametrize("kind", ["", *PRESSED])
@pytest.mark.parametrize("layout", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_a_tar_comes_out_as_it_went_in_without_hidden_files(kind: str, layout: int, how: Fetch, tmp_path: Path) -> None:
    files = PHOTOS | LEFT_OUT | {f"long/{'n' * 90}/{'m' * 90}.jpg": b"long name"}
    data = PRESSED.get(kind, bytes)(tar_bytes(files, layout=layout))
    assert unpacked(data, how, tmp_path, f"photos.tar.{kind}") == {name: files[name] for name in files if name not in LEFT_OUT}


@pytest.mark.parametrize("kind", PRESSED)
@pytest.mark.parametrize("content", [PHOTOS["dog/1.jpg"], bytes(5000), b"few"])
def test_one_compressed_file_comes_out_under_its_name_without_the_suffix(kind: str, content: bytes, how: Fetch, tmp_path: Path) -> None:
    assert unpacked(PRESSED[kind](content), how, tmp_path, f"images-idx3-ubyte.{kind}") == {"images-idx3-ubyte": content}


@pytest.mark.parametrize("kind", PRESSED)
def test_several_compressed_streams_in_one_file_are_one(kind: str, how: Fetch, tmp_path: Path) -> None:
    assert unpacked(PRESSED[kind](b"one") + PRESSED[kind](b"two"), how, tmp_path, f"a.{kind}") == {"a": b"onetwo"}


def test_a_tar_of_the_folder_itself_is_fine_and_folders_without_files_are_told(
    how: Fetch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [tarfile.TarInfo(name) for name in (".", "./cat", "./empty/", "./.hidden/")]
    for folder in folders:
        folder.type = tarfile.DIRTYPE
    assert unpacked(tar_bytes({"./cat/1.jpg": b"1"}, *folders), how, tmp_path) == {"cat/1.jpg": b"1"}
    assert re.search(r"\w+ holds empty folders, which are left out: empty\n", capsys.readouterr().out)


NAMES = {
    "../../precious": r"the entry '../../precious' leads out of its folder by ..",
    "cat/../../precious": "leads out of its folder by ..",
    "../.hidden": "leads out of its folder by ..",
    "..": "leads out of its folder by ..",
    "/etc/precious": "is absolute",
    "//server/precious": "is absolute",
    "C:precious": "begins with a drive letter",
    "c:/precious": "begins with a drive letter",
    "cat\\1.jpg": "holds a backslash, which separates folders on Windows",
    "..\\..\\precious": "holds a backslash",
    "cat/\x1b[2J.jpg": r"the entry 'cat/\x1b[2J.jpg' holds a control character",
    "cat/1\n.jpg": "holds a control character",
    "cat/" + "é" * 128: "is longer than 255 bytes",
    "/".join(["n" * 200] * 6): "is longer than 1024 bytes with its folders",
}


@pytest.mark.parametrize("make", [zip_bytes, tar_bytes])
@pytest.mark.parametrize("name", NAMES)
def test_names_that_lead_elsewhere_or_nowhere_are_refused(name: str, make: Callable[[Files], bytes], refused: Callable[..., str]) -> None:
    assert NAMES[name] in refused(make({"cat/1.jpg": b"1", name: b"hostile"}))


def test_a_name_that_is_no_utf_8_is_refused(refused: Callable[..., str]) -> None:
    assert r"the entry 'cat/\udcff.jpg' is not UTF-8" in refused(tar_bytes({"cat/\udcff.jpg": b"1"}, layout=tarfile.GNU_FORMAT))


def test_a_zero_byte_in_a_name_is_refused(refused: Callable[..., str]) -> None:
    data = zip_bytes({"cat/1.jpg": b"1", "cat/2.jpg@..": b"2"}).replace(b"2.jpg@..", b"2.jpg\0..")
    assert "holds a control character" in refused(data)


TWINS = [
    ("cat/1.jpg", "cat/1.jpg"),
    ("cat/1.jpg", "cat/./1.jpg"),
    ("cat/1.jpg", "cat/1.JPG"),
    ("cat/1.jpg", "Cat/2.jpg"),
    ("stra\u00dfe.jpg", "STRASSE.jpg"),
    ("caf\u00e9.jpg", "cafe\u0301.jpg"),
    ("cat", "cat/1.jpg"),
    ("cat/1.jpg", "cat"),
]


@pytest.mark.parametrize(("first", "second"), TWINS)
@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_entries_that_some_system_takes_for_one_are_refused(kind: str, first: str, second: str, refused: Callable[..., str]) -> None:
    with io.BytesIO() as stream:
        if kind == "zip":
            with zipfile.ZipFile(stream, "w") as archive:
                archive.writestr(first, b"1")
                archive.writestr(second, b"2")
        else:
            first_tar, second_tar = (tar_bytes({name: b"1"}, layout=tarfile.GNU_FORMAT) for name in (first, second))
            stream.write(first_tar[:1024] + second_tar)
        assert "are the same name on macOS or Windows, which ignore case and how accents are encoded" in refused(stream.getvalue())


def special(kind: bytes, name: str = "cat/1.jpg", target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def chain() -> list[tarfile.TarInfo]:
    """Return the links of CVE-2025-4517: so long a path that its end is not looked at leads out of the folder."""
    step, members, path = "d" * 247, [], ""
    for letter in "abcdefghijklmnop":
        members += [special(tarfile.DIRTYPE, f"{path}{step}"), special(tarfile.SYMTYPE, f"{path}{letter}", step)]
        path += f"{letter}/"
    up = "/".join("abcdefghijklmnop") + "/" + "l" * 254
    return [*members, special(tarfile.SYMTYPE, up, "../" * 16), special(tarfile.SYMTYPE, "escape", f"{up}/../../precious")]


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ([special(tarfile.SYMTYPE, target="/etc")], "the entry 'cat/1.jpg' is a link, and only files are unpacked"),
        ([special(tarfile.SYMTYPE, target="2.jpg")], "is a link"),
        ([special(tarfile.LNKTYPE, target="../../precious")], "is a link"),
        ([special(tarfile.FIFOTYPE)], "is a device, a pipe or a socket"),
        ([special(tarfile.CHRTYPE)], "is a device, a pipe or a socket"),
        ([special(tarfile.BLKTYPE)], "is a device, a pipe or a socket"),
        ([special(b"Z")], "is a device, a pipe or a socket"),
        ([special(tarfile.SYMTYPE, "cat", "../../.."), special(tarfile.REGTYPE, "cat/precious")], "is a link"),
        (chain(), "is a link"),
    ],
)
def test_links_and_devices_of_a_tar_are_refused(members: list[tarfile.TarInfo], why: str, refused: Callable[..., str]) -> None:
    assert why in refused(tar_bytes({"dog/1.jpg": b"1"}, *members), "photos.tar")


@pytest.mark.parametrize(("mode", "why"), [(stat.S_IFLNK, "is a link"), (stat.S_IFIFO, "is a device, a pipe or a socket")])
def test_links_and_devices_of_a_zip_are_refused(mode: int, why: str, refused: Callable[..., str]) -> None:
    link = zipfile.ZipInfo("cat/1.jpg")
    link.external_attr = (mode | 0o777) << 16
    with io.BytesIO() as stream:
        with zipfile.ZipFile(stream, "w") as archive:
            archive.writestr(link, "../../precious")
        assert why in refused(stream.getvalue())


def test_a_sparse_file_is_refused(refused: Callable[..., str]) -> None:
    member = tarfile.TarInfo("cat/1.jpg")
    member.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(10**15), "GNU.sparse.name": "1.jpg"}
    member.size = 512
    a_map = b"1\n0\n0\n".ljust(512, b"\0")  # of where in a petabyte of zeros the bytes lie
    assert "is a sparse file" in refused(member.tobuf(tarfile.PAX_FORMAT) + a_map + bytes(10240), "photos.tar")


BOMB = bytes(15_000_000)


@pytest.mark.parametrize("kind", ["zip", "hidden", *PRESSED])
def test_a_bomb_is_stopped_by_what_comes_out(kind: str, refused: Callable[..., str]) -> None:
    if kind in PRESSED:
        data = PRESSED[kind](BOMB)
    else:
        data = zip_bytes({"1.bmp": BOMB}) if kind == "zip" else gzip.compress(tar_bytes({".hidden": BOMB}))
    why = "it holds more than 10000000 bytes, perhaps a bomb; raise fetch.max_bytes if you trust it"
    assert why in refused(data, f"bomb.{kind}", max_bytes=10**7)


def overlapping(count: int) -> bytes:
    """Return a zip whose listing names one stretch of bytes many times."""
    data = zip_bytes({"1": bytes(1_000_000)})
    end = data.rindex(b"PK\x05\x06")
    begin = data.index(b"PK\x01\x02")
    entry = data[begin:end]
    listing = b"".join(entry for _ in range(count))
    return data[:begin] + listing + struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, count, count, len(listing), begin, 0)


def test_a_zip_that_names_the_same_bytes_again_and_again_is_refused(refused: Callable[..., str]) -> None:
    assert "the entries '1' and '1' are the same name" in refused(overlapping(1000))


def test_too_many_files_are_refused(refused: Callable[..., str]) -> None:
    files = {f"{i}.jpg": b"" for i in range(11)}
    why = "it holds more than 10 files, perhaps a bomb; raise fetch.max_files if you trust it"
    assert why in refused(zip_bytes(files), max_files=10)
    assert why in refused(tar_bytes(files), max_files=10)


def test_an_encrypted_zip_is_refused(refused: Callable[..., str]) -> None:
    data = bytearray(zip_bytes({"cat/1.jpg": b"1"}))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    assert "the entry 'cat/1.jpg' is encrypted, and there is no password" in refused(bytes(data))


def test_a_wrong_checksum_in_a_zip_is_refused(refused: Callable[..., str]) -> None:
    with io.BytesIO() as stream:
        with zipfile.ZipFile(stream, "w") as archive:  # not compressed
            archive.writestr("cat/1.jpg", b"all is well")
        assert "it is damaged: Bad CRC-32 for file 'cat/1.jpg'" in refused(stream.getvalue().replace(b"well", b"evil"))


@pytest.mark.parametrize("size", [1, 10**9])
def test_a_zip_that_lies_about_a_files_size_is_refused(size: int, refused: Callable[..., str]) -> None:
    data = zip_bytes({"cat/1.jpg": b"1" * 5000})
    right = struct.pack("<I", 5000)
    assert data.count(right) == 2
    assert "photos.zip was not unpacked" in refused(data.replace(right, struct.pack("<I", size)))


@pytest.mark.parametrize("kind", ["zip", "tar", *PRESSED])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.99])
def test_an_archive_that_is_cut_short_is_refused(kind: str, share: float, refused: Callable[..., str]) -> None:
    data = zip_bytes(PHOTOS) if kind == "zip" else PRESSED.get(kind, bytes)(tar_bytes(PHOTOS))
    assert "it is damaged: " in refused(data[: int(len(data) * share)], f"photos.{kind}")


@pytest.mark.parametrize("block", range(4))
def test_a_tar_that_is_cut_between_two_entries_is_refused(block: int, refused: Callable[..., str]) -> None:
    data = tar_bytes({"a.jpg": b"1", "b.jpg": b"2"})
    assert "it is damaged: " in refused(data[: 512 * (block + 1)])


@pytest.mark.parametrize("place", [0, 1024, 2048])
def test_a_tar_with_a_broken_header_in_the_middle_is_refused(place: int, refused: Callable[..., str]) -> None:
    data = bytearray(tar_bytes({"a.jpg": b"1", "b.jpg": b"2", "c.jpg": b"3"}))
    data[place] ^= 1
    assert "was not unpacked: it is " in refused(bytes(data))


def test_a_second_tar_behind_the_end_of_the_first_is_not_lost_unseen(refused: Callable[..., str]) -> None:
    assert "it is damaged: bytes follow behind its end" in refused(tar_bytes({"a.jpg": b"1"}) + tar_bytes({"b.jpg": b"2"}))


def header(size: bytes, kind: bytes = tarfile.REGTYPE) -> bytes:
    """Return a tar whose one header has this size field."""
    block = bytearray(tarfile.TarInfo("1.jpg").tobuf(tarfile.GNU_FORMAT))
    block[124:136], block[156:157], block[148:156] = size, kind, b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + bytes(10240)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (header(b"\xff" * 11 + b"\x00"), "a header announces -256 bytes"),  # which leads tarfile back to where it was
        (header(b"\xff" * 10 + b"\xfe\x00"), "a header announces -512 bytes"),
        (header(b"77777777777\0", tarfile.XHDTYPE), "a header announces 8589934591 bytes"),  # of names, read into memory at once
        (header(b"77777777777\0", tarfile.GNUTYPE_LONGNAME), "a header announces 8589934591 bytes"),
        (header(b"\x80" + b"\x00" * 3 + b"\xff" * 8), "unexpected end of data"),
        (header(b"00000000000\0", tarfile.XHDTYPE)[:512] * 3000 + bytes(10240), "recursion"),
    ],
)
def test_tar_headers_that_lie_are_refused(data: bytes, why: str, refused: Callable[..., str]) -> None:
    message = refused(tar_bytes({"0.jpg": b"0"})[:1024] + data)
    assert "it is damaged: " in message
    assert why in message


@pytest.mark.parametrize(("data", "begins"), [(b"Rar!\x1a\x07\x01\0", "52617221"), (b"", "nothing"), (b"<html>", "3c68746d")])
def test_another_kind_of_file_is_refused_with_its_first_bytes(data: bytes, begins: str, refused: Callable[..., str]) -> None:
    assert f"it is no zip, tar, gz, bz2, xz or zst: it begins with {begins}" in refused(data)


@pytest.mark.parametrize("files", [{}, LEFT_OUT])
def test_an_archive_without_files_is_refused(files: Files, refused: Callable[..., str]) -> None:
    assert "it holds no files but hidden ones" in refused(zip_bytes(files))


def test_a_listing_that_promises_more_than_the_disk_can_take_is_refused_before(
    refused: Callable[..., str], how: Fetch, tmp_path: Path
) -> None:
    data = zip_bytes({f"{i}.jpg": b"1" * 5000 for i in range(1000)}).replace(struct.pack("<I", 5000), b"\xfe\xff\xff\xff")
    with pytest.raises(OSError, match=r"can't take what photos.zip holds: 4294.97 GB are needed, \d+\.\d\d GB are free"):
        unpacked(data, how, tmp_path)
    assert intact(folder_of(tmp_path / "photos.zip")) == {}


@pytest.mark.slow
def test_two_thousand_damaged_archives_are_refused_or_come_out_whole(how: Fetch, tmp_path: Path) -> None:
    dice = random.Random(0)
    small = {name: data[:200] for name, data in PHOTOS.items()}
    whole = [zip_bytes(small), tar_bytes(small), *(press(tar_bytes(small)) for press in PRESSED.values())]
    refused = 0
    for number in range(2000):
        data = bytearray(whole[number % len(whole)])
        for _ in range(dice.randint(1, 4)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        try:
            assert all(len(content) <= 200 for content in unpacked(bytes(data), how, tmp_path).values())
        except (DataError, OSError):  # the latter where a zip's listing promises more than the disk has
            refused += 1
    assert refused > 1000


@pytest.fixture
def photos(cfg: Config, tmp_path: Path) -> Config:
    """A config whose data set is one archive on disk."""
    archive = zipped(tmp_path / "photos.zip", PHOTOS | LEFT_OUT)
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    cfg.dataset.sources = Sources(
        folder=None, mirrors=[str(tmp_path)], files={"photos": SourceFile(name=archive.name, sha256=digest, unpack=True)}
    )
    return cfg


def fetched(cfg: Config, tmp_path: Path, run: str) -> Files:
    raw = tmp_path / run
    assert fetch(cfg, raw, tmp_path / "downloads", tmp_path) == len(PHOTOS)
    return {str(path.relative_to(raw)): path.read_bytes() for path in raw.rglob("*") if path.is_file()}


def test_an_archives_files_take_its_place_among_the_original_files(photos: Config, tmp_path: Path) -> None:
    assert fetched(photos, tmp_path, "raw") == PHOTOS


def test_what_was_unpacked_is_used_again_without_the_archive_and_costs_no_space(photos: Config, tmp_path: Path) -> None:
    fetched(photos, tmp_path, "first")
    (tmp_path / "photos.zip").unlink()
    [kept] = (tmp_path / "downloads").rglob("photos.zip")
    kept.unlink()
    assert fetched(photos, tmp_path, "second") == PHOTOS
    assert (tmp_path / "first" / "cat" / "1.jpg").samefile(tmp_path / "second" / "cat" / "1.jpg")


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(b"edited"), Path.unlink])
def test_a_file_that_was_changed_since_is_unpacked_anew(damage: Callable[[Path], object], photos: Config, tmp_path: Path) -> None:
    fetched(photos, tmp_path, "first")
    [kept] = (tmp_path / "downloads").rglob("cat/1.jpg")
    damage(kept)
    assert fetched(photos, tmp_path, "second") == PHOTOS


def test_an_archive_with_a_wrong_checksum_is_never_unpacked(photos: Config, tmp_path: Path) -> None:
    zipped(tmp_path / "photos.zip", {"cat/1.jpg": b"other"})
    with pytest.raises(Exception, match="the download was deleted"):
        fetch(photos, tmp_path / "raw", tmp_path / "downloads", tmp_path)
    assert not [path for path in (tmp_path / "downloads").rglob("*") if path.is_file() and path.name != ".lock"]


@pytest.mark.slow
@pytest.mark.skipif("IMAGE_DATA" not in os.environ, reason="IMAGE_DATA names no folder of real images")
@pytest.mark.parametrize(
    ("archive", "count"),
    [("cats-dogs/cats-dogs.tar.gz", 1500), ("cifar10/cifar10-images-jpg.tar.gz", 60_001), ("odd-images/odd-images.tar.gz", 56)],
)
def test_archives_of_real_images_come_out_as_tar_itself_unpacks_them(archive: str, count: int, how: Fetch, tmp_path: Path) -> None:
    original = (ROOT / os.environ["IMAGE_DATA"] / archive).resolve()
    found = unpacked(original.read_bytes(), how, tmp_path, original.name)
    with tarfile.open(original) as files:
        wanted = {member.name: data.read() for member in files if member.isfile() and (data := files.extractfile(member))}
    assert found == {str(Path(name)): data for name, data in wanted.items() if not is_hidden(Path(name))}
    assert len(found) == count
