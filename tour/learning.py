"""Page: error, gradient, one step of learning."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.training.losses import HalfSquaredError
from tour.drawing.plots import Bars, Plot, bars, curves
from tour.material import Lesson, Material
from tour.page import Block, Page, Picture, Table
from tour.small_training import step, two_convolutions

# Karn's example.
CLASSES = ("dog", "cat", "boat", "bird")
TARGET = (0.0, 0.0, 1.0, 0.0)
BEFORE = (0.2, 0.4, 0.1, 0.3)  # the answer of the first weights
AFTER = (0.1, 0.1, 0.7, 0.1)  # after the update
BOAT = CLASSES.index("boat")
EVEN, THREE = (0.1,) * 10, 3  # Deshpande's first answer, for a 3
STEP_IMAGES = 128  # of the step below, at most
RATE = 0.1  # its learning rate


LOSSES: dict[str, nn.Module] = {"half squared error": HalfSquaredError(), "cross-entropy": nn.CrossEntropyLoss()}


def loss(name: str, output: tuple[float, ...], true: int) -> float:
    """Return what an answer costs. output: probabilities; true: the place of the true class among them."""
    return _cost(name, _tensor(output).log(), true).item()  # softmax makes the probabilities of their logarithms again


def gradient_at_output(output: tuple[float, ...]) -> list[float]:
    """Return d(half squared error) / d(output) of the boat's answer."""
    return (_tensor(output) - _tensor(TARGET)).tolist()


def gradient_at_scores(name: str, output: tuple[float, ...], true: int) -> list[float]:
    """Return the loss's gradient with respect to the scores of which softmax makes `output`."""
    scores = _tensor(output).log().requires_grad_()
    return torch.autograd.grad(_cost(name, scores, true), scores)[0].tolist()


def updated(weight: float, rate: float, gradient: float) -> float:
    """Return the weight after one step of torch's SGD."""
    value = torch.nn.Parameter(_tensor((weight,)))
    value.grad = _tensor((gradient,))
    torch.optim.SGD([value], lr=rate).step()
    return value.item()


@dataclass(frozen=True)
class Step:
    images: int  # of its batch
    before: float  # loss of these, nats
    after: float
    layers: dict[str, tuple[int, bool]]  # parameters, and whether they changed


def one_step(lesson: Lesson, seed: int) -> Step:
    """Take one step on one batch."""
    network = two_convolutions(lesson, seed)
    optimizer = torch.optim.SGD(network.parameters(), RATE)
    images, labels = lesson.images[:STEP_IMAGES], lesson.labels[:STEP_IMAGES]
    before = {name: parameter.clone() for name, parameter in network.named_parameters()}
    first = step(network, optimizer, images, labels)
    with torch.no_grad():
        second = F.cross_entropy(network(images), labels).item()
    layers = {}
    for name, layer in network.layers.named_children():
        own = [(parameter, before[f"layers.{name}.{kind}"]) for kind, parameter in layer.named_parameters()]
        layers[name] = sum(now.numel() for now, _ in own), any(not torch.equal(now, then) for now, then in own)
    return Step(len(labels), first, second, layers)


def change(before: float, after: float) -> str:
    """Return what one step did to the loss of its own images."""
    if after < before:
        return f"After one step, on the same images, it is {after:.4f}: lower."
    return f"After one step, on the same images, it is {after:.4f}: not lower. For these images the step was too large."


def changed(parameters: int, is_changed: bool) -> str:
    return "yes" if is_changed else "no" if parameters else "nothing to change"


