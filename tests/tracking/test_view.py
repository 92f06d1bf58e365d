"""The view that `make ui` opens: the latest runs first, with their curves and the pictures that they have."""

import base64
import dataclasses
import json
import re
import zlib
from pathlib import Path

import pytest
from PIL import Image

from pipeline.command.ui import save_view
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


def test_the_address_leads_to_a_view_with_the_curves_and_the_pictures_of_the_runs(with_picture: Store) -> None:
    address = save_view(with_picture)
    found = re.fullmatch(rf"#/experiments/{with_picture.experiment}/runs\?.*&viewStateShareKey=(.*)", address)
    assert found
    tags = with_picture.client.get_experiment(with_picture.experiment).tags
    state = json.loads(tags[f"mlflow.sharedViewState.{found[1]}"])["state"]
    view = json.loads(zlib.decompress(base64.b64decode(state.removeprefix("deflate;"))))
    assert (view["orderByKey"], view["orderByAsc"]) == ("attributes.start_time", False)
    charts = {chart["uuid"]: chart for chart in view["compareRunCharts"]}
    assert charts["pictures/confusion"]["imageKeys"] == ["pictures/confusion"]
    assert charts["pictures/confusion"]["metricSectionId"] == "pictures"
    assert charts["loss"]["selectedMetricKeys"] == ["train/loss", "validation/loss"]
    shown = {section["name"] for section in view["compareRunSections"] if section["display"]}
    assert {chart["metricSectionId"] for chart in charts.values()} <= shown
