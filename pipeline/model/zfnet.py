"""ZFNet: AlexNet with a finer first layer, found by looking at what AlexNet's first layers had learnt.

Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", arXiv:1311.2901, section 3 and figure 3."""

import math
from collections.abc import Sequence
from functools import partial

from torch import nn

from pipeline.model.blocks import CappedConv2d, LocalResponseNorm, add_layers, constrain, fully_connected
from pipeline.model.choices import require_count, require_counts, require_share
from pipeline.model.first_values import he, normal, set_first_values
from pipeline.model.forms import PAPER, chosen_form, small_form_note
from pipeline.model.tracing import output_shape


class ZFNet(nn.Sequential):
    """(B, C, H, W) -> (B, num_classes): five convolutions whose filters are capped, three poolings, three fully connected layers.

    filters: of the five convolutions. The paper's form has maps of 110, 55, 26, 13, 6 at 224x224 (pools round up, as in its figure 3);
    the small form has 4x4 maps at the end for images of 28 and 32 pixels. The paper gives no constants for its contrast normalisation
    across maps; AlexNet's are taken. First values: weights N(0, 0.01), biases 0 (section 3), which do not get the small form going:
    its convolutions have He's. max_rms: of a filter's weights, from the first step on. Raises TooSmallError."""

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        image_size: int,
        form: str,
        filters: Sequence[int],
        units: int,
        small_units: int,
        dropout: float,
        max_rms: float,
    ) -> None:
        super().__init__()
        require_counts("filters", filters, 5)
        require_count("units", units)
        require_count("small_units", small_units)
        require_share("dropout", dropout)
        one, two, three, four, five = filters
        is_paper = chosen_form(form, image_size) == PAPER
        self.notes = [] if is_paper else [small_form_note(image_size, _changes(units, small_units))]

        def pool() -> nn.Module:
            return nn.MaxPool2d(3, 2, ceil_mode=True) if is_paper else nn.MaxPool2d(3, 2, padding=1)

        conv = partial(CappedConv2d, max_rms=max_rms)
        conv1 = conv(in_channels, one, 7, 2, padding=1) if is_paper else conv(in_channels, one, 3, padding=1)
        conv2 = conv(one, two, 5, 2) if is_paper else conv(one, two, 5, padding=2)
        add_layers(self, conv1=conv1, relu1=nn.ReLU(), pool1=pool(), norm1=LocalResponseNorm())
        add_layers(self, conv2=conv2, relu2=nn.ReLU(), pool2=pool(), norm2=LocalResponseNorm())
        add_layers(self, conv3=conv(two, three, 3, padding=1), relu3=nn.ReLU())
        add_layers(self, conv4=conv(three, four, 3, padding=1), relu4=nn.ReLU())
        add_layers(self, conv5=conv(four, five, 3, padding=1), relu5=nn.ReLU(), pool5=pool())
        inputs = math.prod(output_shape(self, (in_channels, image_size, image_size)))
        add_layers(self, **fully_connected(inputs, units if is_paper else small_units, num_classes, dropout))
        for layer in self:
            set_first_values(layer, he if isinstance(layer, nn.Conv2d) and not is_paper else normal)
        constrain(self)


def _changes(units: int, small_units: int) -> str:
    return (
        "conv1 has 3x3 filters with stride 1 (paper: 7x7, 2), conv2 stride 1 (2), "
        f"poolings are padded, fc6 and fc7 have small_units={small_units} (in place of units={units})"
    )
