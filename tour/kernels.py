"""Page: filters that people thought of, on a photo."""

from pathlib import Path

import numpy as np

from tour.arithmetic import Matrix, correlate
from tour.drawing.panels import Panel, panels
from tour.material import Material
from tour.page import Block, Page, Picture, Table

# Karn's table, after Wikipedia's article "Kernel (image processing)".
KERNELS: dict[str, Matrix] = {
    "identity": np.array([[0.0, 0, 0], [0, 1, 0], [0, 0, 0]]),
    "edges, diagonal": np.array([[1.0, 0, -1], [0, 0, 0], [-1, 0, 1]]),
    "edges, 4 neighbours": np.array([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]),
    "edges, 8 neighbours": np.array([[-1.0, -1, -1], [-1, 8, -1], [-1, -1, -1]]),
    "sharpen": np.array([[0.0, -1, 0], [-1, 5, -1], [0, -1, 0]]),
    "box blur": np.ones((3, 3)) / 9,
    "Gaussian blur": np.array([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16,
}
EVEN = 7  # the gray value of an even image, for the table


def value_range(kernel: Matrix) -> tuple[float, float]:
    """Return the smallest and largest sum that pixels of 0..255 can give."""
    return 255 * float(kernel.clip(max=0).sum()), 255 * float(kernel.clip(min=0).sum())


def even_answer(kernel: Matrix) -> float:
    """Return what an even image of the value 7 gives."""
    return float(correlate(np.full((3, 3), EVEN), kernel)[0, 0])


def body(material: Material) -> list[Block]:
    gray = material.photo.gray
    return [
        "Before filters were learned, they were thought of. These nine numbers find edges, those blur. A network's first layer learns "
        "filters of the same kinds by itself.",
        Picture("photo", "Seven filters of 3x3 on the same photo", lambda path: _draw(path, gray)),
        f"A sum of weights of 0 makes a filter blind to even surfaces; a sum of 1 keeps their brightness. On an even image of the value "
        f"{EVEN} the answers are {EVEN} or 0:",
        Table(
            ("filter", "sum of weights", f"on an even {EVEN}", "possible values", "on this photo", "how it is drawn above"),
            [_row(name, kernel, gray) for name, kernel in KERNELS.items()],
        ),
        "## Values outside 0 to 255",
        "Readers ask what becomes of an answer below 0 or above 255. A network keeps it: feature maps are floating-point numbers. Only a "
        "*picture* of a map must fit into 0 to 255, and it should say how it was made to fit. Here, edges are shown with 0 in white, "
        "positive in red and negative in blue, each map on its own scale; the others are *clipped*: what is below 0 is drawn black, "
        "what is above 255 white.",
    ]


def _row(name: str, kernel: Matrix, gray: Matrix) -> tuple[str, ...]:
    (low, high), found = value_range(kernel), correlate(gray, kernel)
    clipped = ((np.round(found, 6) < 0) | (np.round(found, 6) > 255)).mean()
    how = f"clipped to 0..255: {clipped:.1%} of the pixels change" if _keeps_brightness(kernel) else f"0 is white, ±{abs(found).max():.0f}"
    return (
        name,
        f"{kernel.sum():.0f}",
        f"{even_answer(kernel):.0f}",
        f"{low:.0f} to {high:.0f}",
        f"{found.min():.0f} to {found.max():.0f}",
        how,
    )


def _keeps_brightness(kernel: Matrix) -> bool:
    return round(kernel.sum()) == 1


def _draw(path: Path, gray: Matrix) -> None:
    shown = []
    for name, kernel in KERNELS.items():
        found = correlate(gray, kernel)
        most = float(abs(kernel).max())
        shown.append(Panel(kernel, name, "", (-most, most), "signs", ".3g"))
        limit = float(abs(found).max()) or 1.0
        if _keeps_brightness(kernel):
            shown.append(Panel(found, "on the photo", "0..255"))
        else:
            shown.append(Panel(found, "on the photo", f"±{limit:.0f}", (-limit, limit), "signs"))
    panels(path, "What a filter does is in its nine numbers", shown, columns=4, size=2.1, digits=8)


PAGE = Page("kernels", "Filters on a photo", "edges, sharpen, blur; values that no pixel can have", body)
