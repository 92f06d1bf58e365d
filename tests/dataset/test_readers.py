import gzip
import shutil
from collections.abc import Callable
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import pytest

from pipeline.config.errors import ConfigError, DataError
from pipeline.dataset.readers import ALL, READERS, digits, folder, idx, read, read_idx
from tests.samples import options, write_idx, write_idx_split


@pytest.fixture
def put(tmp_path: Path) -> Callable[..., Path]:
    """Makes files of these names and returns their top folder."""

    def made(*names: str) -> Path:
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(b"image")
        return tmp_path

    return made


@pytest.mark.parametrize("name", options("dataset"))
def test_the_reader_of_every_dataset_is_there(name: str, config: Callable) -> None:
    assert config(f"dataset={name}").dataset.reader in READERS


def test_digits_are_1797_images_of_8x8_with_all_ten_classes(tmp_path: Path) -> None:
    with as_file(files("sklearn").joinpath("datasets/data/digits.csv.gz")) as carried:
        shutil.copy(carried, tmp_path)
    items = digits(tmp_path, [f"d{i}" for i in range(10)], None)
    images = np.stack([item.content for item in items])
    assert images.shape == (1797, 8, 8)
    assert (images.min(), images.max(), images.dtype) == (0, 255, np.uint8)
    assert [item.label for item in items[:3]] == ["d0", "d1", "d2"]
    assert len({item.path for item in items}) == 1797
    assert {item.part for item in items} == {ALL}
    assert items[0].content[0].tolist() == [0, 0, 80, 207, 143, 16, 0, 0]  # of 0 0 5 13 9 1 0 0, times 255/16


def test_digits_without_their_file_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="digits.csv.gz is not among the fetched files; dataset.reader=digits is for dataset=digits"):
        digits(tmp_path, None, None)


def test_idx_images_keep_their_pixels_labels_and_official_split(tmp_path: Path) -> None:
    images = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    write_idx_split(tmp_path, "train", images, [1, 0])
    write_idx_split(tmp_path, "t10k", images[:1], [0])
    items = idx(tmp_path, ["cat", "dog"], {"train": "train", "test": "t10k"})
    assert [(item.label, item.part) for item in items] == [("dog", "train"), ("cat", "train"), ("cat", "test")]
    assert items[1].path == "train-images-idx3-ubyte.gz#1"
    np.testing.assert_array_equal(items[1].content, images[1])


def test_idx_without_official_splits_and_class_names_is_one_part_with_numbers(tmp_path: Path) -> None:
    write_idx_split(tmp_path, "train", np.zeros((2, 3, 3), np.uint8), [7, 0])
    assert [(item.label, item.part) for item in idx(tmp_path, None, None)] == [("7", ALL), ("0", ALL)]


def test_a_label_without_a_class_name_is_told(tmp_path: Path) -> None:
    write_idx_split(tmp_path, "train", np.zeros((1, 3, 3), np.uint8), [2])
    with pytest.raises(DataError, match="the files hold label 2, but dataset.classes names only 2 classes"):
        idx(tmp_path, ["cat", "dog"], None)


def test_other_numbers_of_images_than_labels_are_told(tmp_path: Path) -> None:
    write_idx_split(tmp_path, "train", np.zeros((3, 2, 2), np.uint8), [0, 1])
    with pytest.raises(DataError, match="train-images-idx3-ubyte.gz holds 3 images, but its labels file 2 labels"):
        idx(tmp_path, None, None)


def test_a_missing_idx_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="t10k-images-idx3-ubyte.gz is not among the fetched files; dataset.splits must name file prefixes"):
        idx(tmp_path, None, {"train": "t10k"})


def test_an_idx_file_of_another_type_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.gz").write_bytes(gzip.compress(b"\0\0\x0d\x01" + b"\0" * 8))
    with pytest.raises(DataError, match=r"x.gz is not an IDX file of bytes: it begins with 00000d01, expected 000008\.\."):
        read_idx(tmp_path / "x.gz")


def test_an_idx_file_that_breaks_its_header_s_promise_is_told(tmp_path: Path) -> None:
    write_idx(tmp_path / "x.gz", np.zeros((2, 5), np.uint8))
    (tmp_path / "x.gz").write_bytes(gzip.compress(gzip.decompress((tmp_path / "x.gz").read_bytes())[:-1]))
    with pytest.raises(DataError, match="x.gz holds 9 values, its header promises 10"):
        read_idx(tmp_path / "x.gz")


def test_sub_folders_are_the_classes_and_images_may_lie_deeper(put: Callable[..., Path]) -> None:
    raw = put("dog/2.jpg", "dog/deep/er/3.jpg", "cat/1.jpg")
    items = folder(raw, None, None)
    assert [(item.path, item.label, item.part) for item in items] == [
        ("cat/1.jpg", "cat", ALL),
        ("dog/2.jpg", "dog", ALL),
        ("dog/deep/er/3.jpg", "dog", ALL),
    ]
    assert items[0].content == raw / "cat" / "1.jpg"


def test_official_folders_are_the_splits(put: Callable[..., Path]) -> None:
    raw = put("training_set/cat/1.jpg", "training_set/dog/1.jpg", "test_set/cat/1.jpg", "test_set/dog/2.jpg")
    items = folder(raw, ["dog", "cat"], {"train": "training_set", "test": "test_set"})
    assert {(item.path, item.label, item.part) for item in items} == {
        ("training_set/cat/1.jpg", "cat", "train"),
        ("training_set/dog/1.jpg", "dog", "train"),
        ("test_set/cat/1.jpg", "cat", "test"),
        ("test_set/dog/2.jpg", "dog", "test"),
    }


def test_splits_are_not_taken_for_classes(put: Callable[..., Path]) -> None:
    raw = put(*(f"{split}/{name}/{i}.jpg" for split in ("training_set", "test_set") for name in ("cat", "dog") for i in (1, 2)))
    with pytest.raises(
        DataError,
        match=r"the folder test_set holds no images but the folders cat, dog\. If test_set, training_set are splits, name them: "
        r"dataset\.splits='{train: training_set, test: test_set}'; if not, put the images right below their class",
    ):
        folder(raw, None, None)


@pytest.mark.parametrize(
    ("names", "classes", "splits", "message"),
    [
        (["a/1.jpg"], None, {"train": "b"}, "dataset.splits.train names b, but there is no such folder among the images"),
        (["1.jpg"], None, None, "holds no class folders; put the images of each class into a sub-folder of its own"),
        (["x/a/1", "x/b/1", "y/a/1"], None, {"train": "x", "test": "y"}, "y has the classes a, another split has a, b"),
        (["a/1", "b/1"], ["a", "c"], None, "dataset.classes names a, c, but the sub-folders are a, b"),
    ],
)
def test_folders_that_do_not_fit_are_told(
    names: list[str], classes: list[str] | None, splits: dict[str, str] | None, message: str, put: Callable[..., Path]
) -> None:
    with pytest.raises(DataError, match=message):
        folder(put(*names), classes, splits)


def test_an_empty_class_folder_is_told(put: Callable[..., Path]) -> None:
    raw = put("cat/1.jpg")
    (raw / "dog").mkdir()
    with pytest.raises(DataError, match="class dog has no images: the folder dog is empty; fill it or remove it"):
        folder(raw, None, None)


def test_an_unknown_reader_is_told_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="dataset.reader is 'csv', expected one of digits, idx, folder"):
        read("csv", tmp_path, None, None)
