"""Page: what flattening loses."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from pipeline.model.cnn import CNN
from tour.drawing.panels import Panel, panels
from tour.drawing.plots import Bars, bars
from tour.feature_maps import parameters
from tour.filter_count import fully_connected
from tour.material import Lesson, Material
from tour.page import Block, Page, Picture, Table
from tour.small_training import EPOCHS, compared, percent_of, spread, standing, two_convolutions

SEEDS = range(3)
DENSE, CONVOLUTIONS = "fully connected", "convolutional"
SHOWN = 4  # images


def shuffled(lesson: Lesson, seed: int) -> Lesson:
    """Return the same lesson with the pixels of every image in the same other order."""
    side = lesson.side
    order = torch.randperm(side * side, generator=torch.Generator().manual_seed(seed))

    def moved(images: torch.Tensor) -> torch.Tensor:
        return images.flatten(2)[:, :, order].reshape(images.shape)

    pixels = lesson.pixels.reshape(len(lesson.pixels), side * side, -1)[:, order.numpy()].reshape(lesson.pixels.shape)
    return replace(lesson, pixels=pixels, images=moved(lesson.images), held_out=moved(lesson.held_out))


def body(material: Material) -> list[Block]:
    lesson, mixed = material.lesson, shuffled(material.lesson, material.seed)
    found: dict[tuple[str, str], list[float]] = {}
    for how, images in (("as they are", lesson), ("shuffled", mixed)):
        makers = {DENSE: partial(fully_connected, images), CONVOLUTIONS: partial(_convolutions, images)}
        found |= {(name, how): shares for name, shares in compared(makers, images, SEEDS).items()}
    counts = {DENSE: parameters(fully_connected(lesson, 0)), CONVOLUTIONS: parameters(two_convolutions(lesson, 0))}
    return [
        "A fully connected layer takes an image as one long row of numbers. What was above or beside a pixel is then just another place in "
        "the row. Gupta says that the arrangement is lost, and begins from there to explain convolutions. What is it worth?",
        "The test: shuffle the pixels of every image, all in the same way. People see nothing in them any more; but every pixel is still "
        "there, always at the same new place.",
        Picture("shuffled", "The same images to a fully connected layer", lambda path: _draw_images(path, lesson, mixed)),
        f"Both networks learn from both, by Adam in {EPOCHS} epochs, {len(SEEDS)} trainings each, on {lesson.about}. {lesson.measured}",
        Picture("accuracies", "What the arrangement is worth", lambda path: _draw(path, found)),
        Table(
            ("network", "parameters", "as they are", "shuffled"),
            [
                (name, f"{counts[name]:,}", percent_of(found[name, "as they are"]), percent_of(found[name, "shuffled"]))
                for name in (DENSE, CONVOLUTIONS)
            ],
        ),
        *(
            f"For the {name} network, shuffled images are {standing(found[name, 'shuffled'], found[name, 'as they are'])} images as they "
            "are."
            for name in (DENSE, CONVOLUTIONS)
        ),
        "A fully connected network could not notice: swap its weights as the pixels were swapped, and it gives the same scores. What a "
        "convolution adds is a belief that neighbours belong together and that a thing is the same wherever it stands. Where that is true, "
        "as in photos, it needs fewer images to learn; where pixels have no neighbourhood, it is of no use.",
        "At the end of a CNN the maps are flattened, too. By then each number says that something larger was seen, and at about which "
        "place.",
    ]


def _convolutions(lesson: Lesson, seed: int) -> CNN:
    return two_convolutions(lesson, seed)


def _draw_images(path: Path, lesson: Lesson, mixed: Lesson) -> None:
    shown = [
        Panel(images.pixels[place].squeeze(), f"{lesson.classes[int(lesson.labels[place])]}, {how}")
        for how, images in (("as it is", lesson), ("shuffled", mixed))
        for place in range(min(SHOWN, len(lesson.labels)))
    ]
    panels(path, "Every pixel is still there", shown, columns=len(shown) // 2, size=1.7)


def _draw(path: Path, found: dict[tuple[str, str], list[float]]) -> None:
    groups = [
        Bars(name, {how: spread(found[name, how]) for how in ("as they are", "shuffled")}, marked="shuffled")
        for name in (DENSE, CONVOLUTIONS)
    ]
    bars(path, "Accuracy on other images", groups)


PAGE = Page("flattening", "What flattening loses", "the same pixels in another order", body)
