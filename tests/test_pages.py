"""What a person sees of two runs in MLflow's pages: the list, curves, filters at the first and the last step, both side by side."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.pages import CHROMIUM, Pages, opened
from tests.project import Project, small_project

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not CHROMIUM, reason="no Chromium was found: apt-get install chromium")]

EPOCHS = 3


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with two finished runs, cnn of the line and a live lenet, and a registered model."""
    project = small_project(tmp_path_factory.mktemp("pages") / "project")
    project.edit("conf/training/default.yaml", "epochs: 1", f"epochs: {EPOCHS}")
    project.repro()
    for stage in ("train", "evaluate", "explain"):
        ran = project.live(stage, "model=lenet", "hydra.run.dir=runs/lenet")
        assert ran.code == 0, ran.output
    return project


@pytest.fixture(scope="module")
def pages(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    with opened(project, height=1800) as pages:
        yield pages


@pytest.fixture(autouse=True)
def photograph(pages: Pages, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[None]:
    """Keep what the browser showed at the test's end; nothing but MLflow's own faults may have been complained of."""
    pages.errors.clear()
    yield
    folder = Path(os.environ.get("SCREENSHOTS", tmp_path))
    folder.mkdir(exist_ok=True)
    pages.page.screenshot(path=folder / f"{request.node.name}.png")
    assert pages.errors == []


def test_the_address_that_make_ui_prints_shows_both_runs_with_their_curves(pages: Pages) -> None:
    pages.open()
    expect(pages.page.get_by_role("link", name="cnn-s0")).to_be_visible()
    expect(pages.page.get_by_role("link", name="lenet-s0")).to_be_visible()
    for metric in ("loss", "accuracy"):
        expect(pages.chart(f"train/{metric} vs validation/{metric}").card.locator("svg.main-svg").first).to_be_visible()


def test_filters_stand_side_by_side_before_training_and_after_the_last_epoch(pages: Pages) -> None:
    pages.open()
    filters = pages.chart("filters/first_layer")
    before = filters.pictures(2)
    filters.move_to(EPOCHS)
    expect(filters.card.locator(f'img[src="{before[0]}"]')).to_have_count(0)
    after = filters.pictures(2)
    assert not set(before) & set(after)
    assert all(f"step%2B{EPOCHS}" in address or f"step+{EPOCHS}" in address for address in after)


def test_the_pictures_of_the_trained_networks_stand_side_by_side(pages: Pages) -> None:
    pages.open()
    assert len(pages.chart("pictures/confusion").pictures(2)) == 2


def test_the_page_in_which_each_network_runs_is_an_artifact_of_its_run(project: Project) -> None:
    assert len(list((project.root / "mlruns").rglob("reports/walk.html"))) == 2


def test_the_table_shows_state_data_and_scores(pages: Pages) -> None:
    pages.open("#" + pages.runs.partition("#")[2])
    expect(pages.page.get_by_text("2 matching runs")).to_be_visible()
    for column in ("best/validation/accuracy", "test/accuracy", "dataset.name", "model.name", "optimizer.lr", "seed"):
        expect(pages.page.get_by_role("columnheader", name=column, exact=True).first).to_be_visible()


def test_a_run_s_page_says_what_was_trained_and_how_to_repeat_it(pages: Pages) -> None:
    pages.open("#" + pages.runs.partition("#")[2])
    pages.page.get_by_role("link", name="lenet-s0").click()
    expect(pages.page.get_by_text("python -m pipeline.stage.train model=lenet").first).to_be_visible()


def test_two_runs_are_compared_on_the_compare_page(pages: Pages) -> None:
    pages.open()
    pages.page.get_by_label("Select all runs").click()
    pages.page.get_by_role("button", name="Compare").click()
    expect(pages.page.get_by_text("Comparing 2 Runs from 1 Experiment")).to_be_visible()
    expect(pages.page.get_by_text("model.name").first).to_be_visible()


def test_the_registered_model_is_there_with_its_champion(pages: Pages) -> None:
    pages.open("#/models/folder")
    expect(pages.page.get_by_role("link", name="Version 1")).to_be_visible()
    expect(pages.page.get_by_text("champion").first).to_be_visible()
