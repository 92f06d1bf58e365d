"""The typed config of conf/explain, part by part; see schema.py."""

from dataclasses import dataclass

from pipeline.config.constraints import above, at_least, between


@dataclass
class Attribution:
    images: int = at_least(0)  # mistaken test images to ask about
    places: int = at_least(1)  # of the square that covers a part of an image, along a side, at most


@dataclass
class Neighbours:
    mistakes: int = at_least(0)  # mistaken test images, each with its row
    nearest: int = at_least(1)  # training images beside each
    images: int = at_least(1)  # of training that are looked at


@dataclass
class Units:
    layers: int = at_least(0)  # convolutions and hidden fully connected layers, each with a page
    units: int = at_least(1)  # shown of each layer, the first ones
    images: int = at_least(1)  # validation images looked at


@dataclass
class Maximisation:
    classes: int = at_least(0)  # for each of which an image is made, the first ones
    steps: int = at_least(2)  # of gradient ascent
    regularisers: int = between(1, 4)  # which of the four sets: TABLE_1 in analysis/maximisation.py


@dataclass
class Walk:
    samples: int = at_least(0)  # validation images to choose from on the page
    megabytes: float = above(0)  # of weights that a page may hold
