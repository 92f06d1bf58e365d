"""The common style of all figures: colours, fonts, labels, saving."""

import functools
import math
from pathlib import Path
from typing import Literal

import matplotlib

matplotlib.use("Agg")  # no window, even with a display

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, fontManager, get_font
from matplotlib.text import Text
from matplotlib.textpath import text_to_path
from matplotlib.ticker import LogFormatter

from pipeline.dataset.names import shown, spelled_out

INK, TRAIN, VALIDATION, PALE = "#22303c", "#c8553d", "#2a6f97", "#c9d3da"
WRONG, RIGHT = TRAIN, VALIDATION

DPI = 110
HEADING = 13  # points
LONGEST, SHORTEST = 24, 5  # characters of a class's name

# Fallbacks in order, as far as installed: Chinese, Japanese, Korean, and most other scripts.
FONTS = [
    *("DejaVu Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei"),
    *("Droid Sans Fallback", "PingFang SC", "Hiragino Sans", "Apple SD Gothic Neo", "Microsoft YaHei", "Yu Gothic", "Malgun Gothic"),
    *("Noto Sans", "Noto Sans Thai", "Noto Sans Devanagari", "Noto Sans Arabic", "Arial Unicode MS", "Unifont", "Noto Emoji"),
]
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

plt.rcParams |= {
    "text.parse_math": False,  # a $ in a name is a $
    "font.family": [name for name in FONTS if name in {font.name for font in fontManager.ttflist}],
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
    """Return a new figure, width x height inches, with a left-aligned title, wrapped if it is wider."""
    figure = plt.figure(figsize=(width, height), layout="constrained")
    figure.suptitle(_broken(title, 0.97 * width * 72), x=0.01, ha="left", fontsize=HEADING, fontweight="bold")
    return figure


def _broken(title: str, points: float) -> str:
    """Wrap a title to lines of that width, between words, and within words longer than a line."""
    lines: list[str] = []
    for word in title.split(" "):
        if lines and _is_within(points, f"{lines[-1]} {word}"):
            lines[-1] += f" {word}"
        else:
            lines += [word] if _is_within(points, word) else _pieces(word, points)
    return "\n".join(lines)


def _pieces(word: str, points: float) -> list[str]:
    pieces = [""]
    for character in word:
        if pieces[-1] and not _is_within(points, pieces[-1] + character):
            pieces.append("")
        pieces[-1] += character
    return pieces


def _is_within(points: float, line: str) -> bool:
    return width_of(drawable(line), HEADING, "bold") <= points


def label(name: str) -> str:
    """Return a class's or layer's name, shortened to a label."""
    return shown(name, LONGEST)


def label_within(points: float, name: str, size: float) -> str:
    """Return a name shortened to a width; points and size in points."""
    plain = drawable(label(name))
    several = (shown(plain, most) for most in range(len(plain), SHORTEST, -1))
    return next((text for text in several if width_of(text, size) <= points), shown(plain, SHORTEST))


def width_of(text: str, size: float, weight: str = "normal") -> float:
    """Return a line's width in points."""
    return float(text_to_path.get_text_width_height_descent(text, FontProperties(size=size, weight=weight), ismath=False)[0])


class PowersOfTen(LogFormatter):
    """Writes 10⁻³ as text, where matplotlib's own writes a formula."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        exponent = round(math.log10(x)) if x > 0 else 0
        if not super().__call__(x, pos):
            return ""
        return f"10{str(exponent).translate(SUPERSCRIPTS)}" if math.isclose(x, 10.0**exponent) else f"{x:g}"


def scale_by_powers_of_ten(axes: Axes, which: Literal["x", "y"]) -> None:
    """Make an axis logarithmic, with ticks such as 10⁻³."""
    axes.set(**{f"{which}scale": "log"})
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_formatter(PowersOfTen())
    axis.set_minor_formatter(PowersOfTen(labelOnlyBase=False))


def drawable(text: str) -> str:
    """Return a text with the characters that no installed font has escaped as Python does, instead of boxes."""
    return "".join(character if _can_be_drawn(character) else spelled_out(character) for character in text)


def _can_be_drawn(character: str) -> bool:
    return " " <= character <= "~" or character == "\n" or ord(character) in _characters()


@functools.cache
def _characters() -> frozenset[int]:
    """Return the code points that the fonts cover together, both upright and bold."""
    found = []
    for weight in ("normal", "bold"):
        paths = [fontManager.findfont(FontProperties(family=name, weight=weight)) for name in plt.rcParams["font.family"]]
        found.append(frozenset().union(*(get_font(path).get_charmap() for path in paths)))
    return frozenset.intersection(*found)


def spell_out(figure: Figure) -> None:
    """Escape what no font has in all texts of a figure, including tick labels, which axes rewrite each time."""
    for text in figure.findobj(Text):
        text.set_text(drawable(text.get_text()))
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            written = [tick.get_text() for tick in axis.get_ticklabels()]
            if any(drawable(text) != text for text in written):
                axis.set_ticklabels([drawable(text) for text in written])


def save(figure: Figure, path: Path) -> None:
    """Write a figure to a file and close it."""
    spell_out(figure)
    figure.savefig(path, dpi=DPI, metadata={"Software": None})  # no version, so that equal work has equal bytes
    plt.close(figure)
