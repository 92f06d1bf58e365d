"""The MLflow store: `tracking.uri`, or the variable MLFLOW_TRACKING_URI, or mlflow.db in the project's root."""

import logging
import os
import socket
from pathlib import Path
from urllib.parse import urlsplit

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"  # it prints a run's address with the password that the URI may hold
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # a server that goes away costs seconds, not four minutes
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")  # seconds

from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Run as MlflowRun

from pipeline.config.schema import Tracking
from pipeline.tracking.faults import store_may_be_away

for chatty in ("mlflow", "alembic"):  # they tell of every table that they make
    logging.getLogger(chatty).setLevel(logging.WARNING)
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # it prints what it also raises: tracebacks, with the SQL

PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306}  # where the URI names none
PROBE = 5  # seconds; MLflow itself would try for minutes


class Store:
    """The MLflow experiment that every run of this project joins."""

    def __init__(self, config: Tracking, home: Path) -> None:
        """Open the store, make it where there is none. Raises NetworkError where it can't be reached."""
        self.config = config
        self.home = home
        self.uri = config.uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home / 'mlflow.db'}"
        # processes that open a fresh sqlite store at once break it
        with store_may_be_away(self.uri), FileLock(self.lock("mlflow")):
            self._probe()
            self.client = MlflowClient(self.uri, self.uri)  # the registry too: its default is another's, once one was set
            found = self.client.get_experiment_by_name(config.experiment)
            place = str(home / "mlruns" / config.experiment) if self.uri.startswith("sqlite") else None
            self.experiment = found.experiment_id if found else self.client.create_experiment(config.experiment, place)

    def run_of(self, bundle: str, experiment: str | None) -> MlflowRun | None:
        """Return the run that trained the bundle of this digest.

        experiment: of DVC; only a run of that name counts then, so that a point that DVC took from its run cache has a
        row of its own in the table."""
        wanted = f"tags.bundle = '{bundle}'"
        if experiment:
            wanted += f" and tags.dvc_experiment = '{experiment}'"
        found = self.client.search_runs([self.experiment], wanted, max_results=1)
        return found[0] if found else None

    def run_made_by(self, journal: str) -> MlflowRun | None:
        """Return the run that was made of the journal of this name."""
        found = self.client.search_runs([self.experiment], f"tags.journal = '{journal}'", max_results=1)
        return found[0] if found else None

    def run_of_training(self, training: str) -> MlflowRun | None:
        """Return the run that earlier starts of a training have told their part to."""
        found = self.client.search_runs([self.experiment], f"tags.training = '{training}'", max_results=1)
        return found[0] if found else None

    def lock(self, name: str) -> Path:
        """Return a lock file that all processes of this project share."""
        folder = self.home / ".dvc" / "tmp"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{name}.lock"

    def _probe(self) -> None:
        parts = urlsplit(self.uri)
        port = parts.port or PORTS.get(parts.scheme.partition("+")[0])
        if not parts.hostname or not port:
            return
        socket.create_connection((parts.hostname, port), timeout=PROBE).close()
