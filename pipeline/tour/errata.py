"""Page: where the tutorials err."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.analysis.figures.tour_curves import Bars, bars
from pipeline.tour.arithmetic import output_size
from pipeline.tour.material import Material
from pipeline.tour.page import Block, Page, Picture, Table

CATS = DOGS = 11_500  # images of Gupta's data set, if half of its 23,000 are cats
SIDE = 300  # pixels of its images
VALIDATION_SPLIT = 0.3  # of its call of Keras


MAPS, POOLED = 296 * 296 * 10, 148 * 148 * 10  # numbers in that network's maps, before and after pooling
SEVEN = int(output_size(32, 7, 0, 1))

# Whose text, what it says, what is true, the page that shows it.
SLIPS = (
    ("copies of Deshpande", "7x7 on 32x32 gives 28x28", f"{SEVEN}x{SEVEN}", "05-sizes"),
    ("a copy of Deshpande", "weights change in the direction of the gradient", "in the opposite one, downhill", "11-learning"),
    ("copies of Deshpande", "four steps are an epoch", "an iteration; an epoch is all training images once", "11-learning"),
    ("Gupta", "219,801 parameters", "438,842 as printed, with two outputs; 219,801 with one", "16-networks"),
    ("Karn", "GoogLeNet has 4 million parameters", "6,998,552; five to seven million by who counts what", "16-networks"),
    ("Gupta", "two descriptions of same padding", "the second, with no pixel from outside, is valid padding", "03-convolution"),
    ("Gupta", f"validation_split={VALIDATION_SPLIT}", "of sorted images: it validates on dogs only, as shown below", "17-errata"),
    ("AlexNet's paper", "images of 224x224", "its own figures need 227x227, or a padding of 2", "05-sizes"),
    ("Deshpande", "more filters preserve the spatial dimensions better", "padding does; filters make the depth", "13-filter-count"),
    ("Karn, Deshpande", "ZFNet won ILSVRC 2013", "Clarifai, Zeiler's company", "16-networks"),
    ("Karn", "pooling makes almost scale invariant (equivariant)", "approximately invariant to small shifts", "08-pooling"),
    ("Gupta", "pooling reduces the parameters", f"it has none; the next layer weighs {POOLED:,} numbers, not {MAPS:,}", "08-pooling"),
    ("Karn", "DenseNet was best in five competitive tasks", "on CIFAR-10 and -100, both also augmented, and SVHN", "16-networks"),
    ("Gupta", "cross-entropy in the code, mean square in the text", "two losses; both can be chosen here", "11-learning"),
    ("Gupta", "1 is white, 256 the darkest", "0 is black, 255 white; 256 fits in no byte", "01-image"),
)


@dataclass(frozen=True)
class Halves:
    """What Keras' validation_split makes of images in the order of their classes: it takes the last ones, unshuffled."""

    train: int
    validation: int
    train_dogs: int
    validation_dogs: int


def keras_split(cats: int, dogs: int, share: float) -> Halves:
    """Return the split of all cats, then all dogs; Keras rounds the first part's end down."""
    train = int((cats + dogs) * (1.0 - share))
    train_dogs = max(0, train - cats)
    return Halves(train, cats + dogs - train, train_dogs, dogs - train_dogs)


def gigabytes(images: int, bytes_each: int) -> float:
    """Return what colour images of SIDE x SIDE pixels take in memory, in 10^9 bytes."""
    return images * SIDE * SIDE * 3 * bytes_each / 1e9


def body(material: Material) -> list[Block]:
    split = keras_split(CATS, DOGS, VALIDATION_SPLIT)
    total = CATS + DOGS
    return [
        "The tutorials are good, and they are read by people who cannot yet tell where they slip. This is what we found when we computed "
        'everything. *Deshpande* is "A Beginner\'s Guide To Understanding Convolutional Neural Networks" and its copies, *Karn* is "An '
        'Intuitive Explanation of Convolutional Neural Networks", *Gupta* is "Architecture of Convolutional Neural Networks demystified".',
        Table(("", "text", "says", "is", "see"), [(i, *words, f"[{see[:2]}]({see}.md)") for i, (*words, see) in enumerate(SLIPS, 1)]),
        "## The validation split that saw no cat",
        f"Keras takes the *last* {VALIDATION_SPLIT:.0%} of the images for validation, unshuffled. Gupta's {total:,} images come as all "
        f"cats, then all dogs. If half of them are cats, the network trains on {split.train:,}: {CATS:,} cats and {split.train_dogs:,} "
        f"dogs; the {split.validation:,} images of validation are all dogs. A network that always says *dog* is perfect there.",
        Picture("split", "A split of sorted images", lambda path: _draw(path, split)),
        "This project shuffles, and gives every class its share of each split; duplicates can be kept from standing on both sides "
        f"(`dataset.twins`). It also reads images from disk as they are needed: {total:,} of them at {SIDE}x{SIDE} in colour would "
        f"take {gigabytes(total, 1):.1f} GB of memory as bytes, and {gigabytes(total, 4):.1f} GB as 32-bit floating-point numbers.",
        "## What they leave out",
        "Deshpande lists topics that the text leaves out. Here each is a line of conf/:",
        Table(
            ("topic", "where"),
            [
                ("batch norm, dropout", "`kind: batch_norm`, `kind: dropout` in conf/model/cnn.yaml"),
                ("first values", "[page 14](14-first-weights.md)"),
                ("augmentation", "conf/augmentation/; `python -m pipeline.command.preview augmentation=flip` shows it"),
                ("regularisation", "`optimizer.weight_decay`"),
                ("the choice of loss", "conf/loss/"),
                ("vanishing gradients", "[page 7](07-activations.md); the residual networks of [page 16](16-networks.md)"),
            ],
        ),
    ]


def _draw(path: Path, split: Halves) -> None:
    groups = [
        Bars(f"{name}: {images:,} images", {"cats": (1 - dogs / images, 0.0), "dogs": (dogs / images, 0.0)}, marked="dogs", decimals=0)
        for name, images, dogs in (("training", split.train, split.train_dogs), ("validation", split.validation, split.validation_dogs))
    ]
    bars(path, "The last 30 % of sorted images", groups, width=3.6)


PAGE = Page("errata", "Where the tutorials err", f"{len(SLIPS)} slips, settled", body)
