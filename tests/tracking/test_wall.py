"""python -m pipeline.command.wall: pictures of several runs on one page, a row for each run."""

import base64
import dataclasses
import re
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.analysis.filters import colour_limit, first_layer, step_label
from pipeline.command import wall
from pipeline.config.errors import DataError
from pipeline.config.schema import Config
from pipeline.dataset.manifest import Manifest
from pipeline.tracking.events import EventLog
from pipeline.tracking.run import Run, begin
from pipeline.tracking.store import Store
from pipeline.tracking.sync import sync_waiting

Wall = Callable[..., str]
WEIGHTS = np.random.default_rng(0).normal(size=(8, 4, 1, 3, 3)).astype(np.float32)  # of 7 epochs


def log(home: Path, cfg: Config, manifest: Manifest, name: str, epochs: int, picture: Path | None) -> None:
    run = Run(EventLog(home))
    begin(run, dataclasses.asdict(cfg), manifest, name=name)
    for step in range(epochs + 1):
        run.log_filters(WEIGHTS[step], step)
    if picture:
        run.log_image("pictures/confusion", picture, 0)
        run.log_image("pictures/units-1-conv", picture, 0)
    run.end("FINISHED")
    run.events.close()
    assert sync_waiting(home) == []


@pytest.fixture(scope="module")
def filled(tables: Path, small_config: Config, manifest: Manifest, conf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose store has a run of 7 epochs with pictures and one of 3 without."""
    home = tmp_path_factory.mktemp("walled")
    (home / "mlflow.db").write_bytes(tables.read_bytes())
    (home / "conf").symlink_to(conf)
    Image.new("RGB", (300, 200), "#c8553d").save(home / "confusion.png")
    log(home, small_config, manifest, "long", 7, home / "confusion.png")
    log(home, dataclasses.replace(small_config, seed=7), manifest, "short", 3, None)
    return home


@pytest.fixture
def page(filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wall:
    """Returns the page that the command writes."""
    monkeypatch.setattr(wall, "WORKSPACE", filled)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    def page(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["wall", *arguments, "--to", str(tmp_path / "out" / "wall.html")])
        wall.main()
        return (tmp_path / "out" / "wall.html").read_text()

    return page


def tables_of(page: str) -> dict[str, tuple[list[str], list[list[str]]]]:
    """Return title -> columns, and of each row the cells."""
    found = {}
    for title, head, body in re.findall(r"<h2>(.*?)</h2>.*?<thead>(.*?)</thead>.*?<tbody>(.*?)</tbody>", page, re.DOTALL):
        rows = [re.findall(r"<td>(.*?)</td>", row, re.DOTALL) for row in re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)]
        found[title] = re.findall(r'<th scope="col">(.*?)</th>', head)[1:], rows
    return found


def test_each_run_has_a_row_and_each_epoch_a_column_and_a_shorter_run_its_own_last(page: Wall) -> None:
    text = page("long", "short")
    columns, (long, short) = tables_of(text)["filters/first_layer"]
    assert columns == ["before training", "epoch 1", "epoch 2", "epoch 5", "last"]
    assert [re.findall(r'alt="(.*?)"', cell) for cell in long] == [[f"long: epoch {step}"] for step in (0, 1, 2, 5, 7)]
    names = [["short: epoch 0"], ["short: epoch 1"], ["short: epoch 2"], [], ["short: epoch 3"]]
    assert [re.findall(r'alt="(.*?)"', cell) for cell in short] == names
    for cell, step in zip(long, (0, 1, 2, 5, 7), strict=True):
        [encoded] = re.findall(r"data:image/webp;base64,([^\"]+)", cell)
        with Image.open(BytesIO(base64.b64decode(encoded))) as picture:
            wanted = first_layer(WEIGHTS[step], colour_limit(WEIGHTS[0]), step_label(step))
            assert np.abs(np.array(picture.convert("RGB"), int) - np.array(wanted, int)).mean() < 2
    assert re.findall(r"<b>(.*?)</b>", text)[:2] == ["long", "short"]
    assert "seed: 0" in text
    assert "seed: 7" in text


def test_pictures_of_trained_networks_stand_side_by_side_and_the_page_needs_nothing_else(page: Wall) -> None:
    text = page("short", "long")
    columns, (short, long) = tables_of(text)["the trained networks"]
    assert columns == ["confusion", "units-1-conv"]
    assert all("none" in cell for cell in short)
    assert [re.findall(r'alt="(.*?)"', cell) for cell in long] == [["long: confusion"], ["long: units-1-conv"]]
    assert not re.search(r'(?:src|href)="(?!data:)', text)


def test_only_some_pictures_can_be_wanted(page: Wall) -> None:
    assert [columns for columns, _ in tables_of(page("--only", "units")).values()] == [["units-1-conv"]]
    with pytest.raises(
        DataError, match="no picture's name has cat or dog; there are filters/first_layer, pictures/confusion, pictures/units"
    ):
        page("--only", "cat", "dog")


def test_runs_without_pictures_are_refused_with_what_draws_them(page: Wall, filled: Path, small_config: Config) -> None:
    store = Store(small_config.tracking, filled)
    run = store.client.create_run(store.experiment, run_name="bare").info.run_id
    store.client.set_terminated(run)
    with pytest.raises(DataError, match="none of these runs has pictures in MLflow; train with `dvc repro`, which draws them"):
        page("bare")
