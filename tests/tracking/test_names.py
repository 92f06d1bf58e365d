"""People's names as MLflow's keys: what it takes stays, what it does not is changed so that two stay two."""

import random
import unicodedata

import pytest
from mlflow.utils.validation import _validate_metric_name, _validate_param_name, _validate_tag_name

from pipeline.tracking.events import file_name_of
from pipeline.tracking.mlflow_writer import LONGEST_KEY, cut, image_key_of, key_of

ODD = [
    "dataset.take.Cats & dogs (big), v2+",
    "model.layers.conv(1).filters",
    "a~b",
    "a+b",
    "a\nb",
    "",
    ".",
    "..",
    "../x",
    "/x",
    "x/",
    "a//b",
    "a/./b",
]


@pytest.mark.parametrize("name", ["optimizer.lr", "train/loss", "Größe", "dataset.take.木", "a: b-c_d", "k" * 250])
def test_a_name_that_mlflow_takes_stays(name: str) -> None:
    assert key_of(name) == name


@pytest.mark.parametrize("name", [*ODD, "x" * 251])
def test_any_other_becomes_one_that_it_takes_and_that_can_be_read(name: str) -> None:
    key = key_of(name)
    for validate in (_validate_param_name, _validate_metric_name, _validate_tag_name):
        validate(key)
    assert key != name
    assert len(key) <= LONGEST_KEY


def test_what_can_be_kept_of_a_name_is() -> None:
    assert key_of("model.layers.conv(1).filters").startswith("model.layers.conv_1_.filters-")


def test_names_of_any_letters_become_keys_that_stay_apart() -> None:
    chance = random.Random(0)
    letters = [chr(number) for number in range(0x3000) if unicodedata.category(chr(number)) != "Cs"]
    names = {"".join(chance.choices([*letters, *"/. +~()&"], k=chance.randrange(1, 300))) for _ in range(3000)} | set(ODD)
    keys = {key_of(name) for name in names}
    for key in keys:
        _validate_param_name(key)
        assert len(key) <= LONGEST_KEY
    assert len(keys) == len(names)


def test_the_keys_of_pictures_are_ascii_and_those_of_files_keep_their_suffix() -> None:
    assert image_key_of("pictures/feature_maps-1") == "pictures/feature_maps-1"
    assert image_key_of("pictures/Größe+~").startswith("pictures/Gr__e__-")
    assert len(image_key_of(f"pictures/{'ü' * 300}")) <= 150  # MLflow puts some 90 characters around it, in one file's name
    assert file_name_of("confusion.png") == "confusion.png"
    assert file_name_of("50%#ß.png").startswith("50___-")
    assert file_name_of("50%#ß.png").endswith(".png")
    assert file_name_of("50%#ß.png") != file_name_of("50##ß.png")
    assert len(file_name_of("ö" * 120 + ".png").encode()) <= 200


def test_long_values_that_differ_at_their_end_still_differ() -> None:
    one, other = cut("x" * 7000 + "1", 6000), cut("x" * 7000 + "2", 6000)
    assert len(one) == len(other) == 6000
    assert one != other
    assert cut("x" * 6000, 6000) == "x" * 6000
