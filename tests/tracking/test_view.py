"""The views that `make ui` opens: the runs, best first, and the latest with their curves and the pictures that they have."""

import base64
import dataclasses
import json
import re
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline.command.ui import save_views
from pipeline.config.schema import Config
from pipeline.dataset.manifest import Manifest
from pipeline.tracking.events import EventLog
from pipeline.tracking.run import Run, begin
from pipeline.tracking.store import Store
from pipeline.tracking.sync import sync_waiting


@pytest.fixture
def with_picture(home: Path, cfg: Config, manifest: Manifest, tmp_path: Path) -> Store:
    """A store with the run of a training that has a picture."""
    Image.new("L", (8, 8)).save(tmp_path / "confusion.png")
    run = Run(EventLog(home))
    begin(run, dataclasses.asdict(cfg), manifest)
    run.log_image("pictures/confusion", tmp_path / "confusion.png", 0)
    run.end("FINISHED")
    run.events.close()
    assert sync_waiting(home) == []
    return Store(cfg.tracking, home)


def state_of(store: Store, address: str) -> dict[str, Any]:
    """Return the state that the pages take from the experiment's tag for this address."""
    found = re.fullmatch(rf"#/experiments/{store.experiment}/runs\?.*&viewStateShareKey=(.*)", address)
    assert found
    tags = store.client.get_experiment(store.experiment).tags
    state = json.loads(tags[f"mlflow.sharedViewState.{found[1]}"])["state"]
    return json.loads(zlib.decompress(base64.b64decode(state.removeprefix("deflate;"))))


def test_one_address_leads_to_the_list_with_the_columns_that_decide_and_the_best_validation_first(with_picture: Store) -> None:
    address, _ = save_views(with_picture).values()
    view = state_of(with_picture, address)
    assert "compareRunsMode=TABLE" in address
    assert (view["orderByKey"], view["orderByAsc"]) == ("metrics.`best/validation/accuracy`", False)
    assert {"metrics.`test/accuracy`", "metrics.`best/validation/loss`", "params.`model.name`", "params.`seed`"} <= set(
        view["selectedColumns"]
    )


def test_another_leads_to_the_curves_and_the_pictures_of_the_latest_runs(with_picture: Store) -> None:
    _, address = save_views(with_picture).values()
    view = state_of(with_picture, address)
    assert "compareRunsMode=CHART" in address
    assert (view["orderByKey"], view["orderByAsc"]) == ("attributes.start_time", False)
    charts = {chart["uuid"]: chart for chart in view["compareRunCharts"]}
    assert charts["pictures/confusion"]["imageKeys"] == ["pictures/confusion"]
    assert charts["pictures/confusion"]["metricSectionId"] == "pictures"
    assert charts["loss"]["selectedMetricKeys"] == ["train/loss", "validation/loss"]
    shown = {section["name"] for section in view["compareRunSections"] if section["display"]}
    assert {chart["metricSectionId"] for chart in charts.values()} <= shown
