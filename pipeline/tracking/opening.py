"""A journal's first event: the run that all others reach is found again, or made with what belongs to its beginning."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from functools import partial
from importlib.metadata import distributions
from pathlib import Path, PurePosixPath

from mlflow.entities import Dataset, DatasetInput, InputTag, Param, Run

from pipeline.config.errors import NetworkError
from pipeline.config.schema import Tracking
from pipeline.tracking.arrival import FILTERS, Arrival, Part
from pipeline.tracking.journal import ERROR, STORE, Event
from pipeline.tracking.names import LONGEST_KEY, LONGEST_PARAM, LONGEST_SOURCE, LONGEST_TAG, cut, key_of
from pipeline.tracking.notes import note
from pipeline.tracking.relocation import embedded
from pipeline.tracking.store import Store

MADE, RESUMED, JOINED = "made", "resumed", "joined"
RESTORED = "restored"  # the tag of a run that is made from a bundle
JOURNAL = "journal"  # the tag that names the journal by which a run was made


def store_of(event: Event, home: Path) -> Store:
    """Open the store that a journal's run belongs to, whatever this shell names. Raises NetworkError where that is not known here."""
    config = Tracking(**{option.name: event["tracking"].get(option.name) for option in fields(Tracking)})  # another version's has others
    is_by_variable = event.get("by_variable")  # older journals do not say
    if is_by_variable and not os.environ.get(STORE):
        raise NetworkError(f"this run's store was named by {STORE}, which is not set here; set it and repeat")
    return Store(replace(config, uri=config.uri or embedded(home)) if is_by_variable is False else config, home)


def opened(arrival: Arrival, event: Event) -> Iterator[Part]:
    """Yield the calls that open a run. What comes after the first depends on what that has found."""
    yield partial(_find_or_make, arrival, event)
    if arrival.state.opened == MADE:
        yield from _described(arrival, event)
    if arrival.state.opened == RESUMED:
        yield from _resumed(arrival, event)


def _find_or_make(arrival: Arrival, event: Event) -> None:
    store, state, tags = arrival.store, arrival.state, event["tags"]  # the experiment is the journal's own: a courier delivers others' too
    if mine := store.run_made_by(arrival.folder.name):  # the answer to an earlier call was lost
        state.opened, state.run = MADE, mine.info.run_id
    elif "training" in tags and (begun := store.run_of_training(tags["training"])):
        state.opened, state.run = RESUMED, begun.info.run_id
    elif "bundle" in tags and (found := store.run_of(tags["bundle"], tags.get("dvc_experiment"))):
        state.opened, state.run, state.had = JOINED, found.info.run_id, list(found.data.tags)
    else:
        state.opened, state.run = MADE, _made(arrival, event).info.run_id
        if RESTORED in tags:
            note("MLflow had no run of this network; it is made from the bundle, without the times of its training")


def _made(arrival: Arrival, event: Event) -> Run:
    tags = {key_of(key): cut(value, LONGEST_TAG) for key, value in event["tags"].items()}
    with _tried_once():
        return arrival.client.create_run(
            arrival.store.experiment, event["time"], {**tags, JOURNAL: arrival.folder.name}, cut(event["name"], LONGEST_KEY)
        )


@contextmanager
def _tried_once() -> Iterator[None]:
    """Keep MLflow's client from repeating a call whose answer was lost: it would make a second run."""
    given = os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"]
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    try:
        yield
    finally:
        os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = given


def _described(arrival: Arrival, event: Event) -> Iterator[Part]:
    """Yield what a new run is told once: parameters, data, packages."""
    run = arrival.state.run
    yield from arrival.batches("params", [Param(key_of(key), cut(value, LONGEST_PARAM)) for key, value in event["params"].items()])
    yield partial(arrival.client.log_inputs, run, [_dataset(event["data"])])
    packages = sorted(f"{found.name}=={found.version}" for found in distributions())
    yield partial(arrival.store_text, "\n".join(packages) + "\n", "packages.txt")


def _dataset(data: Event) -> DatasetInput:
    """Return a training's data as the pages show it: name, digest, where from, how many images of what shape."""
    schema = {"images": data["images"], "shape": data["shape"]}
    source = cut(json.dumps(data["source"]), LONGEST_SOURCE)
    dataset = Dataset(cut(data["name"], LONGEST_KEY), data["digest"], "image-line", source, profile=json.dumps(schema))
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])


def _resumed(arrival: Arrival, event: Event) -> Iterator[Part]:
    """Yield the calls by which a run goes on whose training was stopped."""
    yield partial(_learn, arrival)
    if not arrival.is_over:
        yield partial(arrival.client.update_run, arrival.state.run, status="RUNNING", name=cut(event["name"], LONGEST_KEY))
        yield partial(arrival.forget, ERROR)  # of the start that was stopped
    yield from arrival.parts({"event": "tags", "values": event["tags"]})


def _learn(arrival: Arrival) -> None:
    """Learn what the run has been told: each epoch counts once."""
    run, client = arrival.state.run, arrival.client
    metrics = client.get_run(run).data.metrics
    arrival.state.before = {name: max(point.step for point in client.get_metric_history(run, name)) for name in metrics}
    names = [PurePosixPath(file.path).name for file in client.list_artifacts(run, "images")]
    arrival.state.pictured = [int(name.split("+")[2]) for name in names if name.startswith(f"{FILTERS.replace('/', '~')}+step+")]
