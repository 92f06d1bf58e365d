"""The run of a whole sweep as the parent of its trials' runs.

Our own sweeps log to it (sweep_run.py). Those of Hydra's multirun and DVC's queue have no process that outlives their trials: each
trial that ends brings the parent up to date."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock
from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from pipeline.tracking.events import LAUNCHER, SWEEP_ID, Event, key_of_sweep
from pipeline.tracking.store import Store, conditions

OPENING = "opening"  # lock: two processes that look for a sweep's run at once must not both create it
BEST = "best/validation/accuracy"
BEST_RUN = "best_run"  # tag: its id


def join(store: Store, run_id: str, event: Event) -> None:
    """Make a trial's run a child of its sweep's, which is created where it has not arrived yet."""
    client, tags = store.client, event["tags"]
    key = {"training": key_of_sweep(tags[SWEEP_ID])}
    with FileLock(store.lock(OPENING)), without_retries():
        parent = store.run_tagged(key) or client.create_run(store.experiment, event["time"], key, tags["sweep"])
    client.set_tag(run_id, MLFLOW_PARENT_RUN_ID, parent.info.run_id)
    if LAUNCHER in tags:
        client.set_tag(parent.info.run_id, LAUNCHER, tags[LAUNCHER])
        client.update_run(parent.info.run_id, "RUNNING")


def bring_up_to_date(store: Store, trial: Run, end: int) -> None:
    """Give the parent of a trial that has ended the best validation accuracy so far, and end it unless other trials are at work.

    end: milliseconds since 1970."""
    parent = trial.data.tags[MLFLOW_PARENT_RUN_ID]
    trials = list(store.runs(conditions({f"tags.{MLFLOW_PARENT_RUN_ID}": parent})))
    if scored := [run for run in trials if BEST in run.data.metrics]:
        best = max(scored, key=lambda run: float(run.data.metrics[BEST]))
        store.client.log_metric(parent, BEST, best.data.metrics[BEST], step=len(scored))
        store.client.set_tag(parent, BEST_RUN, best.info.run_id)
    if not any(run.info.status == "RUNNING" for run in trials):
        store.client.set_terminated(parent, "FINISHED", end)


@contextmanager
def without_retries() -> Iterator[None]:
    """Keep MLflow's client from retrying a call whose response was lost, which would create a second run."""
    retries = os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"]
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    try:
        yield
    finally:
        os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = retries
