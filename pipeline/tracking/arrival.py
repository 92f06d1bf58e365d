"""A journal's events as calls of MLflow's client."""

import json
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

from pipeline.analysis.figures.first_layer import first_layer, moment
from pipeline.analysis.filters import colour_limit
from pipeline.analysis.layer_table import layer_table
from pipeline.config.errors import NetworkError
from pipeline.model.rows import Summary
from pipeline.tracking.faults import ADDRESS, Refused, is_refusal, sentence
from pipeline.tracking.journal import Event
from pipeline.tracking.names import LONGEST_TAG, cut, image_key_of, key_of
from pipeline.tracking.notes import note
from pipeline.tracking.store import Store
from pipeline.tracking.system import MACHINE

MOST = {"metrics": 1000, "params": 100, "tags": 100}  # that MLflow takes at a time
LARGEST = 500_000  # bytes of a batch; MLflow takes 1 MB with what it puts around each entity
FILTERS = "filters/first_layer"  # one key for all networks: the pages show equal keys side by side
NOT_DELIVERED = "not_delivered"  # the tag that says what MLflow has refused of a run
LOGGED_IMAGES = "mlflow.loggedImages"  # the tag by which the pages know that a run has pictures

Part = Callable[[], None]  # one call of MLflow's, to be repeated without harm: its answer may be lost


@dataclass
class State:
    """What delivery must remember between two calls."""

    arrived: int = 0  # events
    parts: int = 0  # of the event that comes next
    run: str = ""  # MLflow's id of the run
    opened: str = ""  # MADE by this journal, RESUMED: made by an earlier start of its training, or JOINED: it is another's
    had: list[str] = field(default_factory=list)  # tags of a run that was joined
    before: dict[str, int] = field(default_factory=dict)  # metric -> last step that earlier starts of this training have told
    pictured: list[int] = field(default_factory=list)  # steps whose filters they have told
    limit: float = 1.0  # of the filter pictures' colours
    refused: list[dict[str, Any]] = field(default_factory=list)  # number of the event, reason


