"""Page: the learning rate, and what a too high one does."""

import math
from pathlib import Path

import torch

from pipeline.analysis.figures.tour_curves import Plot, curves
from pipeline.tour.material import Lesson, Material
from pipeline.tour.page import Block, Page, Picture, Table
from pipeline.tour.small_training import Course, dead_filters, one_convolution, percent, train

RATES = (0.001, 0.01, 0.1, 1.0, 10.0)
FILTERS, EPOCHS = 10, 20


def courses(lesson: Lesson, seed: int) -> dict[float, tuple[Course, int]]:
    """Return learning rate -> how plain SGD went, and the filters that are dead at the end."""
    found = {}
    for rate in RATES:
        network = one_convolution(lesson, seed, FILTERS)
        course = train(network, lesson, torch.optim.SGD(network.parameters(), rate), EPOCHS, seed)
        found[rate] = course, dead_filters(network, lesson)
        print(f"  learning rate {rate:g}: {percent(course.accuracies[-1])}, {found[rate][1]} of {FILTERS} filters dead", flush=True)
    return found


def body(material: Material) -> list[Block]:
    found = courses(material.lesson, material.seed)
    best = max(found, key=lambda rate: found[rate][0].accuracies[-1])
    worst, (course, dead) = max(found.items())
    return [
        "The gradient says where downhill is, not how far. Too small a step (the *learning rate* times the gradient) takes for ever; "
        "one that is too large jumps across the valley and up the other side.",
        f"One convolution of {FILTERS} filters, ReLU, max pooling, scores; plain SGD, {EPOCHS} epochs, on {material.lesson.about}. "
        f"{material.lesson.measured} Only the learning rate differs:",
        Picture("curves", "Loss and accuracy for five learning rates", lambda path: _draw(path, found)),
        Table(
            ("learning rate", "loss of the last epoch", "accuracy", f"dead filters of {FILTERS}"),
            [(f"{rate:g}", f"{course.losses[-1]:.3g}", percent(course.accuracies[-1]), dead) for rate, (course, dead) in found.items()],
        ),
        f"The best of these is {best:g}. With a learning rate of {worst:g}, {dead} of {FILTERS} filters are dead and "
        f"{percent(course.accuracies[-1])} of the answers are right; guessing gives {percent(1 / len(material.lesson.classes))}.",
        "## Dead filters",
        "A filter is *dead* when ReLU makes 0 of its map everywhere, on every image. Its gradient is then 0 too, and nothing brings it "
        "back. One large step is enough: it makes all its sums negative. A loss of nan (not a number) means that weights have grown "
        "beyond what the numbers can hold; this project stops a training then, says the learning rate, and proposes a tenth of it.",
        "What is too high depends on the network, the optimizer and the data. Try a few powers of ten, for instance with "
        "`python -m pipeline.stage.train -m optimizer.lr=0.1,0.01,0.001`.",
    ]


def _label(rate: float, course: Course) -> str:
    return f"{rate:g}" + (": not a number" if math.isnan(course.losses[-1]) else "")


def _draw(path: Path, found: dict[float, tuple[Course, int]]) -> None:
    epochs = list(range(1, EPOCHS + 1))
    losses = {_label(rate, course): (epochs, course.losses) for rate, (course, _) in found.items()}
    accuracies = {f"{rate:g}": (epochs, course.accuracies) for rate, (course, _) in found.items()}
    plots = [
        Plot("loss of the training images", "epoch", losses, is_log=True),
        Plot("accuracy of others", "epoch", accuracies, is_share=True),
    ]
    curves(path, "Too slow, right, too fast: learning rates", plots, size=(4.4, 3.2))


PAGE = Page("learning-rate", "The learning rate", "too low, right, too high; dead filters", body)
