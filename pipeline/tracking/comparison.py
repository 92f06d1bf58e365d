"""Compare runs: read them once from MLflow, then find what differs in parameters, data, code and metrics, without the store."""

import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from statistics import median
from typing import TYPE_CHECKING, Any

from pipeline.config.errors import DataError
from pipeline.config.wording import nearest

if TYPE_CHECKING:  # the store's packages take seconds to import
    from pipeline.tracking.store import Store

CURVES = tuple(f"{split}/{name}" for split in ("train", "validation") for name in ("loss", "accuracy"))
OF_KEPT_EPOCH = ("test/loss", "test/accuracy", "test/macro_f1", "test/ece")  # measured once, at the kept epoch, by evaluate
SPEED = ("images_per_second", "epoch_seconds")

SHORT = 8  # characters shown of a digest, commit or run id

Curve = dict[int, float]  # epoch -> value
Values = list[str | None]  # of one key, a value per run; None: the run lacks it


@dataclass(frozen=True)
class TrackedRun:
    """A run as MLflow has it."""

    id: str
    name: str
    state: str  # finished, running, failed, killed
    started: int  # milliseconds since 1970
    ended: int | None  # likewise; None: still running
    params: dict[str, str]
    tags: dict[str, str]
    metrics: tuple[str, ...] = ()
    curves: dict[str, Curve] = field(default_factory=dict)

    @property
    def start(self) -> datetime:
        """The start in local time."""
        return datetime.fromtimestamp(self.started / 1000).astimezone()

    @property
    def restored(self) -> bool:
        """Whether this run was recreated from a bundle, so that its times are not those of the training."""
        return "restored" in self.tags

    @property
    def seconds(self) -> float | None:
        """The duration in seconds; None where it is unknown."""
        return None if self.ended is None or self.restored else (self.ended - self.started) / 1000

    @property
    def epochs(self) -> int:
        """The last epoch of any curve; 0 without curves."""
        return max((epoch for metric in CURVES for epoch in self.curves.get(metric, {})), default=0)


def listed(store: "Store", only: str = "", most: int | None = None) -> list[TrackedRun]:
    """Return the experiment's runs without their curves, latest first. only: a filter in MLflow's search syntax."""
    return [_tracked(run) for run in store.runs(only, most)]


def latest(store: "Store", count: int) -> list[TrackedRun]:
    """Return the latest finished runs of trainings; raises DataError where there is none. A sweep's own run has no network."""
    found = listed(store, "attributes.status = 'FINISHED' and params.`training.monitor` LIKE '%'", count)
    if not found:
        raise DataError(f"MLflow's experiment {store.config.experiment} has no finished run; train one with `dvc repro`")
    return found


def find(wanted: str, runs: list[TrackedRun]) -> tuple[TrackedRun, list[TrackedRun]]:
    """Return the run with this name, DVC's name of its experiment, id or unambiguous id prefix, and the earlier runs of the same name.

    runs: latest first. Raises DataError that lists the candidates, or the nearest names."""
    if named := [run for run in runs if wanted in (run.name, run.tags.get("dvc_experiment"))]:
        return named[0], named[1:]
    begun = [run for run in runs if wanted and run.id.startswith(wanted)]
    if len(begun) > 1:
        raise DataError(f"{len(begun)} runs have ids that begin with {wanted}: {described(begun)}; give more of the id, or the name")
    if not begun:
        raise DataError(f"there is no run named {wanted}, and none whose id begins so; {_instead(wanted, runs)}")
    return begun[0], []


def described(runs: list[TrackedRun], most: int = 5) -> str:
    """Return runs on one line, by name, id prefix and start."""
    shown = [f"{run.name} ({run.id[:SHORT]}, {run.start:%Y-%m-%d %H:%M})" for run in runs[:most]]
    return ", ".join(shown) + (f" and {len(runs) - most} more" if len(runs) > most else "")


def _instead(wanted: str, runs: list[TrackedRun]) -> str:
    if not runs:
        return "the experiment has no runs at all; train one with `dvc repro`"
    names = list(dict.fromkeys(run.name for run in runs))
    near = [name for name in names if wanted in name][:3] or nearest(wanted, names, most=3)
    return f"nearest: {', '.join(near)}" if near else f"the latest are {', '.join(names[:5])}"


def _tracked(run: Any) -> TrackedRun:
    info, data = run.info, run.data
    state = info.status.lower()
    return TrackedRun(info.run_id, info.run_name, state, info.start_time, info.end_time, data.params, data.tags, tuple(data.metrics))


def with_curves(store: "Store", run: TrackedRun) -> TrackedRun:
    """Return the run with the curves of all compared metrics, read from the store."""
    wanted = [metric for metric in (*CURVES, *OF_KEPT_EPOCH, *SPEED) if metric in run.metrics]
    return replace(run, curves={metric: _curve(store.client.get_metric_history(run.id, metric)) for metric in wanted})


def _curve(points: Iterable[Any]) -> Curve:
    """Return the latest value per step: a resumed training and a repeated evaluation log a step again."""
    ordered = sorted(points, key=lambda point: (point.step, point.timestamp))
    return {point.step: _unclipped(point.value) for point in ordered}


def _unclipped(value: float) -> float:
    """Return infinity where the store has clipped it to the largest float."""
    return math.copysign(math.inf, value) if abs(value) == sys.float_info.max else value


