"""Page: the learning rate, and what a too high one does."""

import math
from pathlib import Path

import torch

from tour.drawing.plots import Plot, curves
from tour.material import Lesson, Material
from tour.page import Block, Page, Picture, Table
from tour.small_training import Course, Filters, filters_left, one_convolution, percent, train

RATES = (0.001, 0.01, 0.1, 1.0, 10.0)
FILTERS, EPOCHS = 10, 20
Found = dict[float, tuple[Course, Filters]]  # by learning rate


def courses(lesson: Lesson, seed: int) -> Found:
    """Return how plain SGD went, and what is left of the filters at the end."""
    found: Found = {}
    for rate in RATES:
        network = one_convolution(lesson, seed, FILTERS)
        course = train(network, lesson, torch.optim.SGD(network.parameters(), rate), EPOCHS, seed)
        found[rate] = course, filters_left(network, lesson)
        print(f"  learning rate {rate:g}: {percent(course.accuracies[-1])}, {fate(found[rate][1])}", flush=True)
    return found


def fate(filters: Filters) -> str:
    """Return what has become of the filters, within a sentence."""
    dead = f"{filters.dead} of {filters.count} filters are dead"
    return dead + (f" and {filters.nan} give nan, which is neither dead nor alive" if filters.nan else "")


def outcome(found: Found, classes: int) -> str:
    """Return which learning rate came out best, and how the highest did."""
    most = max(course.accuracies[-1] for course, _ in found.values())
    best = [f"{rate:g}" for rate, (course, _) in found.items() if course.accuracies[-1] == most]
    highest, (course, filters) = max(found.items())
    return (
        f"The best of these {'is' if len(best) == 1 else 'are'} {' and '.join(best)}. With the highest, {highest:g}, {fate(filters)}; "
        f"{percent(course.accuracies[-1])} of the answers are right. A blind guess among {classes} classes is right for "
        f"{percent(1 / classes)}."
    )


def body(material: Material) -> list[Block]:
    found = courses(material.lesson, material.seed)
    return [
        "The gradient says where downhill is, not how far. Too small a step (the *learning rate* times the gradient) takes for ever; "
        "one that is too large jumps across the valley and up the other side.",
        f"One convolution of {FILTERS} filters, ReLU, max pooling, scores; plain SGD, {EPOCHS} epochs, on {material.lesson.about}. "
        f"{material.lesson.measured} Only the learning rate differs:",
        Picture("curves", "Loss and accuracy for five learning rates", lambda path: _draw(path, found)),
        Table(
            ("learning rate", "loss of the last epoch", "accuracy", f"dead filters of {FILTERS}", "filters that give nan"),
            [
                (f"{rate:g}", f"{course.losses[-1]:.3g}", percent(course.accuracies[-1]), filters.dead, filters.nan)
                for rate, (course, filters) in found.items()
            ],
        ),
        outcome(found, len(material.lesson.classes)),
        "## Dead filters",
        "A filter is *dead* when ReLU makes 0 of its map everywhere, on every image. Its gradient is then 0 too, and nothing brings it "
        "back. One step that is too large can be enough: it makes all its sums negative. A loss of *nan* (not a number) means that "
        "weights have grown beyond what the numbers can hold. What such weights give is nan too, which is not 0 and not above 0, so "
        "it is counted for itself. This project stops a training then, says the learning rate, and proposes a tenth of it.",
        "What is too high depends on the network, the optimizer and the data. Try a few powers of ten, for instance with "
        "`python -m pipeline.stage.train -m optimizer.lr=0.1,0.01,0.001`.",
    ]


def _label(rate: float, course: Course) -> str:
    return f"{rate:g}" + (": not a number" if math.isnan(course.losses[-1]) else "")


def _draw(path: Path, found: Found) -> None:
    epochs = list(range(1, EPOCHS + 1))
    losses = {_label(rate, course): (epochs, course.losses) for rate, (course, _) in found.items()}
    accuracies = {f"{rate:g}": (epochs, course.accuracies) for rate, (course, _) in found.items()}
    plots = [
        Plot("loss of the training images", "epoch", losses, is_log=True),
        Plot("accuracy of others", "epoch", accuracies, is_share=True),
    ]
    curves(path, "Five learning rates", plots, size=(4.4, 3.2))


PAGE = Page("learning-rate", "The learning rate", "from 0.001 to 10; dead filters", body)
