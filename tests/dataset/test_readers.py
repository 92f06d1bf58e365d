from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.config.errors import ConfigError, DataError
from pipeline.dataset.readers import READERS, read
from pipeline.dataset.records import NO_CLASS
from tests.samples import data_set, options, put_files, write_idx_split


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return put_files(tmp_path, "cat/1.jpg", "ship/1.jpg", "ship/2.jpg", "deer/1.jpg", "notes.txt")


@pytest.mark.parametrize("name", options("dataset"))
def test_the_reader_of_every_dataset_is_there(name: str, config: Callable) -> None:
    assert config(f"dataset={name}").dataset.reader in READERS


def test_an_unknown_reader_is_told_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match="dataset.reader is 'npz', expected one of digits, idx, cifar, cifar_binary, folder, csv, parquet"
    ):
        read(tmp_path, data_set(reader="npz"))


def test_a_subset_goes_by_its_own_names_and_the_rest_is_listed_with_the_reason(raw: Path) -> None:
    samples = read(raw, data_set(reader="folder", classes=["cat", "boat"], take={"ship": "boat", "cat": "cat"}))
    assert {sample.path: (sample.label, sample.why) for sample in samples} == {
        "cat/1.jpg": ("cat", ""),
        "ship/1.jpg": ("boat", ""),
        "ship/2.jpg": ("boat", ""),
        "deer/1.jpg": (NO_CLASS, "class deer is not in dataset.take"),
        "notes.txt": (NO_CLASS, "not in a class folder"),
    }


def test_two_classes_may_be_taken_as_one(raw: Path) -> None:
    samples = read(raw, data_set(reader="folder", classes=["animal", "boat"], take={"ship": "boat", "cat": "animal", "deer": "animal"}))
    assert sorted(sample.label for sample in samples) == [NO_CLASS, "animal", "animal", "boat", "boat"]


def test_classes_that_are_numbers_in_the_files_are_taken_by_number(tmp_path: Path) -> None:
    write_idx_split(tmp_path, "train", np.zeros((4, 2, 2), np.uint8), [3, 7, 9, 3])
    samples = read(tmp_path, data_set(reader="idx", classes=["three", "seven"], take={"3": "three", "7": "seven"}))
    assert [sample.label for sample in samples] == ["three", "seven", NO_CLASS, "three"]


def test_a_class_to_take_that_is_not_there_is_told_with_those_that_are(raw: Path) -> None:
    with pytest.raises(DataError, match="dataset.take names boat, but the images are of the classes cat, deer, ship"):
        read(raw, data_set(reader="folder", take={"boat": "boat", "cat": "cat"}))


@pytest.mark.parametrize("classes", [["cat", "deer"], ["cat", "deer", "ship", "truck"], ["cat", "deer", "boat"]])
def test_other_classes_than_those_of_the_images_are_told(classes: list[str], raw: Path) -> None:
    message = f"dataset.classes names {', '.join(sorted(classes))}, but the images are of the classes cat, deer, ship"
    with pytest.raises(DataError, match=message):
        read(raw, data_set(reader="folder", classes=classes))


def test_of_a_hundred_classes_a_message_lists_a_dozen(tmp_path: Path) -> None:
    raw = put_files(tmp_path, *(f"{i:03}/1.jpg" for i in range(100)))
    with pytest.raises(DataError, match="names a, b, but the images are of the classes 000, 001, .*011 and 88 more$"):
        read(raw, data_set(reader="folder", classes=["a", "b"]))
