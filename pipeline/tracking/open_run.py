"""The first event of a log: find the MLflow run that it belongs to, or create it."""

import json
import os
from collections.abc import Iterator
from dataclasses import fields, replace
from functools import partial
from importlib.metadata import distributions
from pathlib import Path, PurePosixPath

from filelock import FileLock
from mlflow.entities import Dataset, DatasetInput, InputTag, Param, Run

from pipeline.config.errors import NetworkError
from pipeline.config.schema import Tracking
from pipeline.tracking.events import ERROR, FILTERS, RESTORED, RESUMED, STORE, SWEEP_ID, Event
from pipeline.tracking.faults import note
from pipeline.tracking.mlflow_writer import LONGEST_KEY, LONGEST_PARAM, LONGEST_SOURCE, LONGEST_TAG, Call, MlflowWriter, cut, key_of
from pipeline.tracking.parents import OPENING, join, without_retries
from pipeline.tracking.relocation import embedded
from pipeline.tracking.store import LOG, Store

CREATED, AGAIN, JOINED = "made", "resumed", "joined"


def store_of(event: Event, home: Path) -> Store:
    """Open the store that a log was written for, whatever this shell's is. Raises NetworkError where this shell does not know its URI."""
    config = Tracking(**{option.name: event["tracking"].get(option.name) for option in fields(Tracking)})  # versions differ
    is_by_variable = event.get("by_variable")  # missing in logs of older versions
    if is_by_variable and not os.environ.get(STORE):
        raise NetworkError(f"this run's store was named by {STORE}, which is not set here; set it and repeat")
    return Store(replace(config, uri=config.uri or embedded(home)) if is_by_variable is False else config, home)


def open_calls(writer: MlflowWriter, event: Event) -> Iterator[Call]:
    """Yield the calls that open a run: the first finds or creates it, which decides what follows."""
    yield partial(_open, writer, event)
    if writer.state.opened == CREATED:
        yield from _describe_calls(writer, event)
    if writer.state.opened == AGAIN:
        yield from _resume_calls(writer, event)
    if writer.state.opened != JOINED and SWEEP_ID in event["tags"]:
        yield partial(join, writer.store, writer.state.run, event)
    if writer.state.opened != JOINED:
        yield writer.describe


def _open(writer: MlflowWriter, event: Event) -> None:
    with FileLock(writer.store.lock(OPENING)):
        _find_or_create(writer, event)


def _find_or_create(writer: MlflowWriter, event: Event) -> None:
    store, state, tags = writer.store, writer.state, event["tags"]  # of the log: an uploader also sends other logs
    if own := store.run_tagged({LOG: writer.folder.name}):  # the response to an earlier create_run was lost
        state.opened, state.run = CREATED, own.info.run_id
    elif "training" in tags and (earlier := store.run_tagged({"training": tags["training"]})):
        state.opened, state.run = AGAIN, earlier.info.run_id
    elif "bundle" in tags and (found := store.run_of(tags["bundle"], tags.get("dvc_experiment"))):
        state.opened, state.run, state.had = JOINED, found.info.run_id, list(found.data.tags)
    else:
        state.opened, state.run = CREATED, _created(writer, event).info.run_id
        if RESTORED in tags:
            note("MLflow had no run of this network; it is created from the bundle, without the times of its training")


def _created(writer: MlflowWriter, event: Event) -> Run:
    tags = {key_of(key): cut(value, LONGEST_TAG) for key, value in event["tags"].items()}
    with without_retries():
        return writer.client.create_run(
            writer.store.experiment, event["time"], {**tags, LOG: writer.folder.name}, cut(event["name"], LONGEST_KEY)
        )


def _describe_calls(writer: MlflowWriter, event: Event) -> Iterator[Call]:
    """Yield the calls that log parameters, dataset and packages of a new run."""
    run = writer.state.run
    yield from writer.batches("params", [Param(key_of(key), cut(value, LONGEST_PARAM)) for key, value in event["params"].items()])
    yield partial(writer.client.log_inputs, run, [_dataset(event["data"])])
    packages = sorted(f"{found.name}=={found.version}" for found in distributions())
    yield partial(writer.log_text, "\n".join(packages) + "\n", "packages.txt")


def _dataset(data: Event) -> DatasetInput:
    """Return the dataset for the MLflow UI: name, digest, source, number and shape of the images."""
    schema = {"images": data["images"], "shape": data["shape"]}
    source = cut(json.dumps(data["source"]), LONGEST_SOURCE)
    dataset = Dataset(cut(data["name"], LONGEST_KEY), data["digest"], "image-line", source, profile=json.dumps(schema))
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])


def _resume_calls(writer: MlflowWriter, event: Event) -> Iterator[Call]:
    """Yield the calls that resume the run of a stopped training."""
    yield partial(_read_progress, writer)
    if not writer.has_ended:
        yield partial(writer.client.update_run, writer.state.run, status="RUNNING", name=cut(event["name"], LONGEST_KEY))
        yield partial(writer.delete_tag, ERROR)  # left by the stopped start
    yield from writer.calls({"event": "tags", "values": event["tags"] | {RESUMED: "true"}})


def _read_progress(writer: MlflowWriter) -> None:
    """Read what the run already has, so that each epoch is logged once."""
    run, client = writer.state.run, writer.client
    metrics = client.get_run(run).data.metrics
    writer.state.before = {name: max(point.step for point in client.get_metric_history(run, name)) for name in metrics}
    names = [PurePosixPath(file.path).name for file in client.list_artifacts(run, "images")]
    writer.state.pictured = [int(name.split("+")[2]) for name in names if name.startswith(f"{FILTERS.replace('/', '~')}+step+")]
