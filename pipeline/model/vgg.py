"""VGG: 3x3 convolutions in blocks, each ending with a pooling, with or without batch norm.

Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", arXiv:1409.1556, table 1 (A, B, D, E)."""

import math
from collections.abc import Sequence

from torch import nn

from pipeline.config.wording import counted
from pipeline.model.alexnet import fully_connected
from pipeline.model.init import he, init_weights, normal
from pipeline.model.layers import add_border, add_layers
from pipeline.model.options import is_small, require_count, require_counts, require_share, small_variant_note
from pipeline.model.tracing import output_shape

SMALL_CHANGES = "one linear layer on the mean of each map in place of fc6, fc7 and fc8, whose units and dropout are ignored"


class VGG(nn.Sequential):
    """(B, C, H, W) -> (B, num_classes): convolutions conv1_1, conv1_2 …, poolings pool1 …, fully connected layers fc6, fc7, fc8.

    filters, convolutions: of each block. final_side: pixels that the last maps of the paper's variant are averaged to, even if they
    are smaller, as in torchvision; None: not averaged. The paper's variant has maps of 112, 56, 28, 14, 7 at 224x224; the small variant
    ends with the mean of each map and one linear layer; images of 28 to 31 pixels are padded for five poolings.
    Initialization: convolutions He's, linear layers N(0, 0.01²), biases 0; with N(0, 0.01²) throughout, the paper had to copy weights of
    deep networks from a shallow one (section 3.1). Raises TooSmallError if maps shrink to nothing."""

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        image_size: int,
        variant: str,
        filters: Sequence[int],
        convolutions: Sequence[int],
        batch_norm: bool,
        final_side: int | None,
        units: int,
        dropout: float,
    ) -> None:
        super().__init__()
        require_counts(filters=filters, convolutions=convolutions)
        if len(filters) != len(convolutions):
            raise ValueError(
                f"filters has {counted(len(filters), 'block')} and convolutions has {len(convolutions)}; they need one number per block"
            )
        if final_side is not None:
            require_count(final_side=final_side)
        require_count(units=units)
        require_share(dropout=dropout)
        small = is_small(variant, image_size)
        self.notes = add_border(self, image_size)
        channels = in_channels
        for block, (width, count) in enumerate(zip(filters, convolutions, strict=True), 1):
            for number in range(1, count + 1):
                place, norm = f"{block}_{number}", nn.BatchNorm2d(width) if batch_norm else None
                conv = nn.Conv2d(channels, width, 3, padding=1)
                add_layers(self, **{f"conv{place}": conv, f"bn{place}": norm, f"relu{place}": nn.ReLU()})
                channels = width
            self.add_module(f"pool{block}", nn.MaxPool2d(2))
        side = output_shape(self, (in_channels, image_size, image_size))[-1]
        if small:
            self.add_module("average", nn.AdaptiveAvgPool2d(1))
            self.notes.append(small_variant_note(image_size, SMALL_CHANGES))
        elif final_side not in (None, side):
            self.add_module("average", nn.AdaptiveAvgPool2d(final_side))
            self.notes.append(f"the last maps of {side}x{side} pixels are averaged to {final_side}x{final_side} for fc6")
        init_weights(self, he)
        inputs = math.prod(output_shape(self, (in_channels, image_size, image_size)))
        small_head: dict[str, nn.Module] = {"flatten": nn.Flatten(), "fc": nn.Linear(inputs, num_classes)} if small else {}
        for name, layer in (small_head or fully_connected(inputs, units, num_classes, dropout)).items():
            init_weights(layer, normal)
            self.add_module(name, layer)
