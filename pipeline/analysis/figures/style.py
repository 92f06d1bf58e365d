"""What all figures have in common: colours, fonts and how they are saved."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # no window, also where a display is there

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

INK, TRAIN, VALIDATION, PALE = "#22303c", "#c8553d", "#2a6f97", "#c9d3da"
WRONG, RIGHT = TRAIN, VALIDATION

DPI = 110

plt.rcParams |= {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def page(width: float, height: float, title: str) -> Figure:
    """Begin a figure of some inches, headed at the left."""
    figure = plt.figure(figsize=(width, height), layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold")
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a figure and forget it."""
    figure.savefig(path, dpi=DPI, metadata={"Software": None})  # no version in it: equal work, equal bytes
    plt.close(figure)