def body(material: Material) -> list[Block]:
    taken = one_step(material.lesson, material.seed)
    classes = len(material.lesson.classes)
    return [
        "How wrong is an answer? Karn's network is to say *boat*. Its first weights are random, and so is its answer.",
        Picture("answers", "The answer before and after learning", _draw_answers),
        Table(
            ("", *CLASSES, "half squared error", "cross-entropy"),
            [
                ("truth", *TARGET, 0, 0),
                *(
                    (name, *output, *(f"{loss(kind, output, BOAT):.4g}" for kind in LOSSES))
                    for name, output in (("before", BEFORE), ("after", AFTER))
                ),
            ],
        ),
        f"The tutorials take the *half squared error*, Σ ½ (target - output)²: {loss('half squared error', BEFORE, BOAT):.2f} before, "
        f"{loss('half squared error', AFTER, BOAT):.2f} after. The ½ is there for its derivative, which is then output - target: "
        f"{_written(gradient_at_output(BEFORE))}. (The *mean* squared error divides by the number of classes instead.)",
        f"Deshpande's network starts with 0.1 for each of ten digits: its half squared error is "
        f"{loss('half squared error', EVEN, THREE):.2f}, its cross-entropy {loss('cross-entropy', EVEN, THREE):.6f}, which "
        "is ln 10.",
        "Classifiers are trained by *cross-entropy* now. The reason is in the gradient at the scores, before softmax:",
        Table(
            ("gradient at the scores, before", *CLASSES),
            [(name, *(f"{value:+.2f}" for value in gradient_at_scores(name, BEFORE, BOAT))) for name in LOSSES],
        ),
        "For the boat the gradient of cross-entropy is eight times as large. From an answer that is sure and wrong the squared "
        "error learns next to nothing, because softmax is flat there; cross-entropy learns most from it. "
        "`loss=half_squared_error` trains with the tutorials' error.",
        Picture("losses", "Two losses, and their pull on the true class's score", _draw_losses),
        "## One step",
        "Learning repeats four things: **forward** (the answer), **loss**, **backward** (the gradient of each weight, by the chain "
        "rule), **update**: w ← w - η · gradient. It goes *against* the gradient, which points uphill; one copy of Deshpande's text "
        f"says in its direction. With w = 1, a learning rate η of 0.1 and a gradient of 2 the new weight is {updated(1, 0.1, 2):g}.",
        "One such step on one batch of images, forward and backward, is an *iteration* (Gupta's *cycle*). When every training image has "
        "been used once, that is an *epoch*. The "
        "next batch meets the weights that this one has changed.",
        f"Here is one: {taken.images} images of the training, η = {RATE}. Before, the loss is {taken.before:.4f}; to give each of "
        f"{classes} classes the same probability costs ln {classes} = {math.log(classes):.4f}. {change(taken.before, taken.after)}",
        Table(
            ("layer", "parameters", "changed by the step"),
            [(name, f"{count:,}", changed(count, is_changed)) for name, (count, is_changed) in taken.layers.items()],
        ),
        "Only weights and biases change. The number of filters, their size and the architecture are chosen before and stay.",
    ]


def _cost(name: str, scores: Tensor, true: int) -> Tensor:
    cost: Tensor = LOSSES[name](scores[None], torch.tensor([true]))
    return cost


def _tensor(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _written(values: list[float]) -> str:
    return "[" + ", ".join(f"{value:.2g}" for value in values) + "]"


def _draw_answers(path: Path) -> None:
    groups = [
        Bars(
            f"{name}: error {loss('half squared error', output, BOAT):.2f}",
            dict(zip(CLASSES, [(p, 0.0) for p in output], strict=True)),
            "boat",
            0,
        )
        for name, output in (("the truth", TARGET), ("before", BEFORE), ("after", AFTER))
    ]
    bars(path, "A boat, said with 0.1 and with 0.7", groups, width=3.2)


def _draw_losses(path: Path) -> None:
    """Two classes: the loss as a function of the true class's probability, and its slope with respect to that class's score."""
    shares = np.linspace(0.01, 0.99, 99)
    losses = {name: [loss(name, (p, 1 - p), true=0) for p in shares] for name in LOSSES}
    pull = {name: [abs(gradient_at_scores(name, (p, 1 - p), true=0)[0]) for p in shares] for name in LOSSES}
    curves(
        path,
        "Two classes: what an error costs, and how hard it pulls",
        [
            Plot("loss", "probability of the true class", {name: (shares.tolist(), y) for name, y in losses.items()}),
            Plot("size of the gradient at its score", "probability of the true class", {n: (shares.tolist(), y) for n, y in pull.items()}),
        ],
    )


PAGE = Page("learning", "Error and learning", "0.55 becomes 0.06; gradients; one step", body)
