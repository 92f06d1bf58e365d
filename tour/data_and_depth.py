"""Page: how much data, how many layers?"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from pipeline.config.wording import counted
from pipeline.model.cnn import CNN
from tour.drawing.plots import Plot, curves
from tour.feature_maps import parameters
from tour.material import Lesson, Material
from tour.page import Block, Page, Picture, Table
from tour.small_training import BATCH, EPOCHS, RATE, network, percent_of, spread, standing, train

PARTS = (16, 4, 1)  # the whole is this many times as much as what is trained on
DEPTHS = (1, 2, 4)  # convolutions
FILTERS = 16  # of each
SEEDS = range(3)
Found = dict[tuple[int, int], list[float]]  # by depth and images


def convolutions(lesson: Lesson, seed: int, depth: int) -> CNN:
    """Return a network of so many convolutions 3x3 with ReLU and a max pooling after the first, then scores."""
    layers: dict[str, dict[str, Any]] = {}
    for number in range(1, depth + 1):
        layers[f"conv{number}"] = {"kind": "conv", "filters": FILTERS, "kernel": 3, "padding": "same"}
        layers[f"relu{number}"] = {"kind": "relu"}
        if number == 1:
            layers["pool"] = {"kind": "max_pool", "kernel": 2}
    layers["scores"] = {"kind": "linear"}
    return network(layers, lesson, seed)


def part(lesson: Lesson, images: int) -> Lesson:
    """Return the lesson with the first training images alone."""
    return replace(lesson, images=lesson.images[:images], labels=lesson.labels[:images])


def epochs_of(images: int, most: int) -> int:
    """Return how many epochs of some images are as many steps as EPOCHS of all."""
    return round(EPOCHS * -(-most // BATCH) / -(-images // BATCH))


def trainings(lesson: Lesson) -> Found:
    """Return the accuracies by depth and number of images, all after the same number of steps."""
    found: Found = {}
    for depth in DEPTHS:
        for share in PARTS:
            some = part(lesson, max(1, len(lesson.labels) // share))
            epochs = epochs_of(len(some.labels), len(lesson.labels))
            found[depth, len(some.labels)] = [_accuracy(some, depth, epochs, seed) for seed in SEEDS]
        print(f"  {counted(depth, 'convolution')}: {percent_of(found[depth, len(lesson.labels)])} with all images", flush=True)
    return found


def _accuracy(lesson: Lesson, depth: int, epochs: int, seed: int) -> float:
    made = convolutions(lesson, seed, depth)
    return train(made, lesson, torch.optim.Adam(made.parameters(), RATE), epochs, seed).accuracies[-1]


def body(material: Material) -> list[Block]:
    lesson = material.lesson
    found = trainings(lesson)
    images = sorted({count for _, count in found})
    deep, flat = (found[depth, images[-1]] for depth in (DEPTHS[-1], DEPTHS[0]))
    more = {depth: 100 * (spread(found[depth, images[-1]])[0] - spread(found[depth, images[0]])[0]) for depth in DEPTHS}
    return [
        "Deshpande holds that more training data make a better network, Karn that more convolutions learn more complicated features. "
        "Both can "
        "be tried.",
        f"Networks of {', '.join(map(str, DEPTHS))} convolutions of {FILTERS} filters, on {' and '.join(f'1/{p}' for p in PARTS[:-1])} "
        f"of the "
        f"training images and on all of {lesson.about}. All take the same number of steps: with fewer images, each comes more often. "
        f"{len(SEEDS)} trainings each. {lesson.measured}",
        Picture("curves", "Accuracy by training images, for three depths", lambda path: _draw(path, found, images)),
        Table(
            ("convolutions", "parameters", *(counted(count, "image") for count in images)),
            [
                (depth, f"{parameters(convolutions(lesson, 0, depth)):,}", *(percent_of(found[depth, count]) for count in images))
                for depth in DEPTHS
            ],
        ),
        f"From {images[0]:,} to {images[-1]:,} images the mean accuracy changes by "
        + ", ".join(f"{points:+.1f} points with {counted(depth, 'convolution')}" for depth, points in more.items())
        + ".",
        f"With all images, {DEPTHS[-1]} convolutions are {standing(deep, flat)} {counted(DEPTHS[0], 'convolution')}. Depth needs "
        f"something to "
        "be deep for: on small, plain images one or two layers see enough; on photos of things that consist of parts, more layers do "
        "better "
        "until gradients get lost on the way ([page](activations), and the residual networks of [page](networks)).",
        "When data are few, augmentation makes variants of each image (`augmentation=flip`, `augmentation=shift`), and a network that was "
        "trained on other images is a better start than chance ([page](transfer)).",
    ]


def _draw(path: Path, found: Found, images: list[int]) -> None:
    lines = {counted(depth, "convolution"): (images, [spread(found[depth, count])[0] for count in images]) for depth in DEPTHS}
    plot = Plot("accuracy of others", "training images", lines, is_share=True, has_log_x=True, has_points=True)
    curves(path, "More images, more layers", [plot], size=(5.6, 3.2))


PAGE = Page("data-and-depth", "How much data, how many layers?", "a sixteenth of the images, a quarter, all; 1 to 4 convolutions", body)
