"""The whole line on sixty generated images, as a newcomer sees it."""

import csv
import io
import json
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from tests.project import CLASSES, EACH, Project, Ran, small_project


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Ran]:
    project = small_project(tmp_path_factory.mktemp("smoke") / "project")
    return project, project.repro()


def test_every_stage_runs_once_and_a_second_repro_runs_none(line: tuple[Project, Ran]) -> None:
    project, ran = line
    assert ran.stages == ["configure", "fetch", "resize", "train", "evaluate", "explain", "register"]
    assert project.repro().stages == []
    assert "up to date" in project.ok("dvc", "status").output


def test_every_image_is_accounted_for(line: tuple[Project, Ran]) -> None:
    project, _ = line
    rows = list(csv.DictReader(io.StringIO(project.read("data/prepared/images.csv"))))
    own = project.root / "data" / "own"
    assert {row["path"] for row in rows} == {str(path.relative_to(own)) for path in own.rglob("*.png")}
    assert len(rows) == EACH * len(CLASSES)


def test_the_summary_says_accuracy_interval_places_and_next_steps(line: tuple[Project, Ran]) -> None:
    _, ran = line
    for words in ("test accuracy 0.", "95% interval", "reports/overview.png", "make ui", "pipeline.command.predict", "images/s", "left"):
        assert words in ran.output


def test_a_training_is_preceded_by_the_table_of_its_layers_and_what_it_needs(line: tuple[Project, Ran]) -> None:
    _, ran = line
    told = ran.output.partition("Running stage 'train'")[2].partition("train loss")[0]
    for words in (
        r"^layer +kind +output +window",
        r"^image +3×",
        r"^[\d,]+ parameters, all trained",
        r"^a training step of \d+ images needs",
    ):
        assert re.search(words, told, re.MULTILINE), (words, ran.output)


def test_metrics_hold_every_split_with_its_interval(line: tuple[Project, Ran]) -> None:
    project, _ = line
    metrics = json.loads(project.read("reports/metrics.json"))
    for split in ("train", "validation", "test"):
        low, high = metrics[split]["accuracy_interval"]
        assert 0 <= low <= metrics[split]["accuracy"] <= high <= 1
        assert metrics[split]["loss"] > 0
    assert "test.accuracy" in project.ok("dvc", "metrics", "show").output.replace("reports/metrics.json", "")


def test_dvc_shows_curves_confusion_and_the_overview(line: tuple[Project, Ran]) -> None:
    project, _ = line
    project.ok("dvc", "plots", "show", "-o", "dvc_plots")
    page = project.read("dvc_plots/index.html")
    for name in ("train_loss", "validation_accuracy", "confusion"):
        assert name in page
    assert list((project.root / "dvc_plots").rglob("*overview*.png"))


def test_git_sees_only_the_files_that_are_meant_for_it(line: tuple[Project, Ran]) -> None:
    project, _ = line
    changed = {entry.split()[-1] for entry in project.ok("git", "status", "--porcelain").output.splitlines()}
    assert changed <= {"params.yaml", "conf.lock", "dvc.lock", "data/own.dvc", "reports/metrics.json"}


def test_a_trained_network_names_what_is_on_photos(line: tuple[Project, Ran]) -> None:
    project, _ = line
    said = project.ok("python", "-m", "pipeline.command.predict", "data/own/circle", "data/own/square/03.png").output
    assert len(said.splitlines()) == EACH + 1
    assert all(name in said for name in CLASSES)


def test_a_fresh_clone_fills_its_own_store_though_the_committed_lock_knows_the_result(line: tuple[Project, Ran], tmp_path: Path) -> None:
    project, _ = line
    project.commit("trained")
    project.ok("git", "clone", "-q", ".", str(tmp_path / "clone"))
    clone = Project(tmp_path / "clone")
    shutil.copytree(project.root / ".dvc" / "cache", clone.root / ".dvc" / "cache")
    shutil.copytree(project.root / "data" / "own", clone.root / "data" / "own")
    assert clone.repro().stages == ["register"]
    assert "the champion" in clone.repro("-f", "-s", "register").output


def test_augmentation_can_be_looked_at_before_any_training(line: tuple[Project, Ran]) -> None:
    project, _ = line
    command = ("python", "-m", "pipeline.command.preview", "augmentation=flip", "training.input=12", "hydra.run.dir=runs/preview")
    assert "8 training images in their first 8 epochs: runs/preview/preview.png" in project.ok(*command).output
    with Image.open(project.root / "runs" / "preview" / "preview.png") as picture:
        assert min(picture.size) > 700
