"""Page: what a training begins with."""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from pipeline.model.cnn import CNN
from pipeline.model.init import he, init_weights, normal, xavier, zeros
from tour.drawing.plots import Bars, bars
from tour.material import Lesson, Material
from tour.page import Block, Page, Picture, Table
from tour.small_training import EPOCHS, compared, percent, spread, two_convolutions

RULES: dict[str, Callable[[Tensor], None] | None] = {
    "He": he,
    "Xavier": xavier,
    "torch's": None,
    "N(0, 0.01)": partial(normal, std=0.01),
    "N(0, 1)": partial(normal, std=1.0),
    "zeros": zeros,
}
SOURCES = {
    "He": "normal, deviation √(2 / fan in): keeps the size of activations through ReLU (arXiv:1502.01852)",
    "Xavier": "uniform within ±√(6 / (fan in + fan out)): for tanh (Glorot and Bengio 2010)",
    "torch's": "uniform within ±√(1 / fan in), the default of its layers",
    "N(0, 0.01)": "AlexNet's",
    "N(0, 1)": "large: the first scores are far apart, and the loss is large",
    "zeros": "every filter is the same, gets the same gradient, and stays the same",
}
SEEDS = range(3)


def xavier_bound(filters: int, kernel: int, depth: int) -> float:
    """Return b of Xavier's U(-b, b): fan in and fan out are the filter's weights times channels in and out."""
    fan_in, fan_out = nn.init._calculate_fan_in_and_fan_out(torch.empty(filters, depth, kernel, kernel, device="meta"))
    return math.sqrt(6 / (fan_in + fan_out))


def begun(lesson: Lesson, rule: Callable[[Tensor], None] | None, seed: int) -> CNN:
    """Return the network of the page before its training, its weights drawn by a rule; None: by torch's."""
    network = two_convolutions(lesson, seed)
    if rule:
        init_weights(network, rule)
    return network


def most_frequent(lesson: Lesson) -> float:
    """Return the share of the held-out images that are of the class that most training images are of."""
    return (lesson.held_out_labels == lesson.labels.mode().values).float().mean().item()


def body(material: Material) -> list[Block]:
    lesson = material.lesson
    found = compared({name: partial(begun, lesson, rule) for name, rule in RULES.items()}, lesson, SEEDS)
    results = {name: spread(shares) for name, shares in found.items()}
    return [
        "Gradients improve weights that are there. The first ones are drawn at random, and from which distribution matters: too small, "
        "and signals fade on their way through the layers; too large, and they explode.",
        f"Two convolutions, trained by Adam for {EPOCHS} epochs, {len(SEEDS)} times each, on {lesson.about}. {lesson.measured}",
        Picture(
            "rules", "Accuracy by first values", lambda path: bars(path, "Accuracy by first values", [Bars("", results, "zeros")], 6.5)
        ),
        Table(("rule", "what it is", "accuracy"), [(name, SOURCES[name], percent(mean)) for name, (mean, _) in results.items()]),
        "*Fan in* is the number of values that one sum adds, *fan out* the number of sums that one value goes into. For ten 5x5 "
        f"filters on a colour image they are 75 and 250, so Xavier's bound is √(6 / 325) = {xavier_bound(10, 5, 3):.5f}.",
        "**Why not zeros?** Behind weights of 0, all maps are 0, so all gradients of weights are 0 but that of the last layer's "
        f"biases. These learn how often each class comes, nothing else, and every image gets the same answer. Here "
        f"{percent(results['zeros'][0])} of the answers were right; to say for each image what most training images are would be right "
        f"for {percent(most_frequent(lesson))}.",
        "Batch norm makes the first values matter less, because it brings every map to one size whatever came before; deep networks "
        "without it need the right rule. `init` in conf/model chooses it for a network written in YAML.",
    ]


PAGE = Page("first-weights", "First weights", "He, Xavier, too small, too large, zeros", body)
