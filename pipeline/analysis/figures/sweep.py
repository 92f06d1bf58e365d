"""The figures of a sweep's report, as SVG: scores in the order of trials, over one key and all keys, per epoch; importance of keys."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.ticker import MaxNLocator

from pipeline.analysis.figures.style import INK, PALE, TRAIN, VALIDATION, label_within, scale_by_powers_of_ten
from pipeline.analysis.figures.trials import MARGIN, WIDTH, Trials, panel, scatter, svg
from pipeline.config.sweep_words import Interval, Options, Values

UNSET = -0.16  # where a line of parallel coordinates passes a key that its trial does not have
RANKS = LinearSegmentedColormap.from_list("ranks", [PALE, VALIDATION])  # from the worst to the best
SMALL = 8  # points
FAR = 20  # times: costs that lie so far apart are drawn on a logarithmic scale
UNSEEN = 0.15  # of all values per epoch, the worst: they would press the others together


def history_figure(trials: Trials) -> str:
    """Draw each trial's score in their order, and the best so far."""
    figure, axes = panel()
    scatter(axes, trials, [point.number for point in trials.points])
    whole = [point for point in trials.points if not point.is_pruned]
    best = trials.sign * np.maximum.accumulate([trials.sign * point.score for point in whole])
    axes.step([point.number for point in whole], best, where="post", color=INK, linewidth=1.2)
    axes.set(xlabel="trial", ylabel=trials.monitor)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _legend(axes, trials)
    return svg(figure)


def slice_figure(trials: Trials, name: str, values: Values) -> str:
    """Draw the scores over the values of one key, within its range or above its options."""
    figure, axes = panel()
    having = Trials([point for point in trials.points if name in point.values], trials.monitor, trials.sign)
    _over(axes, having, name, values, trials)
    axes.set(xlabel=name, ylabel=trials.monitor)
    return svg(figure)


def _over(axes: Axes, having: Trials, name: str, values: Values, trials: Trials) -> None:
    if isinstance(values, Interval):
        scatter(axes, having, [float(point.values[name]) for point in having.points], trials)
        if values.is_log:
            scale_by_powers_of_ten(axes, "x")
        axes.set_xlim(*_widened(values))
        for end in (values.low, values.high):
            axes.axvline(end, color=PALE, linewidth=1, linestyle=(0, (4, 3)), zorder=0)
        return
    spread = np.random.default_rng(0).uniform(-0.18, 0.18, len(having.points))  # so that equal scores are seen
    places = [values.texts.index(str(point.values[name])) for point in having.points]
    scatter(axes, having, list(np.array(places) + spread), trials)
    for place in range(len(values.texts)):
        there = [point.score for point, at in zip(having.points, places, strict=True) if at == place and not point.is_pruned]
        if there:
            axes.hlines(np.median(there), place - 0.3, place + 0.3, color=INK, linewidth=1.6)
    axes.set_xticks(range(len(values.texts)), [label_within(WIDTH * 60 / len(values.texts), text, SMALL) for text in values.texts])
    axes.set_xlim(-0.6, len(values.texts) - 0.4)


def _widened(values: Interval) -> tuple[float, float]:
    """Return the range with a margin."""
    if values.is_log:
        margin = (values.high / values.low) ** MARGIN
        return values.low / margin, values.high * margin
    margin = MARGIN * (values.high - values.low)
    return values.low - margin, values.high + margin


def parallel_figure(trials: Trials, entries: Mapping[str, Values]) -> str:
    """Draw each trial as a line over all keys to its score; better ones are darker and lie above."""
    figure, axes = plt.subplots(figsize=(max(2 * WIDTH, 1.5 * (len(entries) + 1)), 3.6), layout="constrained")
    low, high = trials.ends if trials.ends[0] < trials.ends[1] else trials.limits
    ordered = sorted(trials.points, key=lambda point: (not point.is_pruned, trials.sign * point.score))
    for rank, point in enumerate(ordered, start=1):
        heights = [_place(point.values[name], values) if name in point.values else UNSET for name, values in entries.items()]
        score = (float(np.clip(point.score, low, high)) - low) / (high - low)
        heights.append(score if trials.sign > 0 else 1 - score)
        is_best = point is trials.best
        colour = TRAIN if is_best else RANKS(rank / len(ordered))
        axes.plot(heights, color=colour, linewidth=2.4 if is_best else 1, alpha=1 if is_best else 0.8, zorder=rank + 1000 * is_best)
    for x, (name, values) in enumerate([*entries.items(), (trials.monitor, Interval(low, high))]):
        is_upside_down = x == len(entries) and trials.sign < 0  # good scores are above
        _axis(axes, x, values, 72 * figure.get_figwidth() / (len(entries) + 1) - 8, is_upside_down=is_upside_down)
        axes.text(x, 1.06, name.replace(" (", "\n("), ha="center", fontweight="bold")
    unset = any(name not in point.values for point in trials.points for name in entries)
    if unset:
        axes.text(-0.12, UNSET, "not set", ha="right", va="center", fontsize=SMALL, color=INK)
    axes.set(xlim=(-0.5, len(entries) + 0.5), ylim=(UNSET - 0.06 if unset else -0.05, 1.2))
    axes.set_axis_off()
    return svg(figure)


