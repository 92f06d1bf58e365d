"""The whole line on sixty generated images, as a newcomer sees it."""

import csv
import io
import json
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from tests.pages import CHROMIUM
from tests.project import CLASSES, EACH, Project, Ran, small_project
from tests.test_data_report import browser


@pytest.fixture(scope="module")
def line(warm: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Ran]:
    project = small_project(tmp_path_factory.mktemp("smoke") / "project", warm)
    return project, project.repro()


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_every_stage_runs_once_and_a_second_repro_runs_none(line: tuple[Project, Ran]) -> None:
    project, ran = line
    assert ran.stages == ["configure", "fetch", "resize", "train", "evaluate", "explain", "register"]
    assert project.repro().stages == []
    assert "up to date" in project.ok("dvc", "status").output


def test_every_image_is_accounted_for(line: tuple[Project, Ran]) -> None:
    project, _ = line
    rows = table(project.read("data/prepared/images.csv"))
    own = project.root / "data" / "own"
    assert {row["path"] for row in rows} == {str(path.relative_to(own)) for path in own.rglob("*.png")}
    assert len(rows) == EACH * len(CLASSES)


def test_the_summary_says_accuracy_interval_places_and_next_steps(line: tuple[Project, Ran]) -> None:
    project, ran = line
    test = json.loads(project.read("reports/metrics.json"))["test"]
    low, high = test["accuracy_interval"]
    for said in (
        f"test accuracy {test['accuracy']:.4f} (95% interval {low:.4f} to {high:.4f}, {test['images']} images)",
        "look:    reports/overview.png",
        "compare: make ui",
        "use:     python -m pipeline.command.predict PHOTO…",
    ):
        assert said in ran.output.splitlines()
    assert re.search(r"^epoch   1/1  train loss \d\.\d{4} .* [\d,]+ images/s  0:00 left$", ran.output, re.MULTILINE)


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


def test_metrics_are_those_of_every_split_and_dvc_shows_them(line: tuple[Project, Ran]) -> None:
    project, _ = line
    metrics = json.loads(project.read("reports/metrics.json"))
    of_split = Counter(row["split"] for row in table(project.read("data/prepared/images.csv")))
    answers = table(project.read("reports/predictions.csv"))
    right = sum(row["actual"] == row["predicted"] for row in answers)
    assert {split: metrics[split]["images"] for split in of_split} == of_split
    assert (of_split.keys(), len(answers)) == ({"train", "validation", "test"}, of_split["test"])
    assert metrics["test"]["accuracy"] == pytest.approx(right / len(answers), abs=1e-4)
    [shown] = json.loads(project.ok("dvc", "metrics", "show", "--json").output).values()
    for split in of_split:
        del metrics[split]["accuracy_interval"]  # DVC leaves lists out
    assert shown["data"]["reports/metrics.json"]["data"] == metrics


def test_dvc_shows_curves_confusion_and_the_overview(line: tuple[Project, Ran]) -> None:
    project, _ = line
    project.ok("dvc", "plots", "show", "-o", "dvc_plots")
    page = project.read("dvc_plots/index.html")
    for name in ("train_loss", "validation_accuracy", "confusion"):
        assert name in page
    assert list((project.root / "dvc_plots").rglob("*overview*.png"))


@pytest.mark.skipif(not CHROMIUM, reason="no Chromium was found: apt-get install chromium")
def test_dvc_s_page_of_plots_draws_them_without_a_connection(line: tuple[Project, Ran]) -> None:
    project, _ = line
    project.ok("dvc", "plots", "show", "-o", "dvc_plots")
    asked, complaints = [], []
    with browser() as view:
        view.on("request", lambda request: asked.append(request.url))
        view.on("console", lambda message: complaints.append(message.text))
        view.on("pageerror", lambda error: complaints.append(str(error)))
        view.goto((project.root / "dvc_plots" / "index.html").as_uri())
        titles = view.eval_on_selector_all("svg", "all => all.map(one => one.getAttribute('aria-label'))")
        lines, points = (view.locator(f"svg {kind}").count() for kind in ("polyline", "polyline ~ circle"))
        counts = view.eval_on_selector_all("svg[aria-label^='test images'] rect + text", "all => all.map(one => Number(one.textContent))")
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert complaints == []
    assert titles == ["loss", "accuracy", "test images: workspace"]
    assert (lines, points) == (4, 4)  # one epoch of train and validation each
    assert sum(counts) == len(table(project.read("reports/predictions.csv")))


def test_git_sees_only_the_files_that_are_meant_for_it(line: tuple[Project, Ran]) -> None:
    project, _ = line
    changed = {entry.split()[-1] for entry in project.ok("git", "status", "--porcelain").output.splitlines()}
    assert changed == {"params.yaml", "conf.lock", "dvc.lock", "data/own.dvc", "reports/metrics.json"}


def test_of_the_test_photos_predict_says_what_the_report_does(line: tuple[Project, Ran]) -> None:
    project, _ = line
    project.ok("sh", "-c", "python -m pipeline.command.predict data/own --csv > answers.csv 2> score.txt")
    said = table(project.read("answers.csv"))
    assert "accuracy" in project.read("score.txt")  # its folders are called as the classes
    assert len(said) == EACH * len(CLASSES)
    found = {row["path"]: (row["class"], float(row["probability"])) for row in said}
    for row in table(project.read("reports/predictions.csv")):
        assert found[f"data/own/{row['path']}"] == (row["predicted"], pytest.approx(float(row["probability"]), abs=1e-4))


@pytest.mark.slow
def test_a_fresh_clone_fills_its_own_store_though_the_committed_lock_knows_the_result(line: tuple[Project, Ran], tmp_path: Path) -> None:
    project, _ = line
    project.commit("trained")
    project.ok("git", "clone", "-q", ".", str(tmp_path / "clone"))
    clone = Project(tmp_path / "clone", project.programs)
    shutil.copytree(project.root / ".dvc" / "cache", clone.root / ".dvc" / "cache")
    shutil.copytree(project.root / "data" / "own", clone.root / "data" / "own")
    assert clone.repro().stages == ["register"]
    assert "the champion" in clone.repro("-f", "-s", "register").output


@pytest.mark.slow
def test_a_clone_pulls_from_the_remote_what_was_pushed_and_repro_then_trains_nothing(line: tuple[Project, Ran], tmp_path: Path) -> None:
    ours = line[0].copy(tmp_path / "ours")
    ours.ok("dvc", "remote", "add", "--default", "storage", str(tmp_path / "storage"))
    ours.commit("shared")
    ours.ok("dvc", "push")
    ours.ok("git", "clone", "-q", ".", str(tmp_path / "theirs"))
    theirs = Project(tmp_path / "theirs", ours.programs)
    theirs.ok("dvc", "pull")
    for path in ("bundle/weights.safetensors", "data/prepared/train.npy", "data/own/circle/00.png", "reports/predictions.csv"):
        assert (theirs.root / path).read_bytes() == (ours.root / path).read_bytes(), path
    assert theirs.repro().stages == ["register"]  # which fills their own store
    assert theirs.repro().stages == []


def test_augmentation_can_be_looked_at_before_any_training(line: tuple[Project, Ran]) -> None:
    project, _ = line
    command = ("python", "-m", "pipeline.command.preview", "augmentation=flip", "training.input=12", "hydra.run.dir=runs/preview")
    assert "8 training images in their first 8 epochs: runs/preview/preview.png" in project.ok(*command).output
    with Image.open(project.root / "runs" / "preview" / "preview.png") as picture:
        assert min(picture.size) > 700
