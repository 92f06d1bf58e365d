"""The model card: what the network is for, its scores with intervals, its limits, how to use it; all from the bundle and its scores."""

import re
from dataclasses import replace

import numpy as np
import pytest

from pipeline.analysis.metrics import Score
from pipeline.bundle import Bundle
from pipeline.config.schema import Config
from pipeline.model_card import model_card, plain
from tests.samples import CLASSES

TABLE = np.array([[2, 0, 0], [1, 1, 0], [2, 0, 0]])


def score(images: int) -> Score:
    return Score(0.5, (0.25, 0.75), 0.4, 0.45, 0.7, 0.125, images, None)


SCORES = {"train": score(12), "validation": score(9), "test": score(6)}


def card(bundle: Bundle, cfg: Config) -> str:
    return model_card(bundle, SCORES, TABLE, cfg.evaluate)


def section(text: str, heading: str) -> str:
    return text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def test_it_begins_with_what_the_network_does_and_how_well(bundle: Bundle, cfg: Config) -> None:
    assert card(bundle, cfg).startswith(
        "# small on mnist\n\nClassifies photos as top, middle, bottom. Test accuracy **0.5000** (95% interval 0.2500 to 0.7500, 6 images)."
    )
    assert re.findall("^## (.*)$", card(bundle, cfg), re.MULTILINE) == ["Use", "Scores", "Limits", "Data", "Training"]


def test_it_has_the_scores_of_each_split_and_class_with_intervals(bundle: Bundle, cfg: Config) -> None:
    scores = section(card(bundle, cfg), "Scores")
    assert "| test | 6 | 0.5000 | 0.2500 to 0.7500 | 0.4000 | 0.7000 | 0.1250 |" in scores
    rows = re.findall(r"^\| (top|middle|bottom) .*$", scores, re.MULTILINE)
    assert rows == ["bottom", "middle", "top"]  # the weakest first
    assert "| middle | 2 | 0.5000 | 0.0126 to 0.9874 | 1.0000 |" in scores
    assert "| bottom | 2 | 0.0000 | 0.0000 to 0.8419 | – |" in scores  # never said
    assert "](overview.png)" in scores


def test_its_limits_are_those_of_this_network(bundle: Bundle, cfg: Config) -> None:
    limits = section(card(bundle, cfg), "Limits")
    assert "- It answers with one of its classes whatever the photo shows" in limits
    assert "Details that 8 pixels do not show are not seen, and no colours." in limits
    assert "Most frequent mistakes: bottom taken for top (2 times), middle taken for top (1 time)." in limits
    assert "Fewer than 100 test images: top, middle, bottom." in limits
    assert "differ by 12.5 points on average" in limits
    assert "only 9 validation images choose the epoch" in limits
    assert "evaluate.tta" not in limits
    cfg.evaluate.tta = "mirror"
    assert "average several views of each image (evaluate.tta=mirror)" in section(card(bundle, cfg), "Limits")


def test_it_says_what_the_network_was_trained_on(bundle: Bundle, cfg: Config) -> None:
    text = card(bundle, cfg)
    assert "mnist: 12 for train, 9 for validation, 6 for test, in 3 classes." in section(text, "Data")
    assert bundle.manifest.data_digest in section(text, "Data")
    assert bundle.digest in section(text, "Training")
    assert "the weights" not in section(text, "Training")
    fine_tuned = replace(bundle, config=bundle.config | {"weights": bundle.config["weights"] | {"source": "runs/a/bundle"}})
    assert "It started from the weights runs/a/bundle." in section(card(fine_tuned, cfg), "Training")


def test_a_debug_run_is_called_one(bundle: Bundle, cfg: Config) -> None:
    assert "debug run" not in card(bundle, cfg)
    short = replace(bundle, config=bundle.config | {"training": bundle.config["training"] | {"limit_batches": 2}})
    assert r"**A debug run (limit\_batches=2): its scores compare with no other's.**" in card(short, cfg)


def test_of_many_classes_the_weakest_are_listed(bundle: Bundle, cfg: Config) -> None:
    names = [f"c{number}" for number in range(30)]
    manifest = replace(bundle.manifest, classes=names, counts=dict.fromkeys(SCORES, dict.fromkeys(names, 200)))
    table = np.diag(np.arange(170, 200))
    table[:, 0] += 200 - table.sum(axis=1)
    text = section(model_card(replace(bundle, manifest=manifest), SCORES, table, cfg.evaluate), "Scores")
    assert "the 20 classes of the lowest recall, the weakest first" in text
    assert len(re.findall(r"^\| c\d+ ", text, re.MULTILINE)) == 20
    assert "| c29 |" not in text


@pytest.mark.parametrize(
    ("name", "shown"), [("a|b", r"a\|b"), ("![x](http://e)", r"!\[x\](http://e)"), ("<script>", r"\<script\>"), ("a\nb", r"a\\nb")]
)
def test_names_are_no_markup(name: str, shown: str, bundle: Bundle, cfg: Config) -> None:
    assert plain(name) == shown
    renamed = replace(bundle, manifest=replace(bundle.manifest, classes=[name, *CLASSES[1:]]))
    assert f"Classifies photos as {shown}, middle, bottom." in card(renamed, cfg)
