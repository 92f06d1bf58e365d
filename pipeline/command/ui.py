"""Start the MLflow UI on this machine, with a saved view of the charts: make ui [PORT=5000]"""

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

# The view: filters (without the parameter list, which would cover them), curves, pictures.
KEY = "image-line"  # of the view, in its URL
MOST = 10  # runs per chart
HEIGHT = 420  # pixels of a tile; MLflow's own are too small for a mosaic of 64 filters
CURVES = {"loss": ["train/loss", "validation/loss"], "accuracy": ["train/accuracy", "validation/accuracy"]}
COLUMNS = {"curves": 2, FILTERS.partition("/")[0]: 1, PICTURES: 1}  # full width, so that the pictures of several runs stand side by side
FOLDED = ("best/validation", "gradient", "update", "weight", "dead")  # collapsed: single values, and charts per layer for debugging


def main() -> None:
    """Serve the project's runs on 127.0.0.1 and print the URL of their charts; the port is $PORT, or 5000."""
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
        view = save_view(store)
    if store.uri.startswith("http"):
        print(f"{without_credentials(store.uri).rstrip('/')}/{view}")
        if where := login_of(store.uri):
            print(f"log in with the user and password of {where}")
        return
    print(f"http://{HOST}:{port}/{view}", flush=True)
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


def save_view(store: "Store") -> str:
    """Save the view as a tag of the experiment, which lists it under Views; return the URL fragment that opens it."""
    now = int(time.time() * 1000)
    text = json.dumps(view(_image_keys(store)), separators=(",", ":"))
    state = "deflate;" + base64.b64encode(zlib.compress(text.encode())).decode()
    value = json.dumps({"name": "Training", "createdAt": now, "updatedAt": now, "state": state})
    store.client.set_experiment_tag(store.experiment, f"mlflow.sharedViewState.{KEY}", value)
    return f"#/experiments/{store.experiment}/runs?compareRunsMode=CHART&workflowType=machine_learning&viewStateShareKey={KEY}"


def _image_keys(store: "Store") -> list[str]:
    """Return the image keys of the latest runs."""
    runs = store.client.search_runs([store.experiment], "tags.mlflow.loggedImages = 'True'", max_results=MOST)
    paths = [file.path for run in runs for file in store.client.list_artifacts(run.info.run_id, "images")]
    return sorted({path.removeprefix("images/").partition("+")[0].replace("~", "/") for path in paths})


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
