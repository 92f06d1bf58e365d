"""Events as calls of MLflow's client, within its limits; each call may be repeated, as the response to it can be lost."""

import json
import posixpath
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, cast
from uuid import NAMESPACE_URL, uuid5

import numpy as np
from mlflow.entities import Metric, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking.multimedia import compress_image_size
from PIL import Image

from pipeline.analysis.filters import colour_limit, first_layer, step_label
from pipeline.analysis.layer_table import layer_table
from pipeline.config.errors import NetworkError
from pipeline.model.layer_rows import Summary
from pipeline.tracking.description import description
from pipeline.tracking.events import FILTERS, LAUNCHER, NOTE, SYSTEM, Event, short_hash
from pipeline.tracking.faults import ADDRESS, Refused, is_refusal, note, sentence
from pipeline.tracking.parents import bring_up_to_date
from pipeline.tracking.store import Store

MOST = {"metrics": 1000, "params": 100, "tags": 100}  # MLflow's limits of entities per log_batch
LARGEST = 500_000  # bytes of a batch; MLflow's limit is 1 MB with what it adds to each entity
NOT_UPLOADED = "not_delivered"  # tag with what MLflow has rejected of a run
DESCRIBED = "described"  # tag with the hash of the run's description, by which one that a person has edited is known
LOGGED_IMAGES = "mlflow.loggedImages"  # tag by which the MLflow UI knows that a run has images

Call = Callable[[], None]  # one call of MLflow's client


@dataclass
class State:
    """The progress of a log's upload. It is saved to a file, so its fields keep the names of earlier versions."""

    arrived: int = 0  # uploaded events
    parts: int = 0  # calls already made for the next event
    run: str = ""  # MLflow's id of the run
    opened: str = ""  # CREATED by this log, RESUMED from an earlier start of the training, or JOINED (created by another log)
    had: list[str] = field(default_factory=list)  # tags that a joined run already had
    before: dict[str, int] = field(default_factory=dict)  # metric -> last step logged by earlier starts of this training
    pictured: list[int] = field(default_factory=list)  # steps whose filter pictures they have logged
    limit: float = 1.0  # of the filter pictures' colour scale
    refused: list[dict[str, Any]] = field(default_factory=list)  # keys: number of the event, reason


