"""What differs between runs: parameters, data, code; and each run's best, last, kept and median figures.

Functions of plain values, for the terminal and for other programs."""

import math
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from pipeline.tracking.tracked_runs import CURVES, OF_KEPT_EPOCH, SPEED, Curve, TrackedRun, Values


@dataclass(frozen=True)
class Figure:
    """One number of each run; None where a run has none."""

    metric: str
    kind: str  # best | last | kept (at the kept epoch) | median
    values: list[float | None]
    epochs: list[int | None]  # when a best value was reached
    leaders: frozenset[int]  # indices of the best runs among those that compare

    @property
    def label(self) -> str:
        return self.metric if self.kind == "kept" else f"{self.metric} {self.kind}"


def differing(runs: list[TrackedRun]) -> dict[str, Values]:
    """Return key -> values for the parameters that are not equal in all runs, sorted, which keeps groups together."""
    keys = sorted({key for run in runs for key in run.params})
    rows = {key: [run.params.get(key) for run in runs] for key in keys}
    return {key: values for key, values in rows.items() if len(set(values)) > 1}


def implied(params: dict[str, Values]) -> list[str]:
    """Return the keys that differ because runs chose different options of a group, whose name says it already."""
    chosen = {key.removesuffix(".name") for key in params if key.endswith(".name") and key.count(".") == 1}
    of_choice = [key for key in params if key.partition(".")[0] in chosen]
    return [key for key in of_choice if None in params[key] or (key.count(".") == 1 and key.endswith("._target_"))]


def equal_params(runs: list[TrackedRun]) -> int:
    return len({key for run in runs for key in run.params}) - len(differing(runs))


def tags(runs: list[TrackedRun], name: str) -> Values:
    return [run.tags.get(name) for run in runs]


def same_data(runs: list[TrackedRun]) -> bool:
    """Tell whether all runs say that they were trained on the same images."""
    digests = set(tags(runs, "data_digest"))
    return len(digests) == 1 and None not in digests


def by_data(runs: list[TrackedRun]) -> list[list[int]]:
    """Return the indices of the runs that were trained on the same images; a run that does not say on which is in none."""
    digests = tags(runs, "data_digest")
    return [[i for i, digest in enumerate(digests) if digest == one] for one in dict.fromkeys(digests) if one is not None]


def incomparable(runs: list[TrackedRun]) -> set[str]:
    """Return the metrics that measure something else in each of these runs, be it on the same images."""
    groups = {key.partition(".")[0] for key in differing(runs)}
    of_loss = {"train/loss", "validation/loss"} if "loss" in groups else set()
    return of_loss | ({"train/loss", "train/accuracy"} if "augmentation" in groups else set())


# Figures


def lower_is_better(metric: str) -> bool:
    return metric.endswith("loss")  # as training selects its epoch


def best_epoch(metric: str, curve: Curve) -> int | None:
    """Return the first epoch with the best finite value."""
    finite = {epoch: value for epoch, value in curve.items() if math.isfinite(value)}
    select = min if lower_is_better(metric) else max
    return select(finite, key=lambda epoch: finite[epoch], default=None)


def kept_epoch(run: TrackedRun) -> int | None:
    """Return the epoch whose weights the run's bundle holds, by which it was tested."""
    monitor = run.params.get("training.monitor", "")
    return best_epoch(monitor, run.curves.get(monitor, {}))


def figures(runs: list[TrackedRun]) -> list[Figure]:
    """Return the numbers of every compared metric that some run has."""
    metrics = [metric for metric in (*CURVES, *OF_KEPT_EPOCH, *SPEED) if any(metric in run.curves for run in runs)]
    return [figure for metric in metrics for figure in _figures(metric, runs)]


def _figures(metric: str, runs: list[TrackedRun]) -> list[Figure]:
    curves = [run.curves.get(metric, {}) for run in runs]
    if metric in SPEED:  # the median, because the first epoch also warms up
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
    """Return the indices of the best runs of each data set, where the metric compares and tells some of them apart."""
    found: set[int] = set()
    for group in by_data(runs):
        finite = {i: value for i in group if (value := values[i]) is not None and math.isfinite(value)}
        if len(set(finite.values())) > 1 and metric not in incomparable([runs[i] for i in finite]):
            best = min(finite.values()) if lower_is_better(metric) else max(finite.values())
            found |= {i for i, value in finite.items() if value == best}
    return frozenset(found)


# For other programs


def table(runs: list[TrackedRun]) -> list[dict[str, Any]]:
    """Return a row of unrounded values per run; all rows have the same keys, None where a run has no value."""
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
