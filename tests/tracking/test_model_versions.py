"""Two data sets of one's own are two models of the registry, each called after its classes."""

import re
from collections.abc import Sequence

import pytest

from pipeline.config.compose import compose
from pipeline.config.patterns import MODEL
from pipeline.config.tree import get
from pipeline.tracking.model_versions import model_name
from tests.project import ROOT

MANY = [f"species {i}" for i in range(1000)]


@pytest.mark.parametrize(
    ("classes", "name"),
    [
        (["cats", "dogs"], "cats-dogs"),
        (["ash tree", "birke", "ēik", "猫"], "ash tree-birke-ēik-猫"),
        (["0", "1"], "0-1"),
        (["a", "b", "c", "d", "e"], r"a-b-and-3-more-[0-9a-f]{8}"),
        (MANY, r"species 0-species 1-and-998-more-[0-9a-f]{8}"),
        (["T-shirt/top", "Shirt: long"], r"T-shirt_top-Shirt_ long-[0-9a-f]{8}"),
        (["x" * 300, "y" * 300], rf"{'x' * 20}-{'y' * 20}-[0-9a-f]{{8}}"),
        (["\udcff", "b\n"], r"_-b_-[0-9a-f]{8}"),
    ],
)
def test_a_model_is_called_after_its_classes(classes: Sequence[str], name: str) -> None:
    found = model_name("{classes}", classes)
    assert re.fullmatch(name, found)
    assert re.fullmatch(MODEL[0], found)


@pytest.mark.parametrize(("one", "other"), [(["a-b", "c"], ["a", "b-c"]), (MANY, [*MANY[:-1], "x"]), (["a/b", "c"], ["a_b", "c"])])
def test_other_classes_are_another_model(one: list[str], other: list[str]) -> None:
    assert model_name("{classes}", one) != model_name("{classes}", other)


def test_a_name_without_them_stays_as_it_is() -> None:
    assert (model_name("digits", ["0", "1"]), model_name("my {classes}", ["a", "b"])) == ("digits", "my a-b")


@pytest.mark.parametrize("name", ["folder", "csv", "parquet"])
def test_every_data_set_of_ones_own_has_such_a_name_and_published_ones_have_their_own(name: str) -> None:
    assert get(compose(ROOT / "conf", [f"dataset={name}"]), "tracking.model") == "{classes}"
    assert get(compose(ROOT / "conf", ["dataset=cats_vs_dogs"]), "tracking.model") == "${dataset.name}"