@dataclass(frozen=True)
class Figure:
    """One number per run; None where a run has none."""

    metric: str
    kind: str  # best | last | kept (at the kept epoch) | median
    values: list[float | None]
    epochs: list[int | None]  # at which a best value was reached
    leaders: frozenset[int]  # indices of the best among the comparable runs

    @property
    def label(self) -> str:
        """The row's label: the metric, with the kind unless it is kept."""
        return self.metric if self.kind == "kept" else f"{self.metric} {self.kind}"


def differing(runs: list[TrackedRun]) -> dict[str, Values]:
    """Return key -> a value per run for the parameters that differ, sorted, so that groups stay together."""
    keys = sorted({key for run in runs for key in run.params})
    rows = {key: [run.params.get(key) for run in runs] for key in keys}
    return {key: values for key, values in rows.items() if len(set(values)) > 1}


def implied(params: dict[str, Values]) -> list[str]:
    """Return the keys that differ only because the runs chose different options of a group; its name says so already."""
    chosen = {key.removesuffix(".name") for key in params if key.endswith(".name") and key.count(".") == 1}
    of_choice = [key for key in params if key.partition(".")[0] in chosen]
    return [key for key in of_choice if None in params[key] or (key.count(".") == 1 and key.endswith("._target_"))]


def tags(runs: list[TrackedRun], name: str) -> Values:
    """Return each run's value of a tag."""
    return [run.tags.get(name) for run in runs]


def same_data(runs: list[TrackedRun]) -> bool:
    """Return whether all runs were trained on the same images, by their tag data_digest."""
    digests = set(tags(runs, "data_digest"))
    return len(digests) == 1 and None not in digests


def by_data(runs: list[TrackedRun]) -> list[list[int]]:
    """Group the indices of runs by the images they were trained on; a run without that tag is in no group."""
    digests = tags(runs, "data_digest")
    return [[i for i, digest in enumerate(digests) if digest == one] for one in dict.fromkeys(digests) if one is not None]


def incomparable(runs: list[TrackedRun]) -> set[str]:
    """Return the metrics that are not comparable between these runs, even on the same images."""
    groups = {key.partition(".")[0] for key in differing(runs)}
    of_loss = {"train/loss", "validation/loss"} if "loss" in groups else set()
    return of_loss | ({"train/loss", "train/accuracy"} if "augmentation" in groups else set())


def lower_is_better(metric: str) -> bool:
    """Return whether smaller values of a metric are better."""
    return metric.endswith(("loss", "ece"))


def best_epoch(metric: str, curve: Curve) -> int | None:
    """Return the first epoch with the best finite value; None: there is none."""
    finite = {epoch: value for epoch, value in curve.items() if math.isfinite(value)}
    select = min if lower_is_better(metric) else max
    return select(finite, key=lambda epoch: finite[epoch], default=None)


def kept_epoch(run: TrackedRun) -> int | None:
    """Return the epoch whose weights the run kept and tested; None: unknown."""
    monitor = run.params.get("training.monitor", "")
    return best_epoch(monitor, run.curves.get(monitor, {}))


def figures(runs: list[TrackedRun]) -> list[Figure]:
    """Return the figures of every compared metric that some run has."""
    metrics = [metric for metric in (*CURVES, *OF_KEPT_EPOCH, *SPEED) if any(metric in run.curves for run in runs)]
    return [figure for metric in metrics for figure in _figures(metric, runs)]


def _figures(metric: str, runs: list[TrackedRun]) -> list[Figure]:
    curves = [run.curves.get(metric, {}) for run in runs]
    if metric in SPEED:  # median: the first epoch includes warm-up
        return [_figure(metric, "median", [median(curve.values()) if curve else None for curve in curves])]
    last = [list(curve.values())[-1] if curve else None for curve in curves]
    if metric in OF_KEPT_EPOCH:
        return [replace(_figure(metric, "kept", last), leaders=leaders(metric, last, runs))]
    epochs = [best_epoch(metric, curve) for curve in curves]
    best = [None if epoch is None else curve[epoch] for epoch, curve in zip(epochs, curves, strict=True)]
    return [Figure(metric, "best", best, epochs, leaders(metric, best, runs)), _figure(metric, "last", last)]


def _figure(metric: str, kind: str, values: list[float | None]) -> Figure:
    return Figure(metric, kind, values, [None] * len(values), frozenset())


def leaders(metric: str, values: list[float | None], runs: list[TrackedRun]) -> frozenset[int]:
    """Return the indices of the best runs on each data set, where the metric is comparable and not equal for all."""
    found: set[int] = set()
    for group in by_data(runs):
        finite = {i: value for i in group if (value := values[i]) is not None and math.isfinite(value)}
        if len(set(finite.values())) > 1 and metric not in incomparable([runs[i] for i in finite]):
            best = min(finite.values()) if lower_is_better(metric) else max(finite.values())
            found |= {i for i, value in finite.items() if value == best}
    return frozenset(found)


def table(runs: list[TrackedRun]) -> list[dict[str, Any]]:
    """Return a row of unrounded values per run, all with the same keys; None where a run has no value."""
    params, numbers = differing(runs), figures(runs)
    rows = []
    for i, run in enumerate(runs):
        row: dict[str, Any] = {"name": run.name, "id": run.id, "state": run.state, "started": run.start.isoformat(timespec="seconds")}
        row |= {"seconds": run.seconds, "restored": run.restored}
        row |= {name: run.tags.get(name) for name in ("data_digest", "commit", "dirty")}
        row |= {key: values[i] for key, values in params.items()}
        row |= {"kept_epoch": kept_epoch(run)}
        for figure in numbers:
            row[figure.label] = figure.values[i]
            if figure.kind == "best":
                row[f"{figure.label} epoch"] = figure.epochs[i]
        rows.append(row)
    return rows
