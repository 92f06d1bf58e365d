"""Start the MLflow UI on this machine, with saved views of the list of runs and of their charts: make ui [PORT=5000]"""

import base64
import json
import os
import socket
import sys
import time
import zlib
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pipeline.config.errors import BusyError, ConfigError
from pipeline.config.paths import WORKSPACE
from pipeline.config.process import no_arguments, run_command
from pipeline.config.secrets import without_credentials
from pipeline.tracking.events import FILTERS, PICTURES

if TYPE_CHECKING:  # importing MLflow takes seconds
    from pipeline.tracking.store import Store

LAST_PORT = 65535
HOST = "127.0.0.1"  # local only, as the UI has no login

# The list: what decides between runs, of the epoch whose weights were kept. Test figures are shown, but nothing is sorted by them.
LIST = "image-line-list"  # of the view, in its URL
SCORE = "metrics.`best/validation/accuracy`"
DECIDING = (
    "attributes.`Created`",
    "attributes.`Duration`",
    SCORE,
    "metrics.`best/validation/loss`",
    "metrics.`test/accuracy`",
    "params.`dataset.name`",  # MLflow's own column of data sets, with their digests, takes the room of three
    "params.`model.name`",
    "params.`optimizer.lr`",
    "params.`seed`",
)

# The charts: filters (without the parameter list, which would cover them), curves, pictures.
CHARTS = "image-line"
MOST = 10  # runs per chart
HEIGHT = 420  # pixels of a tile; MLflow's own are too small for a mosaic of 64 filters
CURVES = {"loss": ["train/loss", "validation/loss"], "accuracy": ["train/accuracy", "validation/accuracy"]}
COLUMNS = {"curves": 2, FILTERS.partition("/")[0]: 1, PICTURES: 1}  # full width, so that the pictures of several runs stand side by side
FOLDED = ("best", "best/validation", "gradient", "update", "weight", "dead")  # collapsed: single values, and charts per layer for debugging


def main() -> None:
    """Serve the project's runs on 127.0.0.1 and print the URLs of their list and of their charts; the port is $PORT, or 5000."""
    no_arguments(main)
    port = port_of(os.environ.get("PORT", "5000"))
    from pipeline.config.compose import compose, parse, resolved
    from pipeline.tracking.faults import store_may_be_away
    from pipeline.tracking.store import Store
    from pipeline.tracking.sync import sync_waiting

    store = Store(parse(resolved(compose(WORKSPACE / "conf"))).tracking, WORKSPACE)
    for note in sync_waiting(WORKSPACE):
        print(note, file=sys.stderr)
    with store_may_be_away(store.uri):
        views = save_views(store)
    is_remote = store.uri.startswith("http")
    server = without_credentials(store.uri).rstrip("/") if is_remote else f"http://{HOST}:{port}"
    for what, view in views.items():
        print(f"{what} {server}/{view}", flush=True)
    if is_remote:
        if where := login_of(store.uri):
            print(f"log in with the user and password of {where}")
        return
    refuse_taken_port(port)
    # Without the job runner and with one worker it is 2 processes and 0.5 GB, not 13 and 2.6 GB.
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    os.environ["MLFLOW_BACKEND_STORE_URI"] = store.uri  # not as an argument, visible in `ps`: it may hold a password
    command = ["mlflow", "ui", "--host", HOST, "--port", str(port), "--workers", "1"]
    os.execv(sys.executable, [sys.executable, "-m", *command])


def port_of(text: str) -> int:
    """Return the port; raises ConfigError for anything but 1 to 65535."""
    if text.isascii() and text.isdigit() and 0 < int(text) <= LAST_PORT:
        return int(text)
    raise ConfigError(f"PORT={text} is no port; give a whole number from 1 to {LAST_PORT}: make ui PORT=5000")


def login_of(uri: str) -> str | None:
    """Return the names of the environment variables that hold the server's login; None: it has none."""
    if "@" in urlsplit(uri).netloc:
        return "MLFLOW_TRACKING_URI"
    return "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD" if "MLFLOW_TRACKING_USERNAME" in os.environ else None


def refuse_taken_port(port: int) -> None:
    """Raise BusyError if something already listens on the port."""
    with socket.socket() as probe:
        if probe.connect_ex((HOST, port)) == 0:
            raise BusyError(f"port {port} is taken, perhaps by pages that are open already; choose another: make ui PORT={port + 1}")


def save_views(store: "Store") -> dict[str, str]:
    """Save the views as tags of the experiment, which lists them under Views; return what each shows → the URL fragment that opens it."""
    images = _image_keys(store)
    return {
        "the runs, best first:": _saved(store, LIST, "Runs", "TABLE", list_view()),
        "curves and pictures: ": _saved(store, CHARTS, "Training", "CHART", view(images)),
    }


def _saved(store: "Store", key: str, name: str, mode: str, state: dict[str, Any]) -> str:
    now = int(time.time() * 1000)
    text = json.dumps(state, separators=(",", ":"))
    packed = "deflate;" + base64.b64encode(zlib.compress(text.encode())).decode()
    value = json.dumps({"name": name, "createdAt": now, "updatedAt": now, "state": packed})
    store.client.set_experiment_tag(store.experiment, f"mlflow.sharedViewState.{key}", value)
    return f"#/experiments/{store.experiment}/runs?compareRunsMode={mode}&workflowType=machine_learning&viewStateShareKey={key}"


def _image_keys(store: "Store") -> list[str]:
    """Return the image keys of the latest runs."""
    runs = store.client.search_runs([store.experiment], "tags.mlflow.loggedImages = 'True'", max_results=MOST)
    paths = [file.path for run in runs for file in store.client.list_artifacts(run.info.run_id, "images")]
    return sorted({path.removeprefix("images/").partition("+")[0].replace("~", "/") for path in paths})


def list_view() -> dict[str, Any]:
    """Return the state of the runs page as a list: the columns that decide, the best run first."""
    return view([]) | {"orderByKey": SCORE, "selectedColumns": list(DECIDING)}


def view(images: list[str]) -> dict[str, Any]:
    """Return the state of MLflow's runs page in the format that the page saves. images: the image keys to show."""
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


if __name__ == "__main__":
    run_command("ui", main)
