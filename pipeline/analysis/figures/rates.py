"""The learning-rate range test: loss over learning rate, with the suggested rates."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator

from pipeline.analysis.figures.style import INK, PALE, TRAIN, VALIDATION, page, save, scale_by_powers_of_ten
from pipeline.analysis.lr_curve import RateCurve

MARGIN = 0.12  # of the curve's height, below it, and twice above it for the labels


def rate_figure(path: Path, title: str, curve: RateCurve) -> None:
    """Draw each batch's loss, the moving average with its minimum, and the suggested rates."""
    figure = page(7.6, 4.4, title)
    axes = figure.subplots()
    rates, smooth = curve.rates[: len(curve.losses)], curve.smooth
    axes.plot(rates, curve.losses, ".", color=PALE, markersize=6, label="loss of a batch")
    axes.plot(rates, smooth, color=VALIDATION, linewidth=2.2, label="averaged over neighbours")
    height = np.ptp(smooth)
    axes.set_ylim(max(0.0, smooth.min() - MARGIN * height), smooth.max() + 2 * MARGIN * height)
    scale_by_powers_of_ten(axes, "x")
    axes.set_xlim(rates[0], 10 ** np.ceil(np.log10(rates[-1])))
    axes.xaxis.set_major_locator(LogLocator(numticks=12))
    axes.set(xlabel="learning rate, higher by each step", ylabel="loss in training")
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, loc="lower left", fontsize=8)
    _mark(axes, curve)
    save(figure, path)


def _mark(axes: Axes, curve: RateCurve) -> None:
    if curve.lowest is not None:
        axes.plot(curve.rates[curve.lowest], curve.smooth[curve.lowest], "o", color=VALIDATION, markersize=7, markeredgecolor="white")
        here = (curve.rates[curve.lowest], curve.smooth[curve.lowest])
        axes.annotate("lowest", here, (0, -17), textcoords="offset points", ha="center", fontsize=8, backgroundcolor="#ffffffc0")
    suggested = sorted(curve.suggested.items(), key=lambda entry: entry[1])
    for (why, rate), side, shift in zip(suggested, ("right", "left"), (-5, 5), strict=False):
        axes.axvline(rate, color=TRAIN, linewidth=1.2, linestyle=(0, (4, 3)))
        words = f"{rate:.2g}\n{why}"
        axes.annotate(
            words, (rate, 1), (shift, -4), xycoords=axes.get_xaxis_transform(), textcoords="offset points", ha=side, va="top", color=INK
        )
