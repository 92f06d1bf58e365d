"""The MLflow store: one run per training, found again by its bundle's digest.

The store is `tracking.uri`, or the variable MLFLOW_TRACKING_URI, or mlflow.db in the project's root."""

import logging
import os
import platform
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # a server that is away costs seconds, not four minutes

import torch
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Experiment, Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from pipeline.bundle import Bundle
from pipeline.config.composition import dump, leaves
from pipeline.config.errors import NetworkError
from pipeline.config.schema import Config, Tracking
from pipeline.config.urls import redacted, without_credentials
from pipeline.dataset.manifest import Manifest

for chatty in ("mlflow", "alembic"):  # they tell of every table that they make
    logging.getLogger(chatty).setLevel(logging.WARNING)

CODE = ("pipeline", "dvc.yaml", "requirements.lock")  # what "dirty" looks at: params.yaml always differs in an experiment

MOST_PARAMS = 100  # that MLflow takes at a time


class Run:
    """One MLflow run; metrics go out a batch an epoch."""

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self.client = client
        self.id = run_id

    def log_params(self, tree: dict[str, Any]) -> None:
        """Log under the names of `dvc params diff`."""
        params = [Param(key, str(value)) for key, value in leaves(tree)]
        for start in range(0, len(params), MOST_PARAMS):
            self.client.log_batch(self.id, params=params[start : start + MOST_PARAMS])

    def log_metrics(self, metrics: dict[str, float], step: int = 0) -> None:
        now = int(time.time() * 1000)
        self.client.log_batch(self.id, metrics=[Metric(name, value, now, step) for name, value in metrics.items()])

    def tag(self, **tags: str) -> None:
        self.client.log_batch(self.id, tags=[RunTag(name, value) for name, value in tags.items()])

    def log_file(self, path: Path, folder: str | None = None) -> None:
        self.client.log_artifact(self.id, str(path), folder)

    def log_text(self, text: str, name: str) -> None:
        self.client.log_text(self.id, text, name)

    def end(self, status: str) -> None:
        self.client.set_terminated(self.id, status)


class Store:
    """The MLflow experiment that every run of this project joins."""

    def __init__(self, config: Tracking, home: Path) -> None:
        uri = config.uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home / 'mlflow.db'}"
        self.config = config
        self.home = home
        self.uri = uri
        with FileLock(self.lock("mlflow")):  # processes that open a fresh sqlite store at once break it
            self.client = MlflowClient(uri)
            found = self._experiment()
            place = str(home / "mlruns" / config.experiment) if uri.startswith("sqlite") else None
            self.experiment = found.experiment_id if found else self.client.create_experiment(config.experiment, place)

    def _experiment(self) -> Experiment | None:
        try:
            return self.client.get_experiment_by_name(self.config.experiment)
        except MlflowException as error:
            words = redacted(str(error).splitlines()[0], self.uri)[:200]
            raise NetworkError(f"the MLflow store {without_credentials(self.uri)} can't be used: {words}") from None

    def lock(self, name: str) -> Path:
        """Return a lock file that all processes of this project share."""
        return self.home / ".dvc" / "tmp" / f"{name}.lock"

    def start(self, cfg: Config, manifest: Manifest, name: str, **tags: str) -> Run:
        """Begin a run with the parameters and the config of a training."""
        all_tags = {**tags, **code_tags(), "data_digest": manifest.data_digest}
        run = Run(self.client, self.client.create_run(self.experiment, tags=all_tags, run_name=name).info.run_id)
        tree = asdict(cfg)
        run.log_params(tree)
        run.log_text(dump(tree), "config.yaml")
        return run

    def run_of(self, bundle: Bundle, cfg: Config) -> Run:
        """Return the run that made this bundle; where the store has none, make it from the bundle (tag `restored`)."""
        found = self.client.search_runs([self.experiment], f"tags.bundle = '{bundle.digest}'", max_results=1)
        if found:
            return Run(self.client, found[0].info.run_id)
        run = self.start(cfg, bundle.manifest, run_name(cfg), restored="true", bundle=bundle.digest)
        for row in bundle.history:
            run.log_metrics({name: value for name, value in row.items() if name != "epoch"}, int(row["epoch"]))
        run.end("FINISHED")
        return run

    @contextmanager
    def training(self, cfg: Config, manifest: Manifest) -> Iterator[Run]:
        """One run around a training, with a true end state also after an error or a signal."""
        run = self.start(cfg, manifest, run_name(cfg))
        try:
            yield run
        except Exception as error:
            run.tag(error=str(error)[:500])
            run.end("FAILED")
            raise
        except BaseException:
            run.end("KILLED")
            raise
        run.end("FINISHED")


def run_name(cfg: Config) -> str:
    """Return the experiment's name in `dvc exp show`, else model, data and time; never MLflow's, which a seed repeats."""
    return os.environ.get("DVC_EXP_NAME") or f"{cfg.model['name']}-{cfg.dataset.name}-{time.strftime('%m%d-%H%M%S')}"


def code_tags() -> dict[str, str]:
    """Return the git commit, marked where the code differs from it, and what could break bit-identity."""
    tags = {"torch": torch.__version__, "machine": platform.machine()}
    try:
        tags["commit"] = _git("rev-parse", "HEAD")
        tags["dirty"] = str(bool(_git("status", "--porcelain", "--", *CODE))).lower()
    except (OSError, subprocess.CalledProcessError):
        tags["commit"] = "not in git"
    return tags


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout.strip()
