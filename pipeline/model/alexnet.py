"""AlexNet: the two towers of 2012, the same as one, and the narrower single tower of 2014 that torchvision has.

Krizhevsky, Sutskever and Hinton, "ImageNet Classification with Deep Convolutional Neural Networks", NIPS 2012;
Krizhevsky, "One weird trick for parallelizing convolutional neural networks", arXiv:1404.5997."""

import math
from collections.abc import Sequence

from torch import nn

from pipeline.model.blocks import LocalResponseNorm, add_layers, fully_connected
from pipeline.model.choices import require_count, require_counts, require_share
from pipeline.model.first_values import he, normal, set_first_values
from pipeline.model.forms import PAPER, chosen_form, small_form_note
from pipeline.model.tracing import output_shape

STEM, STRIDE = 11, 4  # pixels, of conv1
SMALL_STEM = 5  # pixels, at every pixel
EXCITED = ("conv2", "conv4", "conv5", "fc6", "fc7")  # their biases begin at 1, so that ReLUs get positive inputs (2012, section 5)


class AlexNet(nn.Sequential):
    """(B, C, H, W) -> (B, num_classes): five convolutions, three poolings that overlap, three fully connected layers.

    filters: of the five convolutions. groups: towers, 1 or 2. final_side: pixels that the last maps are averaged to; None leaves them.
    drops_inputs: dropout stands before fc6 and fc7, as in torchvision, and not behind them.
    The paper's form has maps of 55, 27, 13, 6 at 227x227; the small form has 4x4 maps at the end for images of 28 and 32 pixels.
    First values: weights N(0, 0.01), biases 0 or 1 (2012, section 5), which are made for pixels of 0 to 255 less their mean and do not
    get the small form going: its convolutions have He's, and its biases are 0. Raises TooSmallError."""

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        image_size: int,
        form: str,
        filters: Sequence[int],
        groups: int,
        local_response_norm: bool,
        final_side: int | None,
        units: int,
        small_units: int,
        dropout: float,
        drops_inputs: bool,
    ) -> None:
        super().__init__()
        require_counts("filters", filters, 5)
        require_count("groups", groups)
        if final_side is not None:
            require_count("final_side", final_side)
        require_count("units", units)
        require_count("small_units", small_units)
        require_share("dropout", dropout)
        one, two, three, four, five = filters
        is_paper = chosen_form(form, image_size) == PAPER
        padding = _stem_padding(image_size) if is_paper else SMALL_STEM // 2
        stem, stride = (STEM, STRIDE) if is_paper else (SMALL_STEM, 1)
        self.notes = _notes(image_size, is_paper, padding, units, small_units)

        def norm() -> nn.Module | None:
            return LocalResponseNorm() if local_response_norm else None

        def pool() -> nn.Module:
            return nn.MaxPool2d(3, 2, padding=0 if is_paper else 1)

        add_layers(self, conv1=nn.Conv2d(in_channels, one, stem, stride, padding), relu1=nn.ReLU(), norm1=norm(), pool1=pool())
        add_layers(self, conv2=nn.Conv2d(one, two, 5, padding=2, groups=groups), relu2=nn.ReLU(), norm2=norm(), pool2=pool())
        add_layers(self, conv3=nn.Conv2d(two, three, 3, padding=1), relu3=nn.ReLU())
        add_layers(self, conv4=nn.Conv2d(three, four, 3, padding=1, groups=groups), relu4=nn.ReLU())
        add_layers(self, conv5=nn.Conv2d(four, five, 3, padding=1, groups=groups), relu5=nn.ReLU(), pool5=pool())
        add_layers(self, average=nn.AdaptiveAvgPool2d(final_side) if final_side and is_paper else None)
        inputs = math.prod(output_shape(self, (in_channels, image_size, image_size)))
        add_layers(self, **fully_connected(inputs, units if is_paper else small_units, num_classes, dropout, drops_inputs))
        for layer in self:
            set_first_values(layer, he if isinstance(layer, nn.Conv2d) and not is_paper else normal)
        for name in EXCITED if is_paper else ():
            nn.init.ones_(self.get_parameter(f"{name}.bias"))


def _stem_padding(image_size: int) -> int:
    """Return how many pixels conv1 adds on each side: 0 where its steps end at the image's last pixel, as at 227 pixels.

    Else 2, which is torchvision's: maps of 55x55 at 224 pixels too, where the steps leave one row and column over, of padding."""
    return 2 if (image_size - STEM) % STRIDE else 0


def _notes(image_size: int, is_paper: bool, padding: int, units: int, small_units: int) -> list[str]:
    if not is_paper:
        changes = (
            "conv1 has 5x5 filters with stride 1 (paper: 11x11, 4), poolings are padded, "
            f"fc6 and fc7 have small_units={small_units} (in place of units={units})"
        )
        return [small_form_note(image_size, changes)]
    if not padding:
        return []
    return [f"conv1 pads images of {image_size}x{image_size} pixels by {padding}: its steps of {STRIDE} pixels fit 227x227 without"]