class MlflowWriter:
    """Translates events into calls on the run that open_run.py has found or created."""

    def __init__(self, store: Store, folder: Path, state: State) -> None:
        self.store = store
        self.client = store.client
        self.folder = folder
        self.state = state
        self.has_ended = False  # the run already has its end state, perhaps from a later start

    def calls(self, event: Event) -> Iterator[Call]:
        """Yield the calls of an event, in the same order each time. Raises OSError, ValueError or LookupError for a damaged log."""
        methods = {
            "metrics": self._metrics,
            "tags": self._tags,
            "filters": self._filters,
            "layers": self._layers,
            "image": self._image,
            "artifact": self._artifact,
            "end": self._end,
        }
        if not (method := methods.get(event["event"])):
            raise ValueError(f"a line that is torn or of another version: {event.get('line', event['event'])}")
        if event.get("unless") not in self.state.had:
            yield from method(event)

    def has_run(self) -> bool:
        """Return whether the store still has the run, with a note where it has to be created again."""
        try:
            return bool(self.client.get_run(self.state.run))
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            note(
                f"MLflow no longer has the run {self.state.run[:8]}; it is created again from {self.folder.parent.name}/{self.folder.name}"
            )
            return False

    def batches(self, kind: str, entities: list[Any]) -> Iterator[Call]:
        """Yield the calls that log metrics, params or tags, in batches within MLflow's limits. kind: a key of MOST."""
        batch: list[Any] = []
        size = 0
        for entity in entities:
            weight = len(json.dumps([str(value) for value in dict(entity).values()]))
            if batch and (len(batch) == MOST[kind] or size + weight > LARGEST):
                yield partial(self._log, kind, batch)
                batch, size = [], 0
            batch.append(entity)
            size += weight
        if batch:
            yield partial(self._log, kind, batch)

    def _log(self, kind: str, batch: list[Any]) -> None:
        """Log a batch; if MLflow rejects it, log its entities one by one. Raises Refused with the rejected ones."""
        try:
            self.client.log_batch(self.state.run, **cast(dict[str, Any], {kind: batch}))
        except Exception as error:
            if not is_refusal(error):
                raise
            if len(batch) == 1:
                raise Refused(f"{kind} {batch[0].key}: {sentence(error)}") from None
            self._log_alone(kind, batch)

    def _log_alone(self, kind: str, batch: list[Any]) -> None:
        refused = []
        for entity in batch:
            try:
                self._log(kind, [entity])
            except Refused as error:
                refused.append(str(error))
        if refused:
            raise Refused("; ".join(refused))

    def _metrics(self, event: Event) -> Iterator[Call]:
        metrics = [
            Metric(key_of(name), value, event["time"], step) for name, value in event["values"].items() for step in self._step(name, event)
        ]
        return self.batches("metrics", metrics)

    def _step(self, name: str, event: Event) -> list[int]:
        """Return the step to log at, or none if an earlier start has logged it; system metrics continue its count."""
        last = self.state.before.get(key_of(name), -1)
        if name.startswith(SYSTEM):
            return [event["step"] + last + 1]
        return [event["step"]] if event["step"] > last else []

    def _tags(self, event: Event) -> Iterator[Call]:
        return self.batches("tags", [RunTag(key_of(name), cut(value, LONGEST_TAG)) for name, value in event["values"].items()])

    def _filters(self, event: Event) -> Iterator[Call]:
        weight = np.load(self.folder / event["file"], allow_pickle=False)  # (out, in, kh, kw)
        if event["step"] == 0:
            self.state.limit = colour_limit(weight)
        if event["step"] not in self.state.pictured:
            yield from self._picture(FILTERS, first_layer(weight, self.state.limit, step_label(event["step"])), event)

    def _layers(self, event: Event) -> Iterator[Call]:
        from pipeline.analysis.figures.network import network_figure  # imports matplotlib, needed only here

        summary = Summary.from_dict(json.loads((self.folder / event["file"]).read_text()))
        yield partial(self.log_text, layer_table(summary, event["batch_size"]), "layers.txt")
        picture = (self.folder / event["file"]).with_name("network.png")
        network_figure(picture, event["name"], summary)
        yield partial(self._log_file, picture, None)

    def _image(self, event: Event) -> Iterator[Call]:
        with Image.open(self.folder / event["file"]) as image:
            image.load()
            yield from self._picture(event["key"], image, event)

    def _picture(self, key: str, image: Image.Image, event: Event) -> Iterator[Call]:
        yield partial(self._upload, image_key_of(key), image, event)
        yield partial(self._log, "tags", [RunTag(LOGGED_IMAGES, "True")])

    def _upload(self, key: str, image: Image.Image, event: Event) -> None:
        """Do what MLflow's log_image does, but under a deterministic name, so that a repeated call does not log it twice."""
        stem = f"{key.replace('/', '~')}+step+{event['step']}+timestamp+{event['time']}"
        name = f"{stem}+{uuid5(NAMESPACE_URL, stem)}"
        with tempfile.TemporaryDirectory() as folder:
            image.save(Path(folder) / f"{name}.png")
            compress_image_size(image).save(Path(folder) / f"{name}+compressed.webp")
            for file in Path(folder).iterdir():
                self._log_file(file, "images")

    def _artifact(self, event: Event) -> Iterator[Call]:
        file = self.folder / event["file"]
        file.stat()  # raises here if the log lacks the file, which is no fault of the store
        yield partial(self._log_file, file, event["folder"])

    def delete_tag(self, tag: str) -> None:
        """Delete a tag of the run; a missing one is no error."""
        if tag in self.client.get_run(self.state.run).data.tags:
            self.client.delete_tag(self.state.run, tag)

    def log_text(self, text: str, name: str) -> None:
        """Log a text as an artifact. Raises NetworkError where the store has not kept it."""
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / name).write_text(text)
            self._log_file(Path(folder) / name, None)

    def _log_file(self, file: Path, folder: str | None) -> None:
        """Log an artifact. Raises NetworkError where it is missing afterwards: a login page also returns 200."""
        self.client.log_artifact(self.state.run, str(file), folder)
        if file.name not in (PurePosixPath(there.path).name for there in self.client.list_artifacts(self.state.run, folder)):
            raise NetworkError(f"the MLflow store reported success but has not kept {file.name}; {ADDRESS}")

    def _end(self, event: Event) -> Iterator[Call]:
        if self.state.refused:
            reasons = "; ".join(refusal["reason"] for refusal in self.state.refused)
            yield from self._tags({"values": {NOT_UPLOADED: cut(reasons, LONGEST_TAG)}})
        yield partial(self.describe, None if self.state.had else event["status"])
        if not self.state.had:
            yield partial(self._terminate, event)

    def describe(self, status: str | None = None) -> None:
        """Describe the run by what the store has of it, unless somebody else wrote its description. status: that it is to have."""
        run = self.client.get_run(self.state.run)
        tags, text = run.data.tags, cut(description(run, status or run.info.status), LONGEST_TAG)
        if text and (NOTE not in tags or short_hash(tags[NOTE]) == tags.get(DESCRIBED)):
            self._log("tags", [RunTag(NOTE, text), RunTag(DESCRIBED, short_hash(text))])

    def _terminate(self, event: Event) -> None:
        run = self.client.get_run(self.state.run)
        end = max(event["time"], run.info.start_time)  # the clock may have gone back since
        self.client.set_terminated(self.state.run, event["status"], end)
        if LAUNCHER in run.data.tags:
            bring_up_to_date(self.store, run, end)


LONGEST_KEY, LONGEST_PARAM, LONGEST_TAG, LONGEST_SOURCE = 250, 6000, 8000, 65535  # characters: mlflow/utils/validation.py
LONGEST_IMAGE = 150  # bytes: file names add about 90

KEY = re.compile(r"[^\w.\- :/]")  # invalid in the key of a parameter, metric or tag
IMAGE = re.compile(r"[^a-zA-Z0-9_\-./ ]")  # invalid in the key of a picture


def key_of(name: str, invalid: re.Pattern[str] = KEY, longest: int = LONGEST_KEY) -> str:
    """Return a valid key of a parameter, metric or tag, of at most 250 characters; a name that has to change gets a hash."""
    kept = invalid.sub("_", name) or "_"
    if posixpath.normpath(kept) != kept or kept == "." or kept.startswith(("..", "/")):  # MLflow resolves keys as paths
        kept = re.sub(r"[/.]", "_", kept)
    return name if kept == name and len(name) <= longest else f"{kept[: longest - 10]}-{short_hash(name)}"


def image_key_of(name: str) -> str:
    """Return a valid key of an image: at most 150 ASCII characters, as it becomes part of file names."""
    return key_of(name, IMAGE, LONGEST_IMAGE)


def cut(value: str, most: int) -> str:
    """Truncate a value to `most` characters, ending in a hash so that distinct values stay distinct."""
    return value if len(value) <= most else f"{value[: most - 10]}… {short_hash(value)}"
