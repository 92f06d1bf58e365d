"""Page: how many filters?"""

from functools import partial
from pathlib import Path

from pipeline.analysis.figures.tour_curves import Plot, curves
from pipeline.model.cnn import CNN
from pipeline.tour.feature_maps import parameters
from pipeline.tour.material import Lesson, Material
from pipeline.tour.page import Block, Page, Picture, Table
from pipeline.tour.small_training import EPOCHS, compared, network, one_convolution, percent_of, spread

COUNTS = (1, 2, 5, 10, 20, 50, 100)
UNITS = 32  # of the network without filters
SEEDS = range(3)


def fully_connected(lesson: Lesson, seed: int) -> CNN:
    """Return a network that has no filters: a hidden layer and scores."""
    return network({"hidden": {"kind": "linear", "units": UNITS}, "relu": {"kind": "relu"}, "scores": {"kind": "linear"}}, lesson, seed)


def body(material: Material) -> list[Block]:
    lesson = material.lesson
    variants = {f"{count} filter{'s' * (count > 1)}": partial(_with_filters, lesson, count) for count in COUNTS}
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
        "The first few filters bring most; each further one has less left to find. The last row has no convolution at all: each hidden "
        "unit has a weight for every pixel.",
        "The number has no part in the *size* of the maps. Deshpande's remark that more filters preserve the spatial dimensions better "
        "is a slip: padding does that ([page 5](05-sizes.md)), filters make the depth.",
        "To try it on your own data: `python -m pipeline.stage.train -m model=cnn model.layers.conv1.filters=4,16,64`.",
    ]


def _with_filters(lesson: Lesson, count: int, seed: int) -> CNN:
    return one_convolution(lesson, seed, count)


def _draw(path: Path, found: list[list[float]]) -> None:
    middle = [spread(shares)[0] for shares in found]
    lines = {"mean": (COUNTS, middle), "worst": (COUNTS, list(map(min, found))), "best": (COUNTS, list(map(max, found)))}
    plot = Plot("accuracy", "filters", lines, is_share=True, has_log_x=True, has_points=True)
    curves(path, "More filters, less and less gain", [plot], size=(5.6, 3.2))


PAGE = Page("filter-count", "How many filters?", "1 to 100, and none", body)
