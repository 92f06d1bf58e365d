"""Page: where the tutorials err."""

from dataclasses import dataclass
from pathlib import Path

from tour.arithmetic import output_size
from tour.drawing.plots import Bars, bars
from tour.material import Material
from tour.page import Block, Page, Picture, Table

CATS = DOGS = 11_500  # images of Gupta's data set, if half of its 23,000 are cats
SIDE = 300  # pixels of its images
VALIDATION_SPLIT = 0.3  # of its call of Keras


MAPS, POOLED = 296 * 296 * 10, 148 * 148 * 10  # numbers in that network's maps, before and after pooling
SEVEN = int(output_size(32, 7, 0, 1))

# Whose text, what it says, what is true, the page that shows it.
SLIPS = (
    ("copies of Deshpande", "7x7 on 32x32 gives 28x28", f"{SEVEN}x{SEVEN}", "sizes"),
    ("a copy of Deshpande", "weights change in the direction of the gradient", "in the opposite one, downhill", "learning"),
    ("copies of Deshpande", "four steps are an epoch", "an iteration; an epoch is all training images once", "learning"),
    ("Gupta", "219,801 parameters", "438,842 as printed, with two outputs; 219,801 with one", "networks"),
    ("Karn", "GoogLeNet has 4 million parameters", "6,998,552; five to seven million by who counts what", "networks"),
    ("Gupta", "two descriptions of same padding", "the second, with no pixel from outside, is valid padding", "convolution"),
    ("Gupta", f"validation_split={VALIDATION_SPLIT}", "of sorted images: it validates on dogs only, as shown below", "errata"),
    ("AlexNet's paper", "images of 224x224", "its own figures need 227x227, or a padding of 2", "sizes"),
    ("Deshpande", "more filters preserve the spatial dimensions better", "padding does; filters make the depth", "filter-count"),
    ("Karn", "ZFNet won ILSVRC 2013", "Clarifai, Zeiler's company", "networks"),
    ("Karn", "pooling makes almost scale invariant (equivariant)", "approximately invariant to small shifts", "pooling"),
    ("Gupta", "pooling reduces the parameters", f"it has none; the next layer weighs {POOLED:,} numbers, not {MAPS:,}", "pooling"),
    ("Karn", "DenseNet was best in five competitive tasks", "on CIFAR-10 and -100, both also augmented, and SVHN", "networks"),
    ("Gupta", "cross-entropy in the code, mean square in the text", "two losses; both can be chosen here", "learning"),
    ("Gupta", "one zero around the image keeps its size", "of a 3x3 filter's map; 5x5 needs two, 7x7 three", "convolution"),
    ("Gupta", "a cycle is one pass forward and one backward", "that is an iteration; the text's five epochs are many of them", "learning"),
    ("Gupta", "`input_dim=50` in a later layer", "ignored: a layer inside a network takes its size from the one before", "softmax"),
    ("Deshpande", "the error of 26 % came down to 15 %", "26.2 % was the second team's, 15.3 % AlexNet's, with five guesses", "networks"),
    ("Gupta", "1 is white, 256 the darkest", "0 is black, 255 white; 256 fits in no byte", "image"),
)


# What Deshpande leaves out, and where it is.
LEFT_OUT = (
    ("non-linear layers", "[page](activations)"),
    ("pooling layers", "[page](pooling)"),
    ("size of the filters, stride, padding", "[page](sizes)"),
    ("the architecture", "[page](networks); conf/model/"),
    ("batch norm, dropout", "`kind: batch_norm`, `kind: dropout` in conf/model/cnn.yaml"),
    ("vanishing gradients", "[page](activations); the residual networks of [page](networks)"),
    ("initialization", "[page](first-weights); `init` in conf/model/"),
    ("non-convex optimization", "[page](loss-surface); conf/optimizer/"),
    ("biases", "[page](backward)"),
    ("the choice of loss", "[page](learning); conf/loss/"),
    ("augmentation", "conf/augmentation/; `python -m pipeline.command.preview augmentation=flip` shows it"),
    ("regularisation", "`optimizer.weight_decay`; label smoothing in conf/loss/"),
    ("the cost of computing", "[page](networks); `python -m pipeline.command.check`"),
    ("the way back through each layer", "[page](backward)"),
    ("how much data", "[page](data-and-depth)"),
    ("transfer learning", "[page](transfer); conf/weights/"),
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
        Table(("", "text", "says", "is", "see"), [(i, *words, f"[page]({see})") for i, (*words, see) in enumerate(SLIPS, 1)]),
        "## The validation split that saw no cat",
        f"Keras takes the *last* {VALIDATION_SPLIT:.0%} of the images for validation, unshuffled. Gupta's {total:,} images come as all "
        f"cats, then all dogs. If half of them are cats, the network trains on {split.train:,}: {CATS:,} cats and {split.train_dogs:,} "
        f"dogs; the {split.validation:,} images of validation are all dogs. A network that always says *dog* is perfect there.",
        Picture("split", "A split of sorted images", lambda path: _draw(path, split)),
        "This project shuffles, and gives every class its share of each split; duplicates can be kept from standing on both sides "
        f"(`dataset.twins`). It also reads images from disk as they are needed: {total:,} of them at {SIDE}x{SIDE} in colour would "
        f"take {gigabytes(total, 1):.1f} GB of memory as bytes, and {gigabytes(total, 4):.1f} GB as 32-bit floating-point numbers.",
        "## What they leave out",
        "Deshpande ends with a list of what the text leaves out. Here each has a page or a line of conf/:",
        Table(("topic", "where"), LEFT_OUT),
    ]


def _draw(path: Path, split: Halves) -> None:
    groups = [
        Bars(f"{name}: {images:,} images", {"cats": (1 - dogs / images, 0.0), "dogs": (dogs / images, 0.0)}, marked="dogs", decimals=0)
        for name, images, dogs in (("training", split.train, split.train_dogs), ("validation", split.validation, split.validation_dogs))
    ]
    bars(path, "The last 30 % of sorted images", groups, width=3.6)


PAGE = Page("errata", "Where the tutorials err", f"{len(SLIPS)} slips, settled", body)
