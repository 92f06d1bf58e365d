from pathlib import Path
from typing import Any

import pytest

from pipeline.config.errors import DataError
from pipeline.config.splits import ALL
from pipeline.dataset.formats.folder import folder
from pipeline.dataset.records import NO_CLASS, File
from tests.conftest import MakeConfig
from tests.samples import data_set, put_files


def test_sub_folders_are_the_classes_and_images_may_lie_deeper(tmp_path: Path) -> None:
    samples = folder(put_files(tmp_path, "dog/2.jpg", "dog/deep/er/3.jpg", "cat/1.jpg"), data_set())
    assert [(sample.path, sample.label, sample.part) for sample in samples] == [
        ("cat/1.jpg", "cat", ALL),
        ("dog/2.jpg", "dog", ALL),
        ("dog/deep/er/3.jpg", "dog", ALL),
    ]
    assert samples[0].content == File(tmp_path, "cat/1.jpg")


def test_official_folders_are_the_splits(tmp_path: Path) -> None:
    raw = put_files(tmp_path, "training_set/cat/1.jpg", "training_set/dog/1.jpg", "test_set/cat/1.jpg", "test_set/dog/2.jpg")
    samples = folder(raw, data_set(splits={"train": "training_set", "test": "test_set"}))
    assert {(sample.path, sample.label, sample.part) for sample in samples} == {
        ("training_set/cat/1.jpg", "cat", "train"),
        ("training_set/dog/1.jpg", "dog", "train"),
        ("test_set/cat/1.jpg", "cat", "test"),
        ("test_set/dog/2.jpg", "dog", "test"),
    }


def test_class_folders_may_lie_below_a_folder_as_in_the_archive_of_cats_and_dogs(tmp_path: Path, config: MakeConfig) -> None:
    names = ["PetImages/Cat/0.jpg", "PetImages/Cat/Thumbs.db", "PetImages/Dog/0.jpg", "readme[1].txt", "MSR-LA - 3467.docx"]
    samples = folder(put_files(tmp_path, *names), config("dataset=cats_vs_dogs").dataset)
    assert {sample.path: (sample.label, sample.part) for sample in samples} == {
        "PetImages/Cat/0.jpg": ("Cat", ALL),
        "PetImages/Cat/Thumbs.db": ("Cat", ALL),
        "PetImages/Dog/0.jpg": ("Dog", ALL),
        "readme[1].txt": (NO_CLASS, ALL),
        "MSR-LA - 3467.docx": (NO_CLASS, ALL),
    }
    assert {sample.why for sample in samples if sample.label == NO_CLASS} == {"not in a class folder"}


@pytest.mark.parametrize(
    ("names", "splits", "message"),
    [
        (["a/1.jpg"], {"train": "b"}, "dataset.splits.train names b, but there is no such folder among the images"),
        (["1.jpg"], None, "holds no class folders; put the images of each class into a sub-folder of its own"),
        (
            ["x/a/1", "x/b/1", "y/a/1"],
            {"train": "x", "test": "y"},
            r"another split has b, which y has not\. Every split needs the same class folders",
        ),
    ],
)
def test_folders_that_do_not_fit_are_told(names: list[str], splits: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        folder(put_files(tmp_path, *names), data_set(splits=splits))


def test_an_empty_class_folder_is_told(tmp_path: Path) -> None:
    raw = put_files(tmp_path, "cat/1.jpg")
    (raw / "dog").mkdir()
    with pytest.raises(DataError, match="class dog has no images: the folder dog is empty; fill it or remove it"):
        folder(raw, data_set())


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ("abc", "abd", r"test has d, which another split has not; another split has c, which test has not\. Every split needs the same"),
        (
            ["é", "a"],
            ["e\u0301", "a"],
            r"test has the class e\\u0301 where another split has \\xe9: the same letters, composed and decomposed",
        ),
        (["x\ny", "a"], ["a"], r"another split has x\\ny, which test has not"),
    ],
)
def test_of_splits_with_other_classes_those_that_differ_are_named(train: list[str], test: list[str], message: str, tmp_path: Path) -> None:
    raw = put_files(tmp_path, *(f"train/{name}/1.jpg" for name in train), *(f"test/{name}/1.jpg" for name in test))
    with pytest.raises(DataError, match=message):
        folder(raw, data_set(splits={"train": "train", "test": "test"}))


@pytest.mark.parametrize("name", ["1", "2", "true", "null", "1e3", "yes", "007", "-x", "a, b", "$", "[red]", "猫", "a\tb"])
def test_a_class_is_called_as_its_folder_is(name: str, tmp_path: Path) -> None:
    samples = folder(put_files(tmp_path, f"{name}/1.jpg", "other/2.jpg"), data_set())
    assert {sample.label for sample in samples} == {name, "other"}
