"""A journal's events as MLflow's client takes them."""

import json
from dataclasses import dataclass, field
from importlib.metadata import distributions
from pathlib import Path, PurePosixPath

import numpy as np
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, RunTag
from PIL import Image

from pipeline.analysis.filters import PIXELS, colour_limit, enlarged, filter_mosaic
from pipeline.analysis.layer_table import layer_table
from pipeline.model.rows import Summary
from pipeline.tracking.journal import Event
from pipeline.tracking.store import Store
from pipeline.tracking.system import MACHINE

MOST_PARAMS = 100  # that MLflow takes at a time
FILTERS = "filters/first_layer"  # one key for all networks: the pages show equal keys side by side


@dataclass
class State:
    """What delivery must remember between two events."""

    arrived: int = 0  # events
    run: str = ""  # MLflow's id of the run
    had: list[str] = field(default_factory=list)  # tags of a run that was there before; none: this journal made it or goes on with it
    before: dict[str, int] = field(default_factory=dict)  # metric -> last step that earlier starts of this training have told
    pictured: list[int] = field(default_factory=list)  # steps whose filters they have told
    limit: float = 1.0  # of the filter pictures' colours


class Arrival:
    """Writes events into the run that the first of them names or makes."""

    def __init__(self, store: Store, folder: Path, state: State) -> None:
        self.store = store
        self.client = store.client
        self.folder = folder
        self.state = state

    def take(self, event: Event) -> None:
        """Raises MlflowException or OSError where the store does not take it."""
        if event.get("unless") not in self.state.had:
            getattr(self, f"_{event['event']}")(event)

    def _begin(self, event: Event) -> None:
        tags = event["tags"]  # the experiment is the journal's own: a courier delivers those of others too
        if "training" in tags and (begun := self.store.run_of_training(tags["training"])):
            self._go_on(begun, event)
            return
        found = self.store.run_of(tags["bundle"], tags.get("dvc_experiment")) if "bundle" in tags else None
        self.state.had = list(found.data.tags) if found else []
        self.state.run = found.info.run_id if found else self._make_run(event)

    def _make_run(self, event: Event) -> str:
        run = self.client.create_run(self.store.experiment, event["time"], event["tags"], event["name"]).info.run_id
        params = [Param(key, value) for key, value in event["params"].items()]
        for start in range(0, len(params), MOST_PARAMS):
            self.client.log_batch(run, params=params[start : start + MOST_PARAMS])
        self.client.log_inputs(run, [_dataset(event["data"])])
        packages = sorted(f"{found.name}=={found.version}" for found in distributions())
        self.client.log_text(run, "\n".join(packages) + "\n", "packages.txt")
        return run

    def _go_on(self, begun: Run, event: Event) -> None:
        """Open the run of a training that was stopped and goes on, and learn what it has: each epoch counts once."""
        self.state.run = begun.info.run_id
        self.state.before = {
            name: max(point.step for point in self.client.get_metric_history(self.state.run, name)) for name in begun.data.metrics
        }
        names = [PurePosixPath(file.path).name for file in self.client.list_artifacts(self.state.run, "images")]
        self.state.pictured = [int(name.split("+")[2]) for name in names if name.startswith(f"{FILTERS.replace('/', '~')}+step+")]
        self.client.update_run(self.state.run, status="RUNNING", name=event["name"])
        self._tags({"values": event["tags"]})

    def _metrics(self, event: Event) -> None:
        metrics = [Metric(name, value, event["time"], step) for name, value in event["values"].items() for step in self._step(name, event)]
        self.client.log_batch(self.state.run, metrics=metrics)

    def _step(self, name: str, event: Event) -> list[int]:
        """Return the step of a point, or none where an earlier start has told it; the machine's samples are counted on."""
        last = self.state.before.get(name, -1)
        if name.startswith(MACHINE):
            return [event["step"] + last + 1]
        return [event["step"]] if event["step"] > last else []

    def _tags(self, event: Event) -> None:
        self.client.log_batch(self.state.run, tags=[RunTag(name, value) for name, value in event["values"].items()])

    def _filters(self, event: Event) -> None:
        weight = np.load(self.folder / event["file"], allow_pickle=False)  # (out, in, kh, kw)
        if event["step"] == 0:
            self.state.limit = colour_limit(weight)
        if event["step"] in self.state.pictured:
            return
        picture = enlarged(filter_mosaic(weight, self.state.limit), PIXELS)
        self.client.log_image(self.state.run, picture, key=FILTERS, step=event["step"], timestamp=event["time"])

    def _layers(self, event: Event) -> None:
        from pipeline.analysis.figures.network import network_figure  # imports matplotlib, which nothing else here needs

        summary = Summary.from_dict(json.loads((self.folder / event["file"]).read_text()))
        self.client.log_text(self.state.run, layer_table(summary, event["batch_size"]), "layers.txt")
        picture = (self.folder / event["file"]).with_name("network.png")
        network_figure(picture, event["name"], summary)
        self.client.log_artifact(self.state.run, str(picture))

    def _image(self, event: Event) -> None:
        with Image.open(self.folder / event["file"]) as image:
            self.client.log_image(self.state.run, image, key=event["key"], step=event["step"], timestamp=event["time"])

    def _artifact(self, event: Event) -> None:
        self.client.log_artifact(self.state.run, str(self.folder / event["file"]), event["folder"])

    def _end(self, event: Event) -> None:
        if not self.state.had:
            self.client.set_terminated(self.state.run, event["status"], event["time"])


def _dataset(data: Event) -> DatasetInput:
    """Return a training's data as the pages show it: name, digest, where from, how many images of what shape."""
    schema = {"images": data["images"], "shape": data["shape"]}
    source = json.dumps(data["source"])
    dataset = Dataset(data["name"], data["digest"], "image-line", source, profile=json.dumps(schema))
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])
