"""Page: how many filters?"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from pipeline.config.wording import counted
from pipeline.model.cnn import CNN
from tour.drawing.plots import Plot, curves
from tour.feature_maps import parameters
from tour.material import Lesson, Material
from tour.page import Block, Page, Picture, Table
from tour.small_training import EPOCHS, compared, network, one_convolution, percent_of, spread

COUNTS = (1, 2, 5, 10, 20, 50, 100)
FEW = 10  # of these counts: what comes before it is set against what comes after
UNITS = 32  # of the network without filters
SEEDS = range(3)


def fully_connected(lesson: Lesson, seed: int) -> CNN:
    """Return a network that has no filters: a hidden layer and scores."""
    return network({"hidden": {"kind": "linear", "units": UNITS}, "relu": {"kind": "relu"}, "scores": {"kind": "linear"}}, lesson, seed)


def gains(means: Mapping[int, float]) -> str:
    """Return what more filters brought. means: number of filters -> mean accuracy."""
    few, middle, many = COUNTS[0], FEW, COUNTS[-1]
    first, then = means[middle] - means[few], means[many] - means[middle]
    told = (
        f"From {few} to {middle} filters the mean accuracy changes by {100 * first:+.1f} points, from {middle} to {many} by "
        f"{100 * then:+.1f}."
    )
    if max(first, then) <= 0:
        return f"{told} More filters bring nothing here."
    if first >= then:
        return f"{told} The first few bring most here; those after them have less left to find."
    return f"{told} The later ones bring more here than the first few."


def body(material: Material) -> list[Block]:
    lesson = material.lesson
    variants = {counted(count, "filter"): partial(_with_filters, lesson, count) for count in COUNTS}
    without = f"no convolution, {UNITS} hidden units"
    makers = variants | {without: partial(fully_connected, lesson)}
    found = compared(makers, lesson, SEEDS)
    return [
        "The number of filters is a *hyper-parameter*: it is chosen, not learned. More filters can look for more different things, "
        "cost more time and have more weights to fit. Karn writes that more filters extract more features and the network gets better; "
        "readers ask how many are right.",
        f"One convolution 3x3, ReLU, max pooling, scores; Adam, {EPOCHS} epochs, {len(SEEDS)} trainings each from other first weights, "
        f"{lesson.about}. {lesson.measured}",
        Picture("counts", "Accuracy by the number of filters", lambda path: _draw(path, [found[label] for label in variants])),
        Table(
            ("", "parameters", "accuracy"),
            [(label, f"{parameters(makers[label](0)):,}", percent_of(shares)) for label, shares in found.items()],
        ),
        gains({count: spread(found[label])[0] for count, label in zip(COUNTS, variants, strict=True)}),
        "The last row has no convolution at all: each hidden unit has a weight for every pixel.",
        "The number has no part in the *size* of the maps. Deshpande's remark that more filters preserve the spatial dimensions better "
        "is a slip: padding does that ([page](sizes)), filters make the depth.",
        "To try it on your own data: `python -m pipeline.stage.train -m model=cnn model.layers.conv1.filters=4,16,64`.",
    ]


def _with_filters(lesson: Lesson, count: int, seed: int) -> CNN:
    return one_convolution(lesson, seed, count)


def _draw(path: Path, found: list[list[float]]) -> None:
    middle = [spread(shares)[0] for shares in found]
    lines = {"mean": (COUNTS, middle), "worst": (COUNTS, list(map(min, found))), "best": (COUNTS, list(map(max, found)))}
    plot = Plot("accuracy of others", "filters", lines, is_share=True, has_log_x=True, has_points=True)
    curves(path, "Accuracy by the number of filters", [plot], size=(5.6, 3.2))


PAGE = Page("filter-count", "How many filters?", "1 to 100, and none", body)