def _axis(axes: Axes, x: int, values: Values, points: float, *, is_upside_down: bool) -> None:
    """Draw an upright axis with its options, or the ends and the middle of its range. points: its width."""
    axes.plot([x, x], [0, 1], color=INK, linewidth=1, zorder=3000)
    if isinstance(values, Options):
        ticks = [(_place(text, values), label_within(points / 2, text, SMALL)) for text in values.texts]
    else:
        middle = np.sqrt(values.low * values.high) if values.is_log else (values.low + values.high) / 2
        ticks = [(_place(number, values), f"{number:.3g}") for number in (values.low, middle, values.high)]
    for height, text in ticks:
        axes.text(
            x + 0.03,
            1 - height if is_upside_down else height,
            text,
            fontsize=SMALL,
            va="center",
            zorder=3001,
            bbox={"facecolor": "#ffffffc8", "linewidth": 0, "pad": 1},
        )


def _place(value: float | str, values: Values) -> float:
    """Return where a value lies on its axis, 0..1."""
    if isinstance(values, Options):
        return values.texts.index(str(value)) / (len(values.texts) - 1) if len(values.texts) > 1 else 0.5
    return values.place(float(value))


def curves_figure(trials: Trials) -> str:
    """Draw the scores per epoch; trials that were pruned are dimmed."""
    figure, axes = panel()
    for point in sorted(trials.points, key=lambda point: (not point.is_pruned, point is trials.best)):
        epochs = sorted(point.curve)
        style = (TRAIN, 2.2, 1.0) if point is trials.best else (PALE, 1.0, 0.9) if point.is_pruned else (VALIDATION, 1.0, 0.55)
        axes.plot(epochs, [point.curve[epoch] for epoch in epochs], color=style[0], linewidth=style[1], alpha=style[2])
        if point.is_pruned:
            axes.plot(epochs[-1:], [point.curve[epoch] for epoch in epochs[-1:]], "x", color="#98a6b0", markersize=4)
    shown = [trials.sign * score for point in trials.points for score in point.curve.values()]
    best = [trials.sign * score for score in trials.best.curve.values()]
    low, high = min([*best, np.quantile(shown, UNSEEN)]), max(shown)
    margin = MARGIN * (high - low) or MARGIN
    axes.set(xlabel="epoch", ylabel=trials.monitor, ylim=sorted((trials.sign * (low - margin), trials.sign * (high + margin))))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    handles = [plt.Line2D([], [], color=TRAIN, linewidth=2.2, label=f"best, trial {trials.best.number}")]
    handles += [plt.Line2D([], [], color=VALIDATION, label="ran to its end")]
    if any(point.is_pruned for point in trials.points):
        handles += [plt.Line2D([], [], color=PALE, marker="x", markeredgecolor="#98a6b0", markersize=4, label="pruned")]
    axes.legend(handles=handles, frameon=False, fontsize=SMALL)
    return svg(figure)


def front_figure(trials: Trials, front: Sequence[int], against: str) -> str:
    """Draw the scores over their costs, and a line through the trials that no other beats. front: their numbers, the cheapest first."""
    figure, axes = panel()
    scatter(axes, trials, [point.cost or 0.0 for point in trials.points])
    found = {point.number: point for point in trials.points if point.number in front}
    chosen = [found[number] for number in front if number in found]
    low, high = trials.limits
    scores = np.clip([point.score for point in chosen], low, high)
    axes.step([point.cost or 0.0 for point in chosen], scores, where="post", color=INK, linewidth=1.2)
    for point, score in zip(chosen, scores, strict=True):
        axes.annotate(str(point.number), (point.cost or 0.0, score), (4, -9 * trials.sign), textcoords="offset points", fontsize=SMALL)
    if min(costs := [point.cost or 0.0 for point in trials.points]) > 0 and max(costs) > FAR * min(costs):
        scale_by_powers_of_ten(axes, "x")
    axes.set(xlabel=against, ylabel=trials.monitor)
    return svg(figure)


def importance_figure(shares: Sequence[tuple[str, float, float, float]]) -> str:
    """Draw (key, share, low, high) as bars with the range that chance allows."""
    figure, axes = plt.subplots(figsize=(WIDTH, 0.9 + 0.34 * len(shares)), layout="constrained")
    places = range(len(shares))[::-1]
    means, lows, highs = np.array([share[1:] for share in shares]).T
    axes.barh(places, means, color=VALIDATION, height=0.6)
    axes.hlines(places, lows, highs, color=INK, linewidth=1.6)
    axes.set_yticks(places, [label_within(WIDTH * 26, name, SMALL) for name, *_ in shares], fontsize=SMALL)
    axes.set(xlabel="share of the variation, 0 to 1", xlim=(0, 1))
    return svg(figure)


def _legend(axes: Axes, trials: Trials) -> None:
    """Name what is in a figure, below its axes."""
    low, high = trials.limits
    found = [("o", TRAIN, 8, "best"), ("o", VALIDATION, 5, "ran to its end")]
    found += [("o", PALE, 5, "pruned")] if any(point.is_pruned for point in trials.points) else []
    if beyond := [point for point in trials.points if not low <= point.score <= high]:
        found += [("v" if beyond[0].score < low else "^", "#98a6b0", 5, "beyond the edge")]
    handles = [plt.Line2D([], [], marker=m, c="none", mfc=c, mec="white", ms=size, label=text) for m, c, size, text in found]
    handles += [plt.Line2D([], [], color=INK, linewidth=1.2, label="best so far")]
    legend = axes.legend(handles=handles, frameon=False, fontsize=SMALL, ncols=3, columnspacing=1, handletextpad=0.3)
    legend.set_loc("upper center")
    legend.set_bbox_to_anchor((0.45, -0.17))