class Arrival:
    """Says in which calls an event reaches the run that the opening has named or made."""

    def __init__(self, store: Store, folder: Path, state: State) -> None:
        self.store = store
        self.client = store.client
        self.folder = folder
        self.state = state
        self.is_over = False  # the run has been told its end, and perhaps that of a later start

    def parts(self, event: Event) -> Iterator[Part]:
        """Yield the calls that an event takes; the same ones in the same order, each time.

        Raises an OSError, ValueError or LookupError of its own where what the journal says can't be read."""
        kinds = {"metrics": self._metrics, "tags": self._tags, "filters": self._filters, "layers": self._layers}
        kinds |= {"image": self._image, "artifact": self._artifact, "end": self._end}
        if event["event"] not in kinds:
            raise ValueError(f"a line that is torn or of another version: {event.get('line', event['event'])}")
        if event.get("unless") not in self.state.had:
            yield from kinds[event["event"]](event)

    def has_run(self) -> bool:
        """Tell whether the store still has the run that was reached; say so where it has not, as it is made anew then."""
        try:
            return bool(self.client.get_run(self.state.run))
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            note(f"MLflow has the run {self.state.run[:8]} no more; it is made anew from {self.folder.parent.name}/{self.folder.name}")
            return False

    def batches(self, kind: str, entities: list[Any]) -> Iterator[Part]:
        """Yield the calls that log metrics, params or tags, each as large as MLflow takes it."""
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
        """Log a batch; where MLflow refuses it, each entity alone. Raises Refused that names those which it does not take."""
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

    def _metrics(self, event: Event) -> Iterator[Part]:
        metrics = [
            Metric(key_of(name), value, event["time"], step) for name, value in event["values"].items() for step in self._step(name, event)
        ]
        return self.batches("metrics", metrics)

    def _step(self, name: str, event: Event) -> list[int]:
        """Return the step of a point, or none where an earlier start has told it; the machine's samples are counted on."""
        last = self.state.before.get(key_of(name), -1)
        if name.startswith(MACHINE):
            return [event["step"] + last + 1]
        return [event["step"]] if event["step"] > last else []

    def _tags(self, event: Event) -> Iterator[Part]:
        return self.batches("tags", [RunTag(key_of(name), cut(value, LONGEST_TAG)) for name, value in event["values"].items()])

    def _filters(self, event: Event) -> Iterator[Part]:
        weight = np.load(self.folder / event["file"], allow_pickle=False)  # (out, in, kh, kw)
        if event["step"] == 0:
            self.state.limit = colour_limit(weight)
        if event["step"] not in self.state.pictured:
            yield from self._picture(FILTERS, first_layer(weight, self.state.limit, moment(event["step"])), event)

    def _layers(self, event: Event) -> Iterator[Part]:
        from pipeline.analysis.figures.network import network_figure  # imports matplotlib, which nothing else here needs

        summary = Summary.from_dict(json.loads((self.folder / event["file"]).read_text()))
        yield partial(self.store_text, layer_table(summary, event["batch_size"]), "layers.txt")
        picture = (self.folder / event["file"]).with_name("network.png")
        network_figure(picture, event["name"], summary)
        yield partial(self._store_file, picture, None)

    def _image(self, event: Event) -> Iterator[Part]:
        with Image.open(self.folder / event["file"]) as image:
            image.load()
            yield from self._picture(event["key"], image, event)

    def _picture(self, key: str, image: Image.Image, event: Event) -> Iterator[Part]:
        yield partial(self._upload, image_key_of(key), image, event)
        yield partial(self._log, "tags", [RunTag(LOGGED_IMAGES, "True")])

    def _upload(self, key: str, image: Image.Image, event: Event) -> None:
        """Store a picture as log_image does; but that names it by chance, so that a repeated call would make it twice."""
        place = f"{key.replace('/', '~')}+step+{event['step']}+timestamp+{event['time']}"
        name = f"{place}+{uuid5(NAMESPACE_URL, place)}"
        with tempfile.TemporaryDirectory() as folder:
            image.save(Path(folder) / f"{name}.png")
            compress_image_size(image).save(Path(folder) / f"{name}+compressed.webp")
            for file in Path(folder).iterdir():
                self._store_file(file, "images")

    def _artifact(self, event: Event) -> Iterator[Part]:
        file = self.folder / event["file"]
        file.stat()  # what the journal lacks is no fault of the store
        yield partial(self._store_file, file, event["folder"])

    def forget(self, tag: str) -> None:
        """Delete a tag of the run, where it has it."""
        if tag in self.client.get_run(self.state.run).data.tags:
            self.client.delete_tag(self.state.run, tag)

    def store_text(self, text: str, name: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / name).write_text(text)
            self._store_file(Path(folder) / name, None)

    def _store_file(self, file: Path, place: str | None) -> None:
        """Store an artifact. Raises NetworkError where it is not there then: a login's page also answers that all is well."""
        self.client.log_artifact(self.state.run, str(file), place)
        if file.name not in (PurePosixPath(there.path).name for there in self.client.list_artifacts(self.state.run, place)):
            raise NetworkError(f"the MLflow store has not kept {file.name}, though it said so; {ADDRESS}")

    def _end(self, event: Event) -> Iterator[Part]:
        if self.state.refused:
            reasons = "; ".join(refusal["reason"] for refusal in self.state.refused)
            yield from self._tags({"values": {NOT_DELIVERED: cut(reasons, LONGEST_TAG)}})
        if not self.state.had:
            yield partial(self._terminate, event)

    def _terminate(self, event: Event) -> None:
        start = self.client.get_run(self.state.run).info.start_time  # a clock that was set back since would end it before
        self.client.set_terminated(self.state.run, event["status"], max(event["time"], start))
