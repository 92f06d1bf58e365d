import gzip
from pathlib import Path

import numpy as np
import pytest

from pipeline.config.errors import DataError
from pipeline.config.splits import ALL
from pipeline.dataset.formats.arrays import idx, read_idx
from tests.samples import data_set, write_idx, write_idx_split


def test_images_keep_their_pixels_labels_and_official_split(tmp_path: Path) -> None:
    images = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    write_idx_split(tmp_path, "train", images, [1, 0])
    write_idx_split(tmp_path, "t10k", images[:1], [0])
    samples = idx(tmp_path, data_set(classes=["cat", "dog"], splits={"train": "train", "test": "t10k"}))
    assert [(sample.label, sample.part) for sample in samples] == [("dog", "train"), ("cat", "train"), ("cat", "test")]
    assert samples[1].path == "train-images-idx3-ubyte.gz#1"
    np.testing.assert_array_equal(samples[1].content, images[1])


def test_unpacked_files_give_the_same_images(tmp_path: Path) -> None:
    images = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    write_idx_split(tmp_path / "packed", "train", images, [1, 0])
    for path in (tmp_path / "packed").iterdir():
        plain = tmp_path / "plain" / path.stem
        plain.parent.mkdir(exist_ok=True)
        plain.write_bytes(gzip.decompress(path.read_bytes()))
    packed, plain = idx(tmp_path / "packed", data_set()), idx(tmp_path / "plain", data_set())
    assert [sample.path for sample in plain] == ["train-images-idx3-ubyte#0", "train-images-idx3-ubyte#1"]
    for one, other in zip(packed, plain, strict=True):
        assert one.label == other.label
        np.testing.assert_array_equal(one.content, other.content)


def test_without_official_splits_and_class_names_all_is_one_part_with_numbers(tmp_path: Path) -> None:
    write_idx_split(tmp_path, "train", np.zeros((2, 3, 3), np.uint8), [7, 0])
    assert [(sample.label, sample.part) for sample in idx(tmp_path, data_set())] == [("7", ALL), ("0", ALL)]


def test_a_label_without_a_class_name_is_told_with_its_place(tmp_path: Path) -> None:
    write_idx_split(tmp_path, "train", np.zeros((2, 3, 3), np.uint8), [0, 2])
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz#1 has label 2, but dataset\.classes names only 2 classes, 0 to 1"):
        idx(tmp_path, data_set(classes=["cat", "dog"]))


def test_other_numbers_of_images_than_labels_are_told(tmp_path: Path) -> None:
    write_idx_split(tmp_path, "train", np.zeros((3, 2, 2), np.uint8), [0, 1])
    with pytest.raises(DataError, match="train-images-idx3-ubyte.gz holds 3 images, but its labels file 2 labels"):
        idx(tmp_path, data_set())


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    message = (
        "neither t10k-images-idx3-ubyte.gz nor t10k-images-idx3-ubyte is among the fetched files; dataset.splits must name file prefixes"
    )
    with pytest.raises(DataError, match=message):
        idx(tmp_path, data_set(splits={"train": "t10k"}))


def header(*sides: int, kind: int = 8) -> bytes:
    return bytes([0, 0, kind, len(sides)]) + b"".join(side.to_bytes(4, "big") for side in sides)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            header(2, kind=0x0D),
            "x.gz is not an IDX file of bytes in 1 dimension: its header is 00000d0100000002, expected 00000801",
        ),
        (b"", "x.gz is not an IDX file of bytes in 1 dimension: its header is empty, expected 00000801"),
        (b"<html>", "x.gz is not an IDX file of bytes in 1 dimension: its header is 3c68746d6c3e, expected 00000801"),
        (header(2, 5) + bytes(10), "x.gz is not an IDX file of bytes in 1 dimension: its header is 0000080200000002, expected 00000801"),
        (header(2)[:-1], "x.gz is not an IDX file of bytes in 1 dimension: its header is 00000801000000, expected 00000801"),
        (header(10) + bytes(9), "x.gz holds 9 values, its header promises 10"),
        (header(10) + bytes(11), "x.gz holds 11 values, its header promises 10"),
        (header(2**32 - 1) + bytes(3), "x.gz holds 3 values, its header promises 4294967295"),
    ],
)
@pytest.mark.parametrize("pack", [gzip.compress, bytes], ids=["packed", "plain"])
def test_a_file_that_is_not_what_its_header_says_is_told(data: bytes, message: str, pack, tmp_path: Path) -> None:
    (tmp_path / "x.gz").write_bytes(pack(data))
    with pytest.raises(DataError, match=message):
        read_idx(tmp_path / "x.gz", dimensions=1)


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-9], lambda data: data[:12] + b"\xff\xff" + data[14:], lambda data: data[:-5] + b"\0" * 5]
)
def test_a_damaged_archive_is_told(damage, tmp_path: Path) -> None:
    write_idx(tmp_path / "x.gz", np.arange(99, dtype=np.uint8))
    (tmp_path / "x.gz").write_bytes(damage((tmp_path / "x.gz").read_bytes()))
    with pytest.raises(DataError, match="x.gz is damaged: .*; fetch it again"):
        read_idx(tmp_path / "x.gz", dimensions=1)
