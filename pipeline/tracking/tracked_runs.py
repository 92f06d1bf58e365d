"""Runs as the store has them, found by what a person types: a name, an id, or the beginning of an id.

They are read once; what is asked of them then (comparison.py) needs no store."""

import difflib
import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from pipeline.config.errors import DataError
from pipeline.tracking.search import every

if TYPE_CHECKING:  # the store's packages take seconds to import
    from pipeline.tracking.store import Store

CURVES = tuple(f"{split}/{name}" for split in ("train", "validation") for name in ("loss", "accuracy"))
OF_KEPT_EPOCH = ("test/loss", "test/accuracy")  # measured once, by evaluate
SPEED = ("images_per_second", "epoch_seconds")

SHORT = 8  # characters of a digest, commit or run id that a person needs

Curve = dict[int, float]  # epoch -> value
Values = list[str | None]  # of one key, one a run; None: the run lacks it


@dataclass(frozen=True)
class TrackedRun:
    id: str
    name: str
    state: str  # finished, running, failed, killed
    started: int  # milliseconds since 1970
    ended: int | None  # likewise; None: not yet
    params: dict[str, str]
    tags: dict[str, str]
    metrics: tuple[str, ...] = ()
    curves: dict[str, Curve] = field(default_factory=dict)

    @property
    def start(self) -> datetime:
        return datetime.fromtimestamp(self.started / 1000).astimezone()

    @property
    def restored(self) -> bool:
        """Whether the store made this run from a bundle: its times are not those of the training."""
        return "restored" in self.tags

    @property
    def seconds(self) -> float | None:
        return None if self.ended is None or self.restored else (self.ended - self.started) / 1000

    @property
    def epochs(self) -> int:
        return max((epoch for metric in CURVES for epoch in self.curves.get(metric, {})), default=0)


def listed(store: "Store", only: str = "", most: int | None = None) -> list[TrackedRun]:
    """Return the experiment's runs without their curves, latest first; only: a filter in MLflow's words."""
    found = every(
        store.client.search_runs,
        experiment_ids=[store.experiment],
        filter_string=only,
        max_results=min(most or 1000, 1000),
        order_by=["attributes.start_time DESC"],
    )
    return [_tracked(run) for run in islice(found, most)]


def latest(store: "Store", count: int) -> list[TrackedRun]:
    """Return the latest finished runs; raises DataError where there is none."""
    found = listed(store, "attributes.status = 'FINISHED'", count)
    if not found:
        raise DataError(f"MLflow's experiment {store.config.experiment} has no finished run; train one with `dvc repro`")
    return found


def find(wanted: str, runs: list[TrackedRun]) -> tuple[TrackedRun, list[TrackedRun]]:
    """Return the run of that name, id or unambiguous beginning of an id; of several of one name the latest, and the others.

    runs: latest first. Raises DataError that names the candidates, or the nearest names."""
    if named := [run for run in runs if run.name == wanted]:
        return named[0], named[1:]
    begun = [run for run in runs if wanted and run.id.startswith(wanted)]
    if len(begun) > 1:
        raise DataError(f"{len(begun)} runs have ids that begin with {wanted}: {told(begun)}; give more of the id, or the name")
    if not begun:
        raise DataError(f"there is no run named {wanted}, and none whose id begins so; {_instead(wanted, runs)}")
    return begun[0], []


def told(runs: list[TrackedRun], most: int = 5) -> str:
    """Return runs in one line, by name, beginning of the id and start."""
    shown = [f"{run.name} ({run.id[:SHORT]}, {run.start:%Y-%m-%d %H:%M})" for run in runs[:most]]
    return ", ".join(shown) + (f" and {len(runs) - most} more" if len(runs) > most else "")


def _instead(wanted: str, runs: list[TrackedRun]) -> str:
    if not runs:
        return "the experiment has no runs at all; train one with `dvc repro`"
    names = list(dict.fromkeys(run.name for run in runs))
    near = [name for name in names if wanted in name][:3] or difflib.get_close_matches(wanted, names, n=3)
    return f"nearest: {', '.join(near)}" if near else f"the latest are {', '.join(names[:5])}"


def _tracked(run: Any) -> TrackedRun:
    info, data = run.info, run.data
    state = info.status.lower()
    return TrackedRun(info.run_id, info.run_name, state, info.start_time, info.end_time, data.params, data.tags, tuple(data.metrics))


def with_curves(store: "Store", run: TrackedRun) -> TrackedRun:
    """Read the metrics that are compared; what else a run logs, as the system's metrics, is left out."""
    wanted = [metric for metric in (*CURVES, *OF_KEPT_EPOCH, *SPEED) if metric in run.metrics]
    return replace(run, curves={metric: _curve(store.client.get_metric_history(run.id, metric)) for metric in wanted})


def _curve(points: Iterable[Any]) -> Curve:
    """Return the latest value of each step: a resumed training and a repeated evaluation log a step again."""
    ordered = sorted(points, key=lambda point: (point.step, point.timestamp))
    return {point.step: _unclipped(point.value) for point in ordered}


def _unclipped(value: float) -> float:
    """Return infinity where the store put the largest number in its place."""
    return math.copysign(math.inf, value) if abs(value) == sys.float_info.max else value
