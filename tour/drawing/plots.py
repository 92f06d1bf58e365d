"""Curves, bars and scatter plots."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from pipeline.analysis.figures.style import INK, PALE, RIGHT, TRAIN, VALIDATION, WRONG, page, save, scale_by_powers_of_ten, spell_out

LINE_COLOURS = (VALIDATION, TRAIN, "#3a8f5d", "#b8862b", "#7b4f9d", INK)
LEADER = {"arrowstyle": "-", "color": "#9aa7b1", "linewidth": 0.5, "shrinkA": 0, "shrinkB": 2}  # from a name to its point


@dataclass(frozen=True)
class Plot:
    """Lines over one axis. lines: label -> (x, y)."""

    title: str
    along: str  # the x axis
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]]
    is_share: bool = False  # y is 0..1, written in percent
    is_log: bool = False  # y is drawn by its powers of ten
    has_log_x: bool = False
    has_points: bool = False


@dataclass(frozen=True)
class Bars:
    """Shares with what they vary by. bars: label -> (mean, deviation)."""

    title: str
    bars: Mapping[str, tuple[float, float]]
    marked: str | None = None  # the bar in another colour
    decimals: int = 1  # of the percent written


def curves(path: Path, title: str, plots: Sequence[Plot], size: tuple[float, float] = (3.7, 3.0)) -> None:
    figure = page(size[0] * len(plots), size[1] + 0.4, title)
    for axes, plot in zip(figure.subplots(1, len(plots), squeeze=False).flat, plots, strict=True):
        for colour, (label, (x, y)) in zip(LINE_COLOURS, plot.lines.items(), strict=False):
            axes.plot(x, y, color=colour, label=label, linewidth=1.6, marker="o" if plot.has_points else None, markersize=3.5)
        _label_plot(axes, plot)
    save(figure, path)


def _label_plot(axes: Axes, plot: Plot) -> None:
    axes.set_title(plot.title)
    axes.set_xlabel(plot.along)
    axes.grid(alpha=0.25)
    if plot.is_log:
        scale_by_powers_of_ten(axes, "y")
    if all(isinstance(x, int) for line in plot.lines.values() for x in line[0]):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if plot.has_log_x:
        scale_by_powers_of_ten(axes, "x")
        axes.minorticks_off()
    if plot.has_points:
        places = sorted({x for line in plot.lines.values() for x in line[0]})
        axes.set_xticks(places, [f"{place:g}" for place in places])
    if plot.is_share:
        axes.set_ylim(0, max(1.02, axes.get_ylim()[1]))
        axes.yaxis.set_major_formatter(PercentFormatter(1))
    if len(plot.lines) > 1:
        axes.legend(frameon=False, fontsize=8)


def bars(path: Path, title: str, groups: Sequence[Bars], width: float = 4.2) -> None:
    """Draw groups of bars side by side; a whisker is one standard deviation each way."""
    most = max(len(group.bars) for group in groups)
    figure = page(width * len(groups), 1.0 + 0.36 * most, title)
    for axes, group in zip(figure.subplots(1, len(groups), squeeze=False).flat, groups, strict=True):
        means = [mean for mean, _ in group.bars.values()]
        colours = [WRONG if label == group.marked else RIGHT for label in group.bars]
        axes.barh(range(len(means)), means, color=colours, height=0.7)
        for place, (mean, deviation) in enumerate(group.bars.values()):
            if deviation:
                axes.plot([mean - deviation, mean + deviation], [place, place], color=INK, linewidth=1.4)
            spread = f" ± {100 * deviation:.{group.decimals}f}" if deviation else ""
            axes.text(1.03, place, f"{100 * mean:.{group.decimals}f}{spread} %", va="center", fontsize=8)
        axes.set_yticks(range(len(means)), group.bars)
        axes.set(xlim=(0, 1), ylim=(most - 0.4, -0.6))
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_color(PALE)
        axes.set_title(group.title)
    save(figure, path)


def scatter(path: Path, title: str, along: str, up: str, points: Mapping[str, tuple[float, float]]) -> None:
    """Draw named points on two axes of powers of ten, each name where it meets no other."""
    figure = page(9.5, 6.2, title)
    axes = figure.subplots()
    x_values, y_values = zip(*points.values(), strict=True)
    axes.scatter(x_values, y_values, color=RIGHT, s=22, zorder=2)
    axes.set(xlabel=along, ylabel=up)
    scale_by_powers_of_ten(axes, "x")
    scale_by_powers_of_ten(axes, "y")
    axes.grid(alpha=0.25)
    axes.margins(0.09)
    spell_out(figure)
    figure.draw_without_rendering()  # places are needed in pixels
    taken = [axes.transData.transform(point) for point in points.values()]
    boxes: list[tuple[float, float, float, float]] = [(x - 4, y - 4, x + 4, y + 4) for x, y in taken]
    for (name, point), (x, y) in sorted(zip(points.items(), taken, strict=True), key=lambda pair: -pair[1][1]):
        wide, high = 5.6 * len(name), 11.0  # pixels of 7 points
        for dx, dy in ((7, -4), (7, 6), (7, -14), (-7 - wide, -4), (-7 - wide, 6), (-7 - wide, -14), (-wide / 2, 9), (-wide / 2, -19)):
            box = (x + dx, y + dy, x + dx + wide, y + dy + high)
            if not any(box[0] < b[2] and b[0] < box[2] and box[1] < b[3] and b[1] < box[3] for b in boxes):
                boxes.append(box)
                is_left, is_middle = dx == -7 - wide, dx == -wide / 2
                shift = ((-7 if is_left else 0 if is_middle else dx) * 72 / figure.dpi, dy * 72 / figure.dpi)
                side = "right" if is_left else "center" if is_middle else "left"
                axes.annotate(name, point, shift, textcoords="offset points", fontsize=7, color=INK, ha=side, arrowprops=LEADER)
                break
    save(figure, path)
