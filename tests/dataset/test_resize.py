import copy
import csv
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.config.errors import DataError
from pipeline.config.schema import Config
from pipeline.config.splits import ALL
from pipeline.dataset import prepare as module
from pipeline.dataset.manifest import Manifest
from pipeline.dataset.prepare import Settings, record_and_pixels
from pipeline.dataset.records import File, Sample
from pipeline.dataset.resize import resize
from tests.samples import colour, encoded, write_idx_split

# file name -> bytes; what can be read on the left, and why not on the right
GOOD = {
    "gray.png": encoded(Image.new("L", (20, 10), 90), "PNG"),
    "cmyk.jpg": encoded(Image.new("CMYK", (10, 20), (0, 90, 90, 0)), "JPEG"),
    "palette.png": encoded(Image.new("RGBA", (9, 9), (0, 200, 0, 90)).convert("P"), "PNG"),
    "turned.jpg": encoded(colour(30, 10), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"),
    "wrong_extension.jpg": encoded(colour(12, 12), "PNG"),
    "deep.png": encoded(Image.new("I;16", (8, 8), 40_000), "PNG"),
    "no_extension": encoded(colour(12, 13), "BMP"),
}
BAD = {
    "cut.jpg": (encoded(colour(40, 40), "JPEG")[:400], "damaged: "),
    "notes.txt": (b"buy milk", "not an image"),
    "page.jpg": (b"<html>404</html>", "a web page, not an image"),
    "zero.png": (b"", "the file is empty"),
}


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty photos of two classes, odd ones that can be used, and files that can't."""
    top = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (top / name).mkdir()
        for i in range(20):
            pixels = rng.integers(0, 256, (*rng.integers(10, 30, 2), 3), dtype=np.uint8)
            (top / name / f"{i:02}.png").write_bytes(encoded(Image.fromarray(pixels), "PNG"))
    for name, data in GOOD.items():
        (top / "cat" / name).write_bytes(data)
    for name, (data, _) in BAD.items():
        (top / "dog" / name).write_bytes(data)
    return top


@pytest.fixture(scope="module")
def photos(config: Callable[..., Config]) -> Config:
    cfg = config("dataset=folder", "resize.size=8", "resize.max_refused=0.2")
    cfg.dataset.split.validation = cfg.dataset.split.test = 0.3
    return cfg


@pytest.fixture(scope="module")
def resized(raw: Path, photos: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("resized")
    resize_into(folder, photos, raw)
    return folder


def resize_into(folder: Path, cfg: Config, raw: Path) -> Manifest:
    folder.mkdir(exist_ok=True)
    return resize(cfg, raw, folder, folder / "data.html", folder.parent / "chunks")


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "images.csv").open() as stream:
        return list(csv.DictReader(stream))


def test_every_file_has_a_row_and_every_refused_one_a_reason(raw: Path, resized: Path) -> None:
    rows = {row["path"]: row for row in table(resized)}
    assert set(rows) == {str(path.relative_to(raw)) for path in raw.rglob("*") if path.is_file()}
    refused = {path: row["reason"] for path, row in rows.items() if row["status"] == "refused"}
    assert set(refused) == {f"dog/{name}" for name in BAD}
    for name, (_, reason) in BAD.items():
        assert refused[f"dog/{name}"].startswith(reason)
    assert all(row["status"] == "used" and not row["reason"] and row["split"] for path, row in rows.items() if path not in refused)


def test_a_row_holds_the_size_of_the_upright_source_and_its_class(resized: Path) -> None:
    rows = {row["path"]: row for row in table(resized)}
    assert (rows["cat/gray.png"]["width"], rows["cat/gray.png"]["height"]) == ("20", "10")
    assert (rows["cat/turned.jpg"]["width"], rows["cat/turned.jpg"]["height"]) == ("10", "30")
    assert rows["cat/turned.jpg"]["class"] == "cat"


def test_rows_and_packed_images_stand_in_the_same_order(raw: Path, photos: Config, resized: Path) -> None:
    for split in ("train", "validation", "test"):
        rows = [row for row in table(resized) if row["split"] == split]
        images, labels = np.load(resized / f"{split}.npy"), np.load(resized / f"{split}_labels.npy")
        assert [row["class"] for row in rows] == [["cat", "dog"][label] for label in labels]
        for row, image in zip(rows, images, strict=True):
            np.testing.assert_array_equal(
                record_and_pixels(Sample("", "cat", ALL, File(raw, row["path"])), Settings(photos.decode, 3, 8, "stretch"))[1], image
            )


def test_the_manifest_tells_what_was_written(resized: Path, photos: Config) -> None:
    manifest = Manifest.read(resized)
    assert manifest.classes == ["cat", "dog"]
    assert (manifest.image_shape, manifest.method, manifest.refused) == ((8, 8, 3), "stretch", len(BAD))
    images = {split: np.load(resized / f"{split}.npy") for split in manifest.counts}
    assert {split: manifest.images(split) for split in images} == {split: len(array) for split, array in images.items()}
    assert sum(map(len, images.values())) == 40 + len(GOOD)
    np.testing.assert_allclose(manifest.mean, (images["train"] / 255).mean(axis=(0, 1, 2)), atol=1e-6)
    np.testing.assert_allclose(manifest.std, (images["train"] / 255).std(axis=(0, 1, 2)), atol=1e-6)
    manifest.require(photos)


@pytest.mark.parametrize("cores", [1, 3])
def test_the_result_is_the_same_whatever_the_number_of_processes(
    cores: int, raw: Path, photos: Config, resized: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    monkeypatch.setattr(module, "CHUNK", 4)
    monkeypatch.setattr(module, "FEW", 0)
    again = tmp_path / "prepared"
    resize_into(again, photos, raw)
    assert sorted(path.name for path in again.iterdir()) == sorted(path.name for path in resized.iterdir())
    for path in resized.iterdir():
        assert (again / path.name).read_bytes() == path.read_bytes(), path.name


def test_too_many_unusable_files_stop_the_stage_and_the_first_is_named(raw: Path, photos: Config, tmp_path: Path) -> None:
    strict = copy.deepcopy(photos)
    strict.resize.max_refused = 0.05
    with pytest.raises(
        DataError,
        match=r"4 of 51 files can't be used, more than resize.max_refused=0.05 allows; the first is dog/cut.jpg: damaged: .*raise",
    ):
        resize_into(tmp_path, strict, raw)
    assert [row["path"] for row in table(tmp_path) if row["reason"]] == sorted(f"dog/{name}" for name in BAD)
    assert not (tmp_path / "manifest.json").exists()


@pytest.fixture
def packed_raw(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    write_idx_split(tmp_path / "raw", "train", rng.integers(0, 256, (60, 6, 6), dtype=np.uint8), [0, 1, 2] * 20)
    return tmp_path / "raw"


@pytest.mark.parametrize("channels", [1, 3])
def test_packed_gray_images_have_the_channels_that_the_config_asks_for(
    channels: int, cfg: Config, packed_raw: Path, tmp_path: Path
) -> None:
    cfg.dataset.splits, cfg.dataset.channels = None, channels
    cfg.dataset.split.validation = cfg.dataset.split.test = 0.3
    assert resize_into(tmp_path, cfg, packed_raw).image_shape == (8, 8, channels)
    images = np.load(tmp_path / "train.npy")
    assert (images == images[..., :1]).all()
    assert images.std() > 40


@pytest.mark.parametrize(("colour", "luma"), [((255, 0, 0), 76), ((0, 255, 0), 150), ((0, 0, 255), 29)])  # ITU-R 601
def test_packed_colours_become_gray_by_how_bright_the_eye_sees_them(colour: tuple[int, int, int], luma: int, photos: Config) -> None:
    packed = Sample("", "cat", ALL, np.full((8, 8, 3), colour, np.uint8))
    record, gray = record_and_pixels(packed, Settings(photos.decode, 1, 8, "stretch"))
    coloured, _ = record_and_pixels(packed, Settings(photos.decode, 3, 8, "stretch"))
    for pixels in (gray, record["signature"], coloured["signature"]):
        np.testing.assert_array_equal(pixels, np.full_like(pixels, luma))


def test_the_last_third_of_an_unshuffled_list_is_no_validation_split(raw: Path, config: Callable[..., Config], tmp_path: Path) -> None:
    """As a tutorial's Keras network has it: first all cats, then all dogs, `validation_split=0.3`, so it is judged on dogs alone."""
    photos = [f"{name}/{i:02}.png" for name in ("cat", "dog") for i in range(20)]
    rows = [f"{photo},{photo[:3]},{'train' if i < 0.7 * len(photos) else 'validation'}" for i, photo in enumerate(photos)]
    (tmp_path / "raw").mkdir()
    for name in ("cat", "dog"):
        (tmp_path / "raw" / name).symlink_to(raw / name)
    (tmp_path / "raw" / "labels.csv").write_text("\n".join(["path,label,split", *rows]))
    with pytest.raises(DataError, match=r"class cat has no images in the validation split .* of a list sorted by class: shuffle them"):
        resize_into(tmp_path / "prepared", config("dataset=csv", "resize.size=8", "resize.max_refused=0.9"), tmp_path / "raw")


def test_classes_are_sorted_whichever_of_them_comes_first(raw: Path, config: Callable[..., Config], tmp_path: Path) -> None:
    photos = [f"{name}/{i:02}.png" for name in ("dog", "cat") for i in range(20)]
    (tmp_path / "raw").mkdir()
    for name in ("cat", "dog"):
        (tmp_path / "raw" / name).symlink_to(raw / name)
    (tmp_path / "raw" / "labels.csv").write_text("\n".join(["path,label", *(f"{photo},{photo[:3]}" for photo in photos)]))
    manifest = resize_into(tmp_path / "prepared", config("dataset=csv", "resize.size=8", "resize.max_refused=0.9"), tmp_path / "raw")
    assert manifest.classes == ["cat", "dog"]
    first = next(row for row in table(tmp_path / "prepared") if row["split"] == "train")
    assert (first["class"], np.load(tmp_path / "prepared" / "train_labels.npy")[0]) == ("dog", 1)


def test_a_class_folder_that_is_no_utf_8_is_a_class(config: Callable[..., Config], tmp_path: Path) -> None:
    for number in range(6):
        path = tmp_path / "raw" / ("cat", os.fsdecode(b"h\xfctte"))[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        colour(9, 9, (40 * number, 0, 255 - 40 * number)).save(path)
    (tmp_path / "prepared").mkdir()
    cfg = config("dataset=folder", "resize.size=8", "dataset.twins.across=keep")
    manifest = resize(cfg, tmp_path / "raw", tmp_path / "prepared", tmp_path / "data.html", tmp_path / "chunks")
    assert Manifest.read(tmp_path / "prepared").classes == manifest.classes == ["cat", os.fsdecode(b"h\xfctte")]
