"""Page: what a trained network looks for, by the three pictures that the texts show: deconvnet, made images, occlusion."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.analysis.exciting import Exciting, more_exciting
from pipeline.analysis.gradients import Unit, deconvnet
from pipeline.analysis.maximisation import TABLE_1, maximised
from pipeline.analysis.occlusion import occlusion
from pipeline.dataset.normalise import normalised
from pipeline.model.cnn import CNN
from tour.drawing.panels import Panel, panels
from tour.material import Lesson, Material
from tour.page import Block, Page, Picture
from tour.small_training import trained

LAYER = "layers.activation2"  # whose maps are asked what they look for
UNITS, IMAGES = 4, 4  # maps; images that excite each most
CLASSES = 10  # for which an image is made, at most
REGULARISERS = TABLE_1[2]  # of most figures in Yosinski's paper
SQUARE = 4  # parts of the image's side that are covered at once


def most_exciting(network: CNN, lesson: Lesson) -> tuple[list[int], Exciting]:
    """Return the maps with the largest values, and the training images that excite each map most."""
    with torch.no_grad():
        found = more_exciting(None, _until_layer(network, lesson.images), 0, IMAGES)
    return found.values[:, 0].argsort(descending=True)[:UNITS].tolist(), found


def projections(network: CNN, lesson: Lesson, found: Exciting, unit: int) -> Tensor:
    """Return the deconvnet's projections of a map's largest values to the pixels of its images, (images, C, H, W)."""
    place = found.rows[unit], found.columns[unit]
    return deconvnet(network, lesson.images[found.images[unit]], Unit(unit, network.get_submodule(LAYER), place))


def made_images(network: CNN, lesson: Lesson, seed: int) -> tuple[NDArray[np.uint8], list[int]]:
    """Return an image for each class (at most CLASSES) from noise, (N, H, W, C), and the class that the network says of each."""
    classes = min(CLASSES, len(lesson.classes))
    unit = Unit(torch.arange(classes))
    made = maximised(network, unit, classes, lesson.side, lesson.mean, lesson.std, REGULARISERS, seed)
    pixels = made.permute(0, 2, 3, 1).round().byte()
    with torch.no_grad():
        said = network(normalised(pixels, lesson.mean, lesson.std)).argmax(dim=1)
    return pixels.numpy(), said.tolist()


def body(material: Material) -> list[Block]:
    lesson = material.lesson
    network = trained(lesson, material.seed)
    units, found = most_exciting(network, lesson)
    made, said = made_images(network, lesson, material.seed)
    right = sum(place == answer for place, answer in enumerate(said))
    return [
        "Filters of a first layer can be looked at as they are. Those of the second have as many channels as the first has maps, and "
        "say little "
        "to the eye. There are three ways to ask what they, and the whole network, look for. All three are shown here on a network of two "
        f"convolutions, trained in a second on {lesson.about}; `python -m pipeline.command.explain PHOTO…` and the `explain` stage draw "
        f"them for "
        "yours.",
        "## Deconvnet: what in the image woke this unit?",
        "Zeiler and Fergus take the images in which a map is strongest, set everything else in that layer to zero, and go back to the "
        "pixels: "
        "through the same filters, with a ReLU at each layer, and through each max pooling to where the maximum was (its *switch*). Red "
        "in the projection is what made the unit answer where it is bright, blue where it is dark.",
        Picture(
            "units",
            f"The {IMAGES} images that excite each of {UNITS} maps most, and their projections",
            lambda path: _draw_units(path, network, lesson, units, found),
        ),
        "If the images of a map come from several classes, it looks for a part that these have in common.",
        "## Made images: what would it like best?",
        "Begin with noise and go uphill: change the pixels so that one class's score rises. Left alone, this ends in patterns that no one "
        "recognises; Yosinski and others blur the image now and then and let it fade a little at each step, so that what remains is "
        "smooth.",
        Picture("made", "From noise, an image for each class", lambda path: _draw_made(path, lesson, made, said)),
        f"{right} of {len(said)} are classified as what they were made for. Their likeness to real images is another matter: a network "
        "needs to see only what tells the classes apart.",
        "## Occlusion: what does the answer hang on?",
        "Cover a part of the image with gray, ask again, move on. Where the probability of the class falls, the network needs to see.",
        Picture(
            "occlusion",
            "The probability of the right class with a square at each place: black is 0, white 1",
            lambda path: _draw_occlusion(path, network, lesson),
        ),
        "This is slow, one answer for each place, but it asks the network itself and trusts no gradient. What it cannot see is what stands "
        "in two places at once: with one of them covered, the other is enough.",
    ]


def _until_layer(network: CNN, images: Tensor) -> Tensor:
    return network.layers[:5](images)


def _draw_units(path: Path, network: CNN, lesson: Lesson, units: list[int], found: Exciting) -> None:
    shown = []
    for unit in units:
        images = found.images[unit].tolist()
        back = projections(network, lesson, found, unit).mean(dim=1).numpy()  # over the input's channels
        most = float(np.abs(back).max()) or 1.0
        shown += [Panel(lesson.pixels[place].squeeze(), f"map {unit}: {lesson.classes[int(lesson.labels[place])]}") for place in images]
        shown += [Panel(values, "", "", (-most, most), "signs") for values in back]
    panels(path, "Images, and what in them woke the map", shown, columns=2 * IMAGES, size=1.2)


def _draw_made(path: Path, lesson: Lesson, made: NDArray[np.uint8], said: list[int]) -> None:
    shown = [
        Panel(image.squeeze(), f"made as {lesson.classes[place]}", f"said {lesson.classes[answer]}")
        for place, (image, answer) in enumerate(zip(made, said, strict=True))
    ]
    panels(path, "What each class would like to see", shown, columns=min(5, len(shown)), size=1.5)


def _draw_occlusion(path: Path, network: CNN, lesson: Lesson) -> None:
    shown, side = [], max(1, lesson.side // SQUARE)
    for place in range(min(4, len(lesson.labels))):
        actual = int(lesson.labels[place])
        covered = occlusion(network, lesson.images[place : place + 1], actual, None, side, 1)
        shown.append(Panel(lesson.pixels[place].squeeze(), f"{lesson.classes[actual]}"))
        shown.append(Panel(covered.probability, "probability", f"least {covered.probability.min():.2f}", limits=(0, 1)))
    panels(path, f"A gray square of {side}x{side} pixels, its middle at each place", shown, columns=len(shown), size=1.2)


PAGE = Page("looking-inside", "What does it look for?", "deconvnet, images made from noise, occlusion", body)
