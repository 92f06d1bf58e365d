"""Page: transfer learning."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import torch

from pipeline.config.wording import counted
from pipeline.model.cnn import CNN
from tour.drawing.plots import Bars, Plot, bars, curves
from tour.feature_maps import parameters
from tour.material import Lesson, Material
from tour.page import Block, Page, Picture, Table
from tour.small_training import BATCH, EPOCHS, RATE, Course, percent_of, standing, train, two_convolutions

LEAST = 4  # classes: two to learn first, two for afterwards
EACH = 5  # images of each class in the second training
STEPS, EARLY = 120, 10  # of the second training, and after which it is looked at first
SEEDS = range(3)
SCRATCH, FROZEN, TUNED = "random weights", "layers kept, new scores", "all layers trained on"


@dataclass(frozen=True)
class Halves:
    first: Lesson  # of the first half of the classes, all images
    second: Lesson  # of the others, EACH images to train on


def halves(lesson: Lesson) -> Halves:
    """Return two lessons of different classes. Raises ValueError if there are fewer than LEAST classes."""
    classes = len(lesson.classes)
    if classes < LEAST:
        raise ValueError(f"transfer takes {LEAST} classes or more, these images are of {classes}")
    middle = classes // 2
    first, second = _of_classes(lesson, 0, middle), _of_classes(lesson, middle, classes)
    few = torch.cat([(second.labels == place).nonzero()[:EACH, 0] for place in range(classes - middle)])
    return Halves(first, replace(second, pixels=second.pixels[few.numpy()], images=second.images[few], labels=second.labels[few]))


def _of_classes(lesson: Lesson, start: int, end: int) -> Lesson:
    chosen, held = (((labels >= start) & (labels < end)).nonzero()[:, 0] for labels in (lesson.labels, lesson.held_out_labels))
    return replace(
        lesson,
        pixels=lesson.pixels[chosen.numpy()],
        images=lesson.images[chosen],
        labels=lesson.labels[chosen] - start,
        held_out=lesson.held_out[held],
        held_out_labels=lesson.held_out_labels[held] - start,
        classes=lesson.classes[start:end],
    )


def beginnings(found: Halves, seed: int) -> dict[str, Callable[[], CNN]]:
    """Return how each network for the second half begins."""
    source = two_convolutions(found.first, seed)
    train(source, found.first, torch.optim.Adam(source.parameters(), RATE), EPOCHS, seed)
    return {
        SCRATCH: lambda: two_convolutions(found.second, seed),
        FROZEN: lambda: _transferred(source, found.second, seed, is_frozen=True),
        TUNED: lambda: _transferred(source, found.second, seed, is_frozen=False),
    }


def _transferred(source: CNN, lesson: Lesson, seed: int, is_frozen: bool) -> CNN:
    """Return a network with all layers of the source but the scores, which are new."""
    network = two_convolutions(lesson, seed)
    kept = {name: weight for name, weight in source.state_dict().items() if "scores" not in name}
    network.load_state_dict(kept, strict=False)
    for name, parameter in network.named_parameters():
        parameter.requires_grad = not is_frozen or "scores" in name
    return network


def trainings(lesson: Lesson, seed: int) -> dict[str, list[Course]]:
    """Return how the second training went, by how the network began, from several seeds."""
    found, courses = halves(lesson), dict[str, list[Course]]()
    for number in SEEDS:
        for name, begin in beginnings(found, seed + number).items():
            network = begin()
            optimizer = torch.optim.Adam([weight for weight in network.parameters() if weight.requires_grad], RATE)
            epochs = -(-STEPS // -(-len(found.second.labels) // BATCH))
            courses.setdefault(name, []).append(train(network, found.second, optimizer, epochs, seed))
    for name, several in courses.items():
        print(f"  {name}: {percent_of(at(several, STEPS))}", flush=True)
    return courses


def at(courses: list[Course], step: int) -> list[float]:
    """Return the accuracies after the epoch that ends nearest to so many steps."""
    return [course.accuracies[max(1, round(step * len(course.accuracies) / STEPS)) - 1] for course in courses]


def body(material: Material) -> list[Block]:
    lesson = material.lesson
    why = (
        "Deshpande's answer to those who have few images: take a network that was trained on many others, keep its layers, and train "
        "new scores "
        "on your own. Its filters for edges and curves serve other images as well. This is *transfer learning*."
    )
    on_yours = (
        "On your own photos: `weights.source` takes the weights of a bundle, a file or an address, puts new scores on top, and "
        "`weights.freeze` "
        "says which layers stay as they are (conf/weights/)."
    )
    if len(lesson.classes) < LEAST:
        few = f"It can be tried on images of {LEAST} classes or more, half of them for each training; these are of {len(lesson.classes)}."
        return [why, Picture("beginnings", "What a transfer keeps", _draw_kept), few, on_yours]
    found, courses = halves(lesson), trainings(lesson, material.seed)
    network = two_convolutions(found.second, 0)
    new = parameters(network.get_submodule("layers.scores"))
    trained = {SCRATCH: parameters(network), FROZEN: new, TUNED: parameters(network)}
    return [
        why,
        f"Here a network of two convolutions learns {', '.join(found.first.classes)} on {len(found.first.labels):,} images. Then it is "
        f"to learn "
        f"{', '.join(found.second.classes)} on {EACH} images each, {counted(len(found.second.labels), 'image')} in all: "
        f"{len(SEEDS)} trainings each; accuracy is that on {len(found.second.held_out_labels):,} others of these classes.",
        Picture("beginnings", "Three ways to begin with few images", lambda path: _draw(path, courses)),
        Table(
            ("the second training", "weights that it trains", f"accuracy after {EARLY} steps", f"after {STEPS}"),
            [
                (name, f"{trained[name]:,}", percent_of(at(several, EARLY)), percent_of(at(several, STEPS)))
                for name, several in courses.items()
            ],
        ),
        *(
            f"After {step} steps the accuracy with {FROZEN} is {standing(at(courses[FROZEN], step), at(courses[SCRATCH], step))} that with "
            f"{SCRATCH}; with {TUNED} it is {standing(at(courses[TUNED], step), at(courses[SCRATCH], step))} that."
            for step in (EARLY, STEPS)
        ),
        "How much it helps depends on what there is to take over. Small, plain images need a few edges, which a network finds in a "
        "handful of "
        "steps by itself; a deep network on photos needs shapes and textures that two hundred photos cannot teach it. *Freezing* the "
        "old layers "
        "(they get no updates) leaves fewer weights that can fit what is chance in a few images; with more images, train all layers at "
        "a low "
        "rate.",
        on_yours,
    ]


def _draw(path: Path, courses: dict[str, list[Course]]) -> None:
    lines = {}
    for name, several in courses.items():
        epochs = list(range(1, len(several[0].accuracies) + 1))
        lines[name] = epochs, [fmean(course.accuracies[epoch - 1] for course in several) for epoch in epochs]
    curves(path, "What a start is worth", [Plot("accuracy of others", "epoch of the second training", lines, is_share=True)], (5.6, 3.2))


def _draw_kept(path: Path) -> None:
    layers: dict[str, tuple[float, float]] = {"convolutions: kept": (1.0, 0.0), "scores: new": (0.0, 0.0)}
    bars(path, "What is taken over", [Bars("", layers, decimals=0)])


PAGE = Page("transfer", "Transfer learning", "what was learned on other classes, with five images of each new one", body)
