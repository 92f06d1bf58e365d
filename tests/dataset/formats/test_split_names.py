"""Splits that are taken for classes are refused, with the command that names them: it works as it is printed."""

import re
import shlex
from pathlib import Path

import pytest
from dvc.utils.cli_parse import to_path_overrides

from pipeline.config.compose import compose, parse, resolved
from pipeline.config.errors import DataError
from pipeline.config.schema import Dataset
from pipeline.dataset.formats.folder import folder
from pipeline.dataset.records import suggested_splits
from tests.project import ROOT
from tests.samples import data_set, put_files


@pytest.mark.parametrize(
    ("folders", "train", "validation", "test"),
    [
        (["test_set", "training_set"], "training_set", None, "test_set"),
        (["train", "val"], "train", None, "val"),  # what is held out is the test, and validation images are drawn from train
        (["train", "valid", "test"], "train", "valid", "test"),
        (["Train", "Test"], "Train", None, "Test"),
        (["TRAIN", "VALIDATION"], "TRAIN", None, "VALIDATION"),
        (["training", "dev", "testing"], "training", "dev", "testing"),
        (["train", "validation", "eval"], "train", "validation", "eval"),
        (["train", "test", "eval"], "train", "eval", "test"),
        (["train", "eval"], "train", None, "eval"),
        (["seg_pred", "seg_test", "seg_train"], "seg_train", None, "seg_test"),
        (["train2017", "val2017"], "train2017", None, "val2017"),
        (["TrainSet", "trainset_small", "TestSet"], "TrainSet", None, "TestSet"),
        (["my photos/train", "my photos/val", "my photos/test"], "my photos/train", "my photos/val", "my photos/test"),
    ],
)
def test_the_names_that_people_use_are_known(folders: list[str], train: str, validation: str | None, test: str) -> None:
    wanted = {"train": train, "validation": validation, "test": test}
    assert suggested_splits(reversed(folders)) == {split: name for split, name in wanted.items() if name}


@pytest.mark.parametrize(
    "folders", [["train", "bus"], ["val", "test"], ["cats", "dogs"], ["training_and_test", "test"], ["trains", "tests"], []]
)
def test_other_names_are_none(folders: list[str]) -> None:
    assert suggested_splits(folders) == {}


def refused(raw: Path, **keys: object) -> str:
    with pytest.raises(DataError) as caught:
        folder(raw, data_set(name="folder", **keys))
    return str(caught.value)


def as_printed(message: str) -> Dataset:
    """Return the data set that the command in a message makes, taken apart by the shell's and DVC's own rules."""
    [command] = re.findall(r"`(dvc exp run [^`]*)`", message)
    program, *words = shlex.split(command)
    assert (program, words[:2], words[2::2]) == ("dvc", ["exp", "run"], ["-S"] * (len(words[2:]) // 2))
    [overrides] = to_path_overrides(words[3::2]).values()
    return parse(resolved(compose(ROOT / "conf", overrides))).dataset


@pytest.mark.parametrize("below", ["", "photos/", "my photos, all/", "it's {mine}/", "2017/", "b\\/", "猫と犬/"])
@pytest.mark.parametrize(("train", "test"), [("train", "val"), ("Train", "Test"), ("training set", "test set")])
def test_the_command_works_as_it_is_printed(train: str, test: str, below: str, tmp_path: Path) -> None:
    names = [f"{below}{split}/{name}/{i}.jpg" for split in (train, test) for name in ("cat", "dog") for i in (1, 2)]
    raw = put_files(tmp_path, *names, f"{below}{train}/notes.txt")
    message = refused(raw)
    folders = ", ".join(sorted((f"{below}{train}", f"{below}{test}")))
    assert message.startswith(f"{folders} look like splits, not classes. Take them as such with `dvc")
    assert message.endswith("`; the validation images are drawn from train. If they are classes, put their images right into them")
    samples = folder(raw, as_printed(message))
    assert {(sample.label, sample.part) for sample in samples if sample.label} == {
        (name, part) for name in ("cat", "dog") for part in ("train", "test")
    }
    assert sum(sample.part == "test" for sample in samples) == 4
    assert all(sample.path.startswith(f"{below}{train if sample.part == 'train' else test}/") for sample in samples if sample.label)


def test_what_is_left_out_is_told(tmp_path: Path) -> None:
    message = refused(put_files(tmp_path, *(f"{split}/{name}/1.jpg" for split in ("train", "val", "test", "extra") for name in "ab")))
    assert as_printed(message).splits == {"train": "train", "validation": "val", "test": "test"}
    assert "`; extra would be left out. If they are classes" in message


def test_a_folder_around_the_classes_is_told_with_the_command_that_looks_into_it(tmp_path: Path) -> None:
    raw = put_files(tmp_path, *(f"my photos/{name}/{i}.jpg" for name in ("cat", "dog") for i in (1, 2)))
    message = refused(raw)
    assert message.startswith("the folder my photos holds no images but the folders cat, dog. If these are the classes, type `dvc")
    assert {sample.label for sample in folder(raw, as_printed(message))} == {"cat", "dog"}


def test_splits_below_the_classes_are_told_to_stand_above_them(tmp_path: Path) -> None:
    raw = put_files(tmp_path, *(f"{name}/{split}/{i}.jpg" for name in ("cat", "dog") for split in ("test", "train") for i in (1, 2)))
    assert refused(raw) == (
        "the folder cat holds no images but the folders test, train: put the splits above the classes, test/cat, then the next run says "
        "how to name them"
    )


def test_folders_of_other_names_are_asked_for(tmp_path: Path) -> None:
    raw = put_files(tmp_path, *(f"{part}/{name}/{i}.jpg" for part in ("part1", "part2") for name in ("cat", "dog") for i in (1, 2)))
    assert refused(raw) == (
        "the folder part1 holds no images but the folders cat, dog. If part1, part2 are splits, say which by dataset.splits={train: …, "
        "test: …}, each with one of part1, part2; if they are classes, type "
        """`dvc exp run -S dataset=folder -S 'dataset.splits={all: '"'"'.'"'"'}'`"""
    )


@pytest.mark.parametrize(
    "names", [["cats/2019/1.jpg", "cats/2020/2.jpg", "cats/2020/3.jpg", "dogs/1.jpg"], ["cats/best/1.jpg", "cats/best/2.jpg", "dogs/3.jpg"]]
)
def test_classes_with_their_images_in_sub_folders_are_classes_with_the_command_that_says_so(names: list[str], tmp_path: Path) -> None:
    raw = put_files(tmp_path, *names)
    samples = folder(raw, as_printed(refused(raw)))
    assert {(one.path.partition("/")[0], one.label, one.part) for one in samples} == {(name, name, "all") for name in ("cats", "dogs")}


def test_a_folder_within_a_folder_around_the_classes_is_told_too(tmp_path: Path) -> None:
    raw = put_files(tmp_path, *(f"my/photos/{name}/{i}.jpg" for name in ("cat", "dog") for i in (1, 2)))
    message = refused(raw, splits={"all": "my"})
    assert {sample.label for sample in folder(raw, as_printed(message))} == {"cat", "dog"}


@pytest.mark.parametrize("names", [["train/1.jpg", "test/1.jpg"], ["train/steam/1.jpg", "train/2.jpg", "bus/red/1.jpg", "bus/2.jpg"]])
def test_classes_that_are_called_so_are_classes(names: list[str], tmp_path: Path) -> None:
    assert {sample.label for sample in folder(put_files(tmp_path, *names), data_set())} == {name.partition("/")[0] for name in names}
