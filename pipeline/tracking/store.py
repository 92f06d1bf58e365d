"""The MLflow store: `tracking.uri`, or the variable MLFLOW_TRACKING_URI, or mlflow.db in the project's root."""

import logging
import os
from pathlib import Path

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"  # it prints a run's address with the password that the URI may hold
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # a server that goes away costs seconds, not four minutes
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")  # seconds

from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import LifecycleStage, ViewType
from mlflow.entities import Run as MlflowRun
from mlflow.exceptions import MlflowException

from pipeline.config.schema import Tracking
from pipeline.tracking.experiment import REFUSALS, joined
from pipeline.tracking.faults import store_may_be_away
from pipeline.tracking.notes import note
from pipeline.tracking.probe import probe
from pipeline.tracking.relocation import check_place, file_of, location, uri_of, warn_if_astray
from pipeline.tracking.search import conditions, every

for chatty in ("mlflow", "alembic"):  # they tell of every table that they make
    logging.getLogger(chatty).setLevel(logging.WARNING)
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # it prints what it also raises: tracebacks, with the SQL


class Store:
    """The MLflow experiment that every run of this project joins."""

    def __init__(self, config: Tracking, home: Path) -> None:
        """Open the store, make it where there is none. Raises NetworkError where it can't be reached."""
        self.config = config
        self.home = home
        self.uri = uri_of(config, home)
        # processes that open a fresh sqlite store at once break it
        with store_may_be_away(self.uri), FileLock(self.lock("mlflow")):
            probe(self.uri)
            database = file_of(self.uri)
            is_fresh = database is not None and not database.exists()
            check_place(self.uri, home)
            self.client = MlflowClient(self.uri, self.uri)  # the registry too: its default is another's, once one was set
            artifacts = location(home, config.experiment) if self.uri.startswith("sqlite") else None
            found = joined(self.client, config.experiment, artifacts, is_fresh)
        self.experiment = found.experiment_id
        warn_if_astray(self.uri, home, found.artifact_location, config.experiment)

    def run_of(self, bundle: str, experiment: str | None) -> MlflowRun | None:
        """Return the run that trained the bundle of this digest.

        experiment: of DVC; only a run of that name counts then, so that a point that DVC took from its run cache has a
        row of its own in the table."""
        return self._run_tagged({"bundle": bundle} | ({"dvc_experiment": experiment} if experiment else {}))

    def run_made_by(self, journal: str) -> MlflowRun | None:
        """Return the run that was made of the journal of this name."""
        return self._run_tagged({"journal": journal})

    def run_of_training(self, training: str) -> MlflowRun | None:
        """Return the run that earlier starts of a training have told their part to."""
        return self._run_tagged({"training": training})

    def _run_tagged(self, tags: dict[str, str]) -> MlflowRun | None:
        """Return the latest run with these tags; where a person has deleted all of them, the latest of those, restored."""
        filter_string = conditions({f"tags.{name}": value for name, value in tags.items()})
        for view in (ViewType.ACTIVE_ONLY, ViewType.DELETED_ONLY):
            found = every(self.client.search_runs, experiment_ids=[self.experiment], filter_string=filter_string, run_view_type=view)
            for run in found:
                if tags.items() <= run.data.tags.items() and (view == ViewType.ACTIVE_ONLY or self.restore(run.info.run_id)):
                    return run
        return None

    def restore(self, run_id: str) -> bool:
        """Restore a run, or its experiment, that a person has deleted; tell whether that was so and it could be done."""
        run = self.client.get_run(run_id).info
        experiment = self.client.get_experiment(run.experiment_id)
        if LifecycleStage.DELETED not in (run.lifecycle_stage, experiment.lifecycle_stage):
            return False
        try:
            if experiment.lifecycle_stage == LifecycleStage.DELETED:
                self.client.restore_experiment(run.experiment_id)
                note(f"MLflow's experiment {experiment.name} was deleted; it is restored, with its runs")
            else:
                self.client.restore_run(run_id)
                note(f"MLflow's run {run.run_name} ({run_id[:8]}) was deleted; it is restored, as more is told of it")
        except MlflowException as error:
            if error.error_code not in REFUSALS:
                raise
            note(f"MLflow's run {run.run_name} ({run_id[:8]}) was deleted and can't be restored: {error.message}")
            return False
        return True

    def lock(self, name: str) -> Path:
        """Return a lock file that all processes of this project share."""
        folder = self.home / ".dvc" / "tmp"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{name}.lock"
