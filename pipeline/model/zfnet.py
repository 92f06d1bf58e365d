"""ZFNet: AlexNet with a finer first layer, found by visualizing what AlexNet's first layers had learnt.

Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", arXiv:1311.2901, section 3 and figure 3."""

from collections.abc import Sequence
from functools import partial

from torch import nn

from pipeline.model.alexnet import add_head, require_sizes, small_head
from pipeline.model.layers import CappedConv2d, LocalResponseNorm, add_layers, constrain
from pipeline.model.options import is_small, small_variant_note

SMALL_CHANGES = "conv1 has 3x3 filters with stride 1 (paper: 7x7, 2), conv2 stride 1 (2)"


class ZFNet(nn.Sequential):
    """(B, C, H, W) -> (B, num_classes): five convolutions with a constraint, three poolings, three fully connected layers.

    filters: of the five convolutions. The paper's variant has maps of 110, 55, 26, 13, 6 at 224x224 (pools round up, as in its figure 3);
    the small variant has 4x4 maps at the end for images of 28 and 32 pixels. The paper gives no constants for its contrast normalisation
    across maps; AlexNet's are taken. Initialization: weights N(0, 0.01²), biases 0 (section 3), with which the small variant does not
    learn: its convolutions have He's. max_rms: of a filter's weights, from the first step on. Raises TooSmallError."""

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        image_size: int,
        variant: str,
        filters: Sequence[int],
        units: int,
        small_units: int,
        dropout: float,
        max_rms: float,
    ) -> None:
        super().__init__()
        require_sizes(filters, units, small_units, dropout)
        one, two, three, four, five = filters
        small = is_small(variant, image_size)
        self.notes = [small_variant_note(image_size, f"{SMALL_CHANGES}, {small_head(units, small_units)}")] if small else []

        def pool() -> nn.Module:
            return nn.MaxPool2d(3, 2, padding=1) if small else nn.MaxPool2d(3, 2, ceil_mode=True)

        conv = partial(CappedConv2d, max_rms=max_rms)
        conv1 = conv(in_channels, one, 3, padding=1) if small else conv(in_channels, one, 7, 2, padding=1)
        conv2 = conv(one, two, 5, padding=2) if small else conv(one, two, 5, 2)
        add_layers(self, conv1=conv1, relu1=nn.ReLU(), pool1=pool(), norm1=LocalResponseNorm())
        add_layers(self, conv2=conv2, relu2=nn.ReLU(), pool2=pool(), norm2=LocalResponseNorm())
        add_layers(self, conv3=conv(two, three, 3, padding=1), relu3=nn.ReLU())
        add_layers(self, conv4=conv(three, four, 3, padding=1), relu4=nn.ReLU())
        add_layers(self, conv5=conv(four, five, 3, padding=1), relu5=nn.ReLU(), pool5=pool())
        units = small_units if small else units
        add_head(self, (in_channels, image_size, image_size), num_classes, units, dropout, drops_inputs=False, small=small)
        constrain(self)
