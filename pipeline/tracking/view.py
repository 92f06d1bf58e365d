"""The view of the runs that `make ui` opens: filters without the list of parameters that would cover them, curves, pictures.

MLflow keeps a saved view as a tag of the experiment; people find it under Views, beside their own."""

import base64
import json
import time
import zlib
from typing import Any

from pipeline.tracking.arrival import FILTERS
from pipeline.tracking.run import PICTURES
from pipeline.tracking.store import Store

KEY = "image-line"  # of the view, in its address
MOST = 10  # runs that a chart shows
HEIGHT = 420  # pixels of a tile; MLflow's own are too small for a mosaic of 64 filters
CURVES = {"loss": ["train/loss", "validation/loss"], "accuracy": ["train/accuracy", "validation/accuracy"]}
COLUMNS = {"curves": 2, FILTERS.partition("/")[0]: 1, PICTURES: 1}  # a whole row: the pictures of several runs stand side by side
FOLDED = ("best/validation", "gradient", "update", "weight", "dead")  # single values, and each layer's charts, for who looks for a fault


def save_view(store: Store) -> str:
    """Store the view; return the part of the pages' address that opens it."""
    now = int(time.time() * 1000)
    text = json.dumps(view(pictured(store)), separators=(",", ":"))
    state = "deflate;" + base64.b64encode(zlib.compress(text.encode())).decode()
    value = json.dumps({"name": "Training", "createdAt": now, "updatedAt": now, "state": state})
    store.client.set_experiment_tag(store.experiment, f"mlflow.sharedViewState.{KEY}", value)
    return f"#/experiments/{store.experiment}/runs?compareRunsMode=CHART&workflowType=machine_learning&viewStateShareKey={KEY}"


def pictured(store: Store) -> list[str]:
    """Return the keys under which the latest runs have pictures."""
    runs = store.client.search_runs([store.experiment], "tags.mlflow.loggedImages = 'True'", max_results=MOST)
    paths = [file.path for run in runs for file in store.client.list_artifacts(run.info.run_id, "images")]
    return sorted({path.removeprefix("images/").partition("+")[0].replace("~", "/") for path in paths})


def view(images: list[str]) -> dict[str, Any]:
    """Return the state of MLflow's page of runs, as the page itself saves it. images: the keys to show."""
    return {
        "searchFilter": "",
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": ["attributes.`Dataset`", "metrics.`best/validation/loss`", "metrics.`test/accuracy`"],
        "runsHiddenMode": "FIRST_10_RUNS",
        "compareRunCharts": [*map(_image, images), *(_line(name, keys) for name, keys in CURVES.items())],
        "compareRunSections": [*(_section(name, columns) for name, columns in COLUMNS.items()), *map(_folded, FOLDED)],
        "hideEmptyCharts": True,
        "useGroupedValuesInCharts": True,
        "autoRefreshEnabled": True,
        "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
    }


def _section(name: str, columns: int) -> dict[str, Any]:
    return {"uuid": name, "name": name, "display": True, "isReordered": False, "columns": columns, "cardHeight": HEIGHT}


def _folded(name: str) -> dict[str, Any]:
    return _section(name, 3) | {"display": False}


def _image(key: str) -> dict[str, Any]:
    section = key.partition("/")[0]
    return _chart(key, "IMAGE", section) | {"imageKeys": [key], "step": 0, "showRunParams": False}


def _line(name: str, keys: list[str]) -> dict[str, Any]:
    axes = {"xAxisKey": "step", "yAxisKey": "metric", "xAxisScaleType": "linear", "scaleType": "linear", "range": {}}
    own = {"displayName": name, "metricKey": keys[0], "selectedMetricKeys": keys, "yAxisExpressions": [], "lineSmoothness": 0}
    return _chart(name, "LINE", "curves") | axes | own


def _chart(uuid: str, kind: str, section: str) -> dict[str, Any]:
    return {"uuid": uuid, "type": kind, "runsCountToCompare": MOST, "metricSectionId": section, "deleted": False, "isGenerated": False}
