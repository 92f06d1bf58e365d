"""The trials of a sweep as its figures show them, and what these figures have in common."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.analysis.figures.style import PALE, TRAIN, VALIDATION, spell_out

WIDTH, HEIGHT = 4.7, 3.1  # inches: two figures fit beside each other on a page, and one is legible on a phone
REACH = 3.0  # of the distance from the best score to the median: scores that are worse by more are drawn at the edge
MARGIN = 0.06  # of an axis, beyond its ends


@dataclass(frozen=True)
class Point:
    """A trial with a score. values: of the keys that it has; curve: epoch -> score; spread: standard deviation of its trainings' scores.

    cost: what is to be small beside it."""

    number: int
    score: float
    is_pruned: bool = False
    values: Mapping[str, float | str] = field(default_factory=dict)
    curve: Mapping[int, float] = field(default_factory=dict)
    spread: float | None = None
    cost: float | None = None


@dataclass(frozen=True)
class Trials:
    """Trials in their order. monitor: what their scores are; sign: 1 where large ones are good, -1 where small ones are."""

    points: Sequence[Point]
    monitor: str
    sign: int

    @property
    def best(self) -> Point:
        """The best of those that ran to their end, the first of equal ones."""
        whole = [point for point in self.points if not point.is_pruned]
        return max(whole or self.points, key=lambda point: self.sign * point.score)

    @property
    def ends(self) -> tuple[float, float]:
        """The scores that are drawn, (low, high): a few bad trials must not press the good ones together."""
        whole = [point for point in self.points if not point.is_pruned] or self.points
        signed = np.array([self.sign * point.score for point in whole])
        reach = REACH * (signed.max() - np.median(signed))
        worst = max(signed.min(), signed.max() - reach) if reach else signed.min()
        low, high = sorted((self.sign * float(worst), self.sign * float(signed.max())))
        return low, high

    @property
    def limits(self) -> tuple[float, float]:
        """The same with a margin, for an axis."""
        low, high = self.ends
        margin = MARGIN * (high - low) or abs(high) * MARGIN or MARGIN
        return low - margin, high + margin


def panel() -> tuple[Figure, Axes]:
    figure, axes = plt.subplots(figsize=(WIDTH, HEIGHT), layout="constrained")
    axes.grid(alpha=0.25)
    return figure, axes


def scatter(axes: Axes, trials: Trials, x: Sequence[float], whole: Trials | None = None) -> None:
    """Draw scores within the limits of all trials; what lies beyond is a triangle at the edge."""
    whole = whole or trials
    low, high = whole.limits
    axes.set_ylim(low, high)
    for place, point in zip(x, trials.points, strict=True):
        is_beyond = not low <= point.score <= high
        marker = ("v" if point.score < low else "^") if is_beyond else "o"
        colour, size = (TRAIN, 8) if point is whole.best else (PALE if point.is_pruned else VALIDATION, 5)
        height = float(np.clip(point.score, low + 0.02 * (high - low), high - 0.02 * (high - low))) if is_beyond else point.score
        if point.spread and not is_beyond:
            axes.vlines(place, point.score - point.spread, point.score + point.spread, color=colour, linewidth=1.2)
        axes.plot(place, height, marker, color=colour, markersize=size, markeredgecolor="white", markeredgewidth=0.6, clip_on=False)


def svg(figure: Figure) -> str:
    """Return a figure as SVG, equal for equal trials, and close it."""
    spell_out(figure)
    stream = io.StringIO()
    with plt.rc_context({"svg.hashsalt": "sweep"}):
        figure.savefig(stream, format="svg", metadata={"Date": None})
    plt.close(figure)
    return stream.getvalue()
