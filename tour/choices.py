"""Page: activations and poolings compared."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from pipeline.model.cnn import CNN
from tour.drawing.plots import Bars, bars
from tour.material import Lesson, Material
from tour.page import Block, Page, Picture, Table
from tour.small_training import EPOCHS, compared, percent_of, spread, standing, two_convolutions

ACTIVATIONS = {"ReLU": "relu", "tanh": "tanh", "sigmoid": "sigmoid"}  # name -> kind of layer
POOLS = {"max": "max_pool", "L2": "l2_pool", "sum": "sum_pool", "average": "average_pool"}
SEEDS = range(5)


def body(material: Material) -> list[Block]:
    lesson = material.lesson
    by_activation = {name: partial(_network, lesson, kind, "max_pool") for name, kind in ACTIVATIONS.items()}
    by_pool = {name: partial(_network, lesson, "relu", kind) for name, kind in POOLS.items() if name != "max"}
    found = compared(by_activation | by_pool, lesson, SEEDS)
    activations = {name: found[name] for name in ACTIVATIONS}
    pools = {"max": found["ReLU"]} | {name: found[name] for name in by_pool}
    told = (standings("ReLU", activations), standings("max", pools))
    return [
        "Karn writes that ReLU performs better than tanh and sigmoid in most situations, and that max pooling works better in "
        f"practice. Both can be measured. Two convolutions of 3x3, 16 and 32 filters; Adam, {EPOCHS} epochs, {len(SEEDS)} trainings "
        f"each from other first weights; {lesson.about}. {lesson.measured}",
        Picture("choices", "Accuracy by activation and by pooling", lambda path: _draw(path, activations, pools)),
        Table(("activation, with max pooling", "accuracy"), [(name, percent_of(shares)) for name, shares in activations.items()]),
        Table(("pooling, with ReLU", "accuracy"), [(name, percent_of(shares)) for name, shares in pools.items()]),
        "## What follows from it, and what does not",
        "- Two are told apart where their means differ by more than their deviations together: here, " + "; ".join(told) + ".",
        f"- {of_sigmoid(activations)}",
        f"- {of_sums(pools)}",
        "- Large networks with batch norm, which brings every map to one size, can come out otherwise. Measure on your data: "
        "`python -m pipeline.stage.train -m model=cnn model.layers.pool1.kind=max_pool,average_pool`.",
    ]


def standings(name: str, found: Mapping[str, list[float]]) -> str:
    """Return how one stands to each of the others."""
    others = [f"{standing(found[name], shares)} {other}" for other, shares in found.items() if other != name]
    return f"{name} is {', '.join(others)}"


def of_sigmoid(activations: Mapping[str, list[float]]) -> str:
    slopes = "the slopes of [page](activations), ¼ at most,"
    if standing(activations["sigmoid"], activations["ReLU"]) == "behind":
        return f"The sigmoid is behind ReLU: {slopes} make its training slow."
    return f"The sigmoid is not behind ReLU here, although {slopes} can make a training slow: two layers are few."


def of_sums(pools: Mapping[str, list[float]]) -> str:
    same = "*Sum* and *average* pooling are the same function up to a factor of four, so a network can say the same with both"
    found = standing(pools["sum"], pools["average"])
    if found == "not told apart from":
        return f"{same}. These trainings do not tell them apart."
    why = {
        "ahead of": "averages make the signal smaller at each pooling, and so the training slower at this learning rate",
        "behind": "sums make the signal larger at each pooling, and here this learning rate suits them less",
    }[found]
    return f"{same}. That sum is {found} average has to do with the training: {why}."


def _network(lesson: Lesson, activation: str, pool: str, seed: int) -> CNN:
    return two_convolutions(lesson, seed, activation, pool)


def _draw(path: Path, activations: dict[str, list[float]], pools: dict[str, list[float]]) -> None:
    groups = [
        Bars("activation", {name: spread(shares) for name, shares in activations.items()}),
        Bars("pooling", {name: spread(shares) for name, shares in pools.items()}),
    ]
    bars(path, "Accuracy; whiskers: one deviation", groups, width=4.6)


PAGE = Page("choices", "Activations and poolings compared", "ReLU, tanh, sigmoid; max, L2, sum, average", body)
