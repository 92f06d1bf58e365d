"""The form of a network: exactly the paper's, or the field's convention for images that are much smaller than the paper's."""

import math

from torch import nn

from pipeline.model.choices import chosen

PAPER, SMALL, AUTO = "paper", "small", "auto"
PAPER_FROM = 112  # pixels: half the papers' 224; from there on their strides leave maps of 3x3 or more
FROM = {PAPER: 0, SMALL: math.inf, AUTO: PAPER_FROM}  # pixels from which each gives the paper's form
FRAMED, FRAMED_TO = range(28, 32), 32  # pixels: MNIST's 28x28 is a little less than the 32x32 of LeNet and of five poolings


def chosen_form(form: str, image_size: int) -> str:
    """Return PAPER or SMALL; AUTO takes SMALL for images of fewer than PAPER_FROM pixels. Raises ValueError for another form."""
    return PAPER if image_size >= chosen("form", form, FROM) else SMALL


def small_form_note(image_size: int, changes: str) -> str:
    """Word what the small form changed, for `notes` of a network."""
    return f"small form for images of {image_size}x{image_size} pixels: {changes}. model.form=paper keeps the paper's layers"


def frame(image_size: int) -> nn.Module:
    """Return the layer that gives images of a size in FRAMED the border that they lack: their outermost pixels, repeated."""
    before = (FRAMED_TO - image_size) // 2
    after = FRAMED_TO - image_size - before
    return nn.ReplicationPad2d((before, after, before, after))


def frame_note(image_size: int) -> str:
    """Word what `frame` does, for `notes` of a network."""
    return f"images of {image_size}x{image_size} pixels get a border of their outermost pixels and are {FRAMED_TO}x{FRAMED_TO}"
