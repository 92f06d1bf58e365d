"""A number and its noun agree, in whatever is printed."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pipeline.analysis.layer_table import layer_table
from pipeline.config.jobs import JobsFailed
from pipeline.config.wording import counted
from pipeline.dataset.manifest import Manifest, doubt
from pipeline.dataset.records import named
from pipeline.dataset.resize import resize
from pipeline.model.summary import summarise
from tests.conftest import MakeConfig
from tests.dataset.test_choice import with_images
from tests.dataset.test_data_page import words
from tests.dataset.test_splits import add, picture
from tests.samples import data_set


@pytest.mark.parametrize(
    ("number", "nouns", "told"),
    [
        (0, ["image"], "0 images"),
        (1, ["image"], "1 image"),
        (2, ["image"], "2 images"),
        (12345, ["image"], "12,345 images"),
        (1, ["class", "classes"], "1 class"),
        (2, ["class", "classes"], "2 classes"),
        (1, ["pair stands", "pairs stand"], "1 pair stands"),
    ],
)
def test_one_is_singular_and_everything_else_is_not(number: int, nouns: list[str], told: str) -> None:
    assert counted(number, *nouns) == told


def test_the_page_of_the_data_counts_one_as_one(config: MakeConfig, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    add(raw, range(40))
    cat, dog = sorted(raw.glob("cat/*"))[0], sorted(raw.glob("dog/*"))[0]
    picture(0).save(raw / "dog" / f"{cat.stem}_copy.jpg", quality=90)
    (raw / "cat" / "note.txt").write_text("no photo")
    cfg = config("dataset=folder", "resize.size=16")
    cfg.dataset.split.validation = cfg.dataset.split.test = 0.3
    (tmp_path / "prepared").mkdir()
    resize(cfg, raw, tmp_path / "prepared", tmp_path / "data.html", tmp_path / "chunks")
    told = words((tmp_path / "data.html").read_text())
    assert "1 pair of near-duplicates carries two labels" in told
    assert "Two labels for one picture: 1 pair " in told
    assert "1 file could not be used" in told
    assert not re.search(r"\b1 (images|files|pairs|classes)\b", told.replace("1 images of", ""))
    assert dog.exists()


def a_sweep(_: Manifest) -> str:
    return str(JobsFailed(1, 1, {1}))


def an_uncertain_choice(manifest: Manifest) -> str:
    return doubt(with_images(manifest, 1)) or ""


def a_label_without_a_name(_: Manifest) -> str:
    with pytest.raises(Exception, match="has label 1") as error:
        named(1, data_set(classes=["cat"]), "x#0")
    return str(error.value)


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (a_sweep, "1 of 1 job failed"),
        (an_uncertain_choice, "only 1 validation image chooses the epoch: an accuracy of 0.9 on it is known"),
        (a_label_without_a_name, "names only 1 class,"),
    ],
)
def test_messages_count_one_as_one(message: Callable[[Manifest], str], told: str, manifest: Manifest) -> None:
    assert told in message(manifest)


def test_a_step_of_one_image_is_one_image() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1, bias=False), torch.nn.Flatten())
    summary = summarise(network, lambda size: network, torch.optim.SGD, 1, 4)
    table = layer_table(summary, 1)
    assert "\n1 parameter, all trained" in table
    assert "a training step of 1 image needs" in table


def test_no_plural_is_made_by_hand() -> None:
    for path in (Path(__file__).parents[2] / "pipeline").rglob("*.py"):
        assert not re.search(r"""['"]s['"] (\*|if)""", path.read_text()), path
