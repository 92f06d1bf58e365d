"""The MLflow store (`tracking.uri`, MLFLOW_TRACKING_URI, or mlflow.db in the project's root) and the experiment in it."""

import logging
import os
from collections.abc import Callable, Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"  # it prints a run's URL, which may hold a password
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # a line for each picture that the wall fetches
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # an unreachable server costs seconds, not four minutes
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")  # seconds
os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"  # it would stand among what is printed

from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Experiment, LifecycleStage, ViewType
from mlflow.entities import Run as MlflowRun
from mlflow.exceptions import MlflowException

from pipeline.config.schema import Tracking
from pipeline.tracking.faults import note, store_may_be_away
from pipeline.tracking.relocation import CONFIGURED, check_place, file_of, location, probe, uri_of, warn_if_astray

for chatty in ("mlflow", "alembic"):  # they log every table that they create
    logging.getLogger(chatty).setLevel(logging.WARNING)
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # it logs what it also raises, with the SQL

LOG = "journal"  # tag of a run: the event log that created it
SEEN = "image-line.name"  # tag of an experiment: its name in the last note about a rename
PAGE = 1000  # runs of one search_runs call; MLflow's limit is 50,000
REFUSALS = {"PERMISSION_DENIED", "INVALID_STATE", "INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "BAD_REQUEST", "NOT_IMPLEMENTED"}


class Store:
    """The MLflow experiment that every run of this project joins."""

    def __init__(self, config: Tracking, home: Path) -> None:
        """Open the store, creating it where there is none. Raises NetworkError where it can't be reached or used."""
        self.config = config
        self.home = home
        self.uri = uri_of(config, home)
        # processes that create a SQLite store at once break it
        with store_may_be_away(self.uri), FileLock(self.lock("mlflow")):
            probe(self.uri)
            database = file_of(self.uri)
            is_fresh = database is not None and not database.exists()
            check_place(self.uri, home)
            self.client = MlflowClient(self.uri, self.uri)  # also for the registry, whose default may be another store
            artifacts = location(home, config.experiment) if self.uri.startswith("sqlite") else None
            found = _experiment(self.client, config.experiment, artifacts, is_fresh)
        self.experiment = found.experiment_id
        warn_if_astray(self.uri, home, found.artifact_location, config.experiment)

    def run_of(self, bundle: str, experiment: str | None) -> MlflowRun | None:
        """Return the run that trained the bundle with this digest.

        experiment: DVC's; if given, only its runs count, so that an experiment taken from DVC's run cache has a run of its own."""
        return self.run_tagged({"bundle": bundle} | ({"dvc_experiment": experiment} if experiment else {}))

    def runs(self, only: str = "", most: int | None = None) -> Iterator[MlflowRun]:
        """Yield the experiment's runs, latest first. only: a filter in MLflow's search syntax."""
        order = ["attributes.start_time DESC"]
        page = min(most or PAGE, PAGE)
        found = every(self.client.search_runs, experiment_ids=[self.experiment], filter_string=only, max_results=page, order_by=order)
        return islice(found, most)

    def run_tagged(self, tags: dict[str, str]) -> MlflowRun | None:
        """Return the latest run with these tags; if all of them are deleted, restore the latest."""
        filter_string = conditions({f"tags.{name}": value for name, value in tags.items()})
        for view in (ViewType.ACTIVE_ONLY, ViewType.DELETED_ONLY):
            found = every(self.client.search_runs, experiment_ids=[self.experiment], filter_string=filter_string, run_view_type=view)
            for run in found:
                if tags.items() <= run.data.tags.items() and (view == ViewType.ACTIVE_ONLY or self.restore(run.info.run_id)):
                    return run
        return None

    def restore(self, run_id: str) -> bool:
        """Restore a deleted run, or its deleted experiment; return False if nothing is deleted or MLflow refuses."""
        run = self.client.get_run(run_id).info
        experiment = self.client.get_experiment(run.experiment_id)
        if LifecycleStage.DELETED not in (run.lifecycle_stage, experiment.lifecycle_stage):
            return False
        what = f"MLflow's run {run.run_name} ({run_id[:8]}) was deleted"
        if experiment.lifecycle_stage == LifecycleStage.DELETED:
            refusal = _restore_experiment(self.client, experiment)
        else:
            refusal = _restore(self.client.restore_run, run_id, f"{what}; it is restored, as more is logged to it")
        if refusal:
            note(f"{what} and can't be restored: {refusal}")
        return not refusal

    def lock(self, name: str) -> Path:
        """Return the path of a lock file shared by all processes of this project."""
        folder = self.home / ".dvc" / "tmp"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{name}.lock"


# The experiment


def _experiment(client: MlflowClient, name: str, artifacts: str | None, is_fresh: bool) -> Experiment:
    """Return the configured experiment, with a note if it was renamed or deleted.

    A renamed one is found by its tag. A deleted one is restored, with the runs deleted with it. If that is refused, or
    there is none, it is created. artifacts: the location for a new one. is_fresh: the store is new too and needs no note."""
    found = client.get_experiment_by_name(name)
    if not found or found.lifecycle_stage == LifecycleStage.DELETED:
        found = _tagged(client, name) or found
    if found and (found.lifecycle_stage == LifecycleStage.ACTIVE or not _restore_experiment(client, found)):
        return _followed(client, found, name)
    created = _created(client, name, artifacts)
    if found:
        note(f"MLflow's experiment {found.name} was deleted, and it refuses to restore it; runs join the new experiment {created.name}")
    elif not is_fresh:
        note(f"MLflow had no experiment {name}; it is created")
    return created


def _tagged(client: MlflowClient, name: str) -> Experiment | None:
    """Return the experiment tagged with this name, preferably one that is not deleted."""
    wanted = conditions({f"tags.`{CONFIGURED}`": name})
    search = every(client.search_experiments, view_type=ViewType.ALL, filter_string=wanted)
    found = [experiment for experiment in search if experiment.tags.get(CONFIGURED) == name]
    return min(found, key=lambda experiment: experiment.lifecycle_stage == LifecycleStage.DELETED, default=None)


def _restore_experiment(client: MlflowClient, deleted: Experiment) -> str | None:
    done = f"MLflow's experiment {deleted.name} was deleted; it is restored, with its runs"
    return _restore(client.restore_experiment, deleted.experiment_id, done)


def _restore(restore: Callable[[str], object], deleted: str, done: str) -> str | None:
    """Restore what has this id, and note that it is done; return MLflow's words where it refuses."""
    try:
        restore(deleted)
    except MlflowException as error:
        if error.error_code not in REFUSALS:
            raise
        return str(error.message)
    note(done)
    return None


def _followed(client: MlflowClient, found: Experiment, name: str) -> Experiment:
    """Return the experiment, tagged so that it is found again after a rename."""
    if found.name != name and found.tags.get(SEEN) != found.name:
        note(f"MLflow's experiment {name} is called {found.name} now; runs still join it (tracking.experiment={name})")
        client.set_experiment_tag(found.experiment_id, SEEN, found.name)
    if found.tags.get(CONFIGURED) != name:
        client.set_experiment_tag(found.experiment_id, CONFIGURED, name)
    return found


def _created(client: MlflowClient, name: str, artifacts: str | None) -> Experiment:
    names = (name if number == 1 else f"{name}-{number}" for number in count(1))
    free = next(free for free in names if not client.get_experiment_by_name(free))
    created = client.create_experiment(free, artifacts, {CONFIGURED: name, SEEN: free})
    return client.get_experiment(created)


# Searches


def conditions(wanted: dict[str, str]) -> str:
    """Return a search filter for attributes or tags with these values, without those that it can't express.

    MLflow's syntax has two kinds of quotes and no escape, and some databases ignore case: callers have to check the results."""
    return " and ".join(f"{key} = {quoted}" for key, value in wanted.items() if (quoted := _quoted(value)))


def _quoted(value: str) -> str:
    quote = next((quote for quote in "'\"" if quote not in value), "")
    return f"{quote}{value}{quote}" if quote and "\\" not in value else ""


def every(search: Callable[..., Any], **arguments: Any) -> Iterator[Any]:
    """Yield the results of one of MLflow's search_* methods from all pages."""
    token = None
    while True:
        page = search(**arguments, page_token=token)
        yield from page
        token = page.token
        if not token:
            return
