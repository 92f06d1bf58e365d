"""Page: activations and poolings compared."""

from functools import partial
from pathlib import Path

from pipeline.analysis.figures.tour_curves import Bars, bars
from pipeline.model.cnn import CNN
from pipeline.tour.material import Lesson, Material
from pipeline.tour.page import Block, Page, Picture, Table
from pipeline.tour.small_training import EPOCHS, compared, percent_of, spread, two_convolutions

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
    return [
        "Karn writes that ReLU performs better than tanh and sigmoid in most situations, and that max pooling works better in "
        f"practice. Both can be measured. Two convolutions of 3x3, 16 and 32 filters; Adam, {EPOCHS} epochs, {len(SEEDS)} trainings "
        f"each from other first weights; {lesson.about}. {lesson.measured}",
        Picture("choices", "Accuracy by activation and by pooling", lambda path: _draw(path, activations, pools)),
        Table(("activation, with max pooling", "accuracy"), [(name, percent_of(shares)) for name, shares in activations.items()]),
        Table(("pooling, with ReLU", "accuracy"), [(name, percent_of(shares)) for name, shares in pools.items()]),
        "## What follows from it, and what does not",
        "- Where two means differ by less than their deviations, these trainings do not tell the two apart.",
        "- The sigmoid is behind for the reason of [page 7](07-activations.md): slopes of ¼ at most. It is slower; with more epochs it "
        "gains.",
        "- *Sum* and *average* pooling are the same function up to a factor of four, so both can say the same. Where their accuracies "
        "differ, it is because averages make the signal smaller at each pooling, and so the training slower at this learning rate: "
        "these figures measure speed as well as what a network can become.",
        "- On large networks with batch norm the differences shrink further. Use ReLU and max pooling to begin with, and measure on "
        "your data: `python -m pipeline.stage.train -m model=cnn model.layers.pool1.kind=max_pool,average_pool`.",
    ]


def _network(lesson: Lesson, activation: str, pool: str, seed: int) -> CNN:
    return two_convolutions(lesson, seed, activation, pool)


def _draw(path: Path, activations: dict[str, list[float]], pools: dict[str, list[float]]) -> None:
    groups = [
        Bars("activation", {name: spread(shares) for name, shares in activations.items()}),
        Bars("pooling", {name: spread(shares) for name, shares in pools.items()}),
    ]
    bars(path, "Accuracy; whiskers: one deviation", groups, width=4.6)


PAGE = Page("choices", "Activations and poolings compared", "ReLU, tanh, sigmoid; max, L2, sum, average", body)
