"""Few validation photos choose the epoch by chance: how much, and what helps, is told."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.dataset.manifest import Manifest, doubt
from pipeline.dataset.resize import resize
from tests.conftest import MakeConfig
from tests.dataset.test_data_page import words
from tests.dataset.test_splits import add


def with_images(manifest: Manifest, validation: int, train: int = 50, **dataset: Any) -> Manifest:
    counts = {
        "train": dict.fromkeys(manifest.classes, train),
        "validation": dict.fromkeys(manifest.classes, 0) | {manifest.classes[0]: validation},
        "test": dict.fromkeys(manifest.classes, 9),
    }
    node = {"splits": None, "columns": None, "split": {"folds": None}} | dataset
    return replace(manifest, counts=counts, made_from={"dataset": node, "resize": {"few_validation": 100}})


def test_a_hundred_images_are_enough_and_one_less_is_told(manifest: Manifest) -> None:
    assert doubt(with_images(manifest, 100)) is None
    assert (doubt(with_images(manifest, 99)) or "").startswith("only 99 validation images choose the epoch: ")


@pytest.mark.parametrize(("images", "points"), [(16, 15), (64, 7)])
def test_the_uncertainty_is_that_of_so_many_throws(images: int, points: int, manifest: Manifest) -> None:
    assert f"an accuracy of 0.9 on them is known to about {points} points" in (doubt(with_images(manifest, images)) or "")
    thrown = np.random.default_rng(0).binomial(images, 0.9, 10_000) / images
    assert 100 * np.quantile(abs(thrown - 0.9), 0.95) == pytest.approx(points, abs=2)


def test_folds_are_offered_as_many_as_the_smallest_class_has_images_for(manifest: Manifest) -> None:
    offer = r"With dataset.split.folds=5, one training for each dataset.split.fold from 0 to 4, every image outside test"
    assert offer in (doubt(with_images(manifest, 20)) or "")
    assert "dataset.split.folds=3, one training for each dataset.split.fold from 0 to 2" in (
        doubt(with_images(manifest, 20, train=3)) or ""
    )


@pytest.mark.parametrize(
    "node", [{"splits": {"train": "a", "validation": "b", "test": "c"}}, {"columns": {"split": "x"}, "split": {"folds": 3}}]
)
def test_folds_are_not_offered_where_they_cannot_be_or_are_there_already(node: dict[str, Any], manifest: Manifest) -> None:
    assert (doubt(with_images(manifest, 20, **node)) or "").endswith("differ by chance")


def test_of_a_table_folds_are_offered_where_it_names_no_validation_images(manifest: Manifest) -> None:
    told = doubt(with_images(manifest, 20, columns={"image": "path", "label": "label", "split": "split"})) or ""
    assert ". Unless the table names validation images itself, with dataset.split.folds=5, one training for each" in told


def test_the_page_of_the_data_says_it(config: MakeConfig, tmp_path: Path) -> None:
    add(tmp_path / "raw", range(20))
    (tmp_path / "prepared").mkdir()
    resize(config("dataset=folder", "resize.size=8"), tmp_path / "raw", tmp_path / "prepared", tmp_path / "data.html", tmp_path / "chunks")
    assert "only 2 validation images choose the epoch: an accuracy of 0.9 on them is known to about 42 points" in words(
        (tmp_path / "data.html").read_text()
    )
