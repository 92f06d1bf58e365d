"""AlexNet: the two towers of 2012, the same as one tower, and the narrower single tower of 2014, as in torchvision.

Krizhevsky, Sutskever and Hinton, "ImageNet Classification with Deep Convolutional Neural Networks", NIPS 2012;
Krizhevsky, "One weird trick for parallelizing convolutional neural networks", arXiv:1404.5997."""

import math
from collections.abc import Sequence

from torch import nn

from pipeline.model.init import he, init_weights, normal
from pipeline.model.layers import LocalResponseNorm, add_layers
from pipeline.model.options import is_small, require_count, require_counts, require_share, small_variant_note
from pipeline.model.tracing import Shape, output_shape

STEM, STRIDE = 11, 4  # pixels, of conv1
SMALL_STEM = 5  # pixels, at every pixel
POSITIVE_BIAS = ("conv2", "conv4", "conv5", "fc6", "fc7")  # initialized to 1, for positive inputs of the ReLUs (2012, section 5)


class AlexNet(nn.Sequential):
    """(B, C, H, W) -> (B, num_classes): five convolutions, three overlapping poolings, three fully connected layers.

    filters: of the five convolutions. groups: towers, 1 or 2. final_side: pixels that the last maps are averaged to; None: not averaged.
    drops_inputs: dropout before fc6 and fc7, as in torchvision, not after them.
    The paper's variant has maps of 55, 27, 13, 6 at 227x227; the small variant has 4x4 maps at the end for images of 28 and 32 pixels.
    Initialization: weights N(0, 0.01²), biases 0 or 1 (2012, section 5), made for pixels of 0 to 255 minus their mean. The small variant
    does not learn with it: its convolutions have He's, its biases are 0. Raises TooSmallError."""

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        image_size: int,
        variant: str,
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
        require_sizes(filters, units, small_units, dropout)
        require_count(groups=groups)
        if final_side is not None:
            require_count(final_side=final_side)
        one, two, three, four, five = filters
        small = is_small(variant, image_size)
        kernel, stride, padding = (SMALL_STEM, 1, SMALL_STEM // 2) if small else (STEM, STRIDE, _stem_padding(image_size))

        def norm() -> nn.Module | None:
            return LocalResponseNorm() if local_response_norm else None

        def pool() -> nn.Module:
            return nn.MaxPool2d(3, 2, padding=1 if small else 0)

        add_layers(self, conv1=nn.Conv2d(in_channels, one, kernel, stride, padding), relu1=nn.ReLU(), norm1=norm(), pool1=pool())
        add_layers(self, conv2=nn.Conv2d(one, two, 5, padding=2, groups=groups), relu2=nn.ReLU(), norm2=norm(), pool2=pool())
        add_layers(self, conv3=nn.Conv2d(two, three, 3, padding=1), relu3=nn.ReLU())
        add_layers(self, conv4=nn.Conv2d(three, four, 3, padding=1, groups=groups), relu4=nn.ReLU())
        add_layers(self, conv5=nn.Conv2d(four, five, 3, padding=1, groups=groups), relu5=nn.ReLU(), pool5=pool())
        add_layers(self, average=nn.AdaptiveAvgPool2d(final_side) if final_side and not small else None)
        add_head(self, (in_channels, image_size, image_size), num_classes, small_units if small else units, dropout, drops_inputs, small)
        for name in () if small else POSITIVE_BIAS:
            nn.init.ones_(self.get_parameter(f"{name}.bias"))
        if small:
            stem = f"conv1 has {SMALL_STEM}x{SMALL_STEM} filters with stride 1 (paper: {STEM}x{STEM}, {STRIDE})"
            self.notes = [small_variant_note(image_size, f"{stem}, {small_head(units, small_units)}")]
        elif padding:
            why = f"its stride of {STRIDE} fits 227x227 without"
            self.notes = [f"conv1 pads images of {image_size}x{image_size} pixels by {padding}: {why}"]
        else:
            self.notes = []


def require_sizes(filters: Sequence[int], units: int, small_units: int, dropout: float) -> None:
    """Raise ValueError for invalid sizes of AlexNet or ZFNet."""
    require_counts(5, filters=filters)
    require_count(units=units, small_units=small_units)
    require_share(dropout=dropout)


def add_head(network: nn.Sequential, image: Shape, num_classes: int, units: int, dropout: float, drops_inputs: bool, small: bool) -> None:
    """Append the fully connected layers for images (C, H, W), and initialize the whole network."""
    inputs = math.prod(output_shape(network, image))
    add_layers(network, **fully_connected(inputs, units, num_classes, dropout, drops_inputs))
    for layer in network:
        init_weights(layer, he if small and isinstance(layer, nn.Conv2d) else normal)


def fully_connected(inputs: int, units: int, num_classes: int, dropout: float, drops_inputs: bool = False) -> dict[str, nn.Module]:
    """Return the last three layers of AlexNet, ZFNet and VGG, (B, ...) -> (B, num_classes), under these papers' names.

    dropout: rate, of the outputs of fc6 and fc7, or of their inputs (drops_inputs)."""
    layers: dict[str, nn.Module] = {"flatten": nn.Flatten()}
    for number, width in ((6, inputs), (7, units)):
        drop = {f"drop{number}": nn.Dropout(dropout)}
        hidden = {f"fc{number}": nn.Linear(width, units), f"relu{number}": nn.ReLU()}
        layers |= drop | hidden if drops_inputs else hidden | drop
    return layers | {"fc8": nn.Linear(units, num_classes)}


def small_head(units: int, small_units: int) -> str:
    """Describe what the small variants of AlexNet and ZFNet share."""
    return f"poolings are padded, fc6 and fc7 have small_units={small_units} (in place of units={units})"


def _stem_padding(image_size: int) -> int:
    """Return conv1's padding in pixels: 0 if its steps end at the image's last pixel, as at 227 pixels.

    Else 2, as in torchvision, which gives maps of 55x55 at 224 pixels too."""
    return 2 if (image_size - STEM) % STRIDE else 0
