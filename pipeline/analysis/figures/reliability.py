"""The reliability diagram: how often answers of some confidence are right."""

from pathlib import Path

import numpy as np
from matplotlib.ticker import NullLocator

from pipeline.analysis.figures.style import INK, PALE, WRONG, page, save
from pipeline.analysis.metrics import Reliability

BARS = "#8fb8d0"  # pale, for the diagonal and the dots upon it


def reliability_page(path: Path, title: str, found: Reliability) -> None:
    """Draw accuracy by confidence, with the gap between them, above the number of images."""
    bins = len(found.images)
    figure = page(7.2, 6.4, title)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[2.6, 1])
    has = found.images > 0
    middles = (np.arange(bins) + 0.5)[has] / bins
    width = 0.94 / bins
    upper.bar(middles, found.accuracy[has], width, color=BARS, label="accuracy")
    upper.vlines(found.confidence[has], found.accuracy[has], found.confidence[has], color=WRONG, linewidth=1.6)
    upper.plot(
        found.confidence[has],
        found.confidence[has],
        "o",
        color=WRONG,
        markersize=5,
        clip_on=False,
        label="mean confidence (line: gap to accuracy)",
    )
    upper.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":", label="perfectly calibrated")
    for middle, accuracy, images in zip(middles, found.accuracy[has], found.images[has], strict=True):
        if accuracy == 0:  # a bar without height would look like one that is missing
            upper.text(middle - width / 4, 0.01, f"0 of {images:,}", ha="right", va="bottom", fontsize=7, color=INK)
    upper.set(xlim=(0, 1), ylim=(0, 1.05), ylabel="accuracy")
    upper.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False)
    upper.grid(alpha=0.25)
    counts = lower.bar(middles, found.images[has], width, color=PALE)
    lower.bar_label(counts, fmt="{:,.0f}", fontsize=7, color=INK)
    lower.set(yscale="symlog", xlabel="confidence: the probability of the predicted class", ylabel="images (log scale)")
    lower.yaxis.set_major_locator(NullLocator())
    lower.yaxis.set_minor_locator(NullLocator())
    lower.margins(y=0.2)
    save(figure, path)
