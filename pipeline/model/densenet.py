"""Densely connected networks, with torchvision's names of layers: every layer of a block gets the maps of all layers before it.

Source: Huang, Liu, van der Maaten and Weinberger, "Densely Connected Convolutional Networks", arXiv:1608.06993."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pipeline.model.choices import require_above_zero, require_count, require_counts, require_share
from pipeline.model.first_values import he, set_first_values
from pipeline.model.forms import SMALL, chosen_form, small_form_note
from pipeline.model.tracing import output_shape

BOTTLENECK = 4  # times the growth rate: channels out of a bottleneck's 1x1 filters (section 3)


class DenseLayer(nn.Sequential):
    """Adds `growth_rate` maps to those that come: batch norm, ReLU, 3x3 convolution; a bottleneck has the same with 1x1 filters first."""

    def __init__(self, in_channels: int, growth_rate: int, bottleneck: bool, dropout: float) -> None:
        super().__init__()
        inner = BOTTLENECK * growth_rate
        if bottleneck:
            self._add_convolution(1, in_channels, inner, 1, dropout)
            self._add_convolution(2, inner, growth_rate, 3, dropout)
        else:
            self._add_convolution(1, in_channels, growth_rate, 3, dropout)

    def forward(self, maps: Tensor) -> Tensor:
        return torch.cat([maps, super().forward(maps)], dim=1)  # (B, in + growth_rate, H, W)

    def _add_convolution(self, place: int, in_channels: int, out_channels: int, kernel: int, dropout: float) -> None:
        self.add_module(f"norm{place}", nn.BatchNorm2d(in_channels))
        self.add_module(f"relu{place}", nn.ReLU())
        self.add_module(f"conv{place}", nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False))
        self.add_module(f"dropout{place}", nn.Dropout(dropout))


def dense_block(depth: int, in_channels: int, growth_rate: int, bottleneck: bool, dropout: float) -> nn.Sequential:
    """Return `depth` layers, by which (B, in, H, W) become (B, in + depth * growth_rate, H, W)."""
    block = nn.Sequential()
    for layer in range(depth):
        block.add_module(f"denselayer{layer + 1}", DenseLayer(in_channels + layer * growth_rate, growth_rate, bottleneck, dropout))
    return block


def transition(in_channels: int, out_channels: int, dropout: float) -> nn.Sequential:
    """Return what makes (B, in, H, W) to (B, out, H/2, W/2) between two blocks."""
    layers = nn.Sequential()
    layers.add_module("norm", nn.BatchNorm2d(in_channels))
    layers.add_module("relu", nn.ReLU())
    layers.add_module("conv", nn.Conv2d(in_channels, out_channels, 1, bias=False))
    layers.add_module("dropout", nn.Dropout(dropout))
    layers.add_module("pool", nn.AvgPool2d(2))
    return layers


class DenseNet(nn.Module):
    """A stem, dense blocks with transitions between them, batch norm, ReLU, the mean over each map, one linear layer (table 1).

    form: the small one has a 3x3 stem of stride 1 and no pooling after it. stem: channels out of it. growth_rate: maps that a layer adds.
    depths: layers per block. compression: share of the channels that a transition keeps. dropout: share of the values of each
    convolution's maps set to 0. Raises ValueError for options that it can't build,
    TooSmallError for images whose maps shrink to nothing."""

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        image_size: int,
        form: str,
        stem: int,
        growth_rate: int,
        depths: Sequence[int],
        bottleneck: bool,
        compression: float,
        dropout: float,
    ) -> None:
        super().__init__()
        require_count("stem", stem)
        require_count("growth_rate", growth_rate)
        require_counts("depths", depths)
        require_above_zero("compression", compression, most=1)
        require_share("dropout", dropout)
        small = chosen_form(form, image_size) == SMALL
        self.notes = [small_form_note(image_size, "a 3x3 first convolution of stride 1, no pooling after it")] if small else []
        self.features = small_stem(in_channels, stem) if small else paper_stem(in_channels, stem)
        channels = stem
        for place, depth in enumerate(depths, start=1):
            if place > 1:
                kept = int(channels * compression)
                if not kept:
                    raise ValueError(f"compression must leave a channel between two blocks, but {compression} of {channels} is none")
                self.features.add_module(f"transition{place - 1}", transition(channels, kept, dropout))
                channels = kept
            self.features.add_module(f"denseblock{place}", dense_block(depth, channels, growth_rate, bottleneck, dropout))
            channels += depth * growth_rate
        self.features.add_module("norm5", nn.BatchNorm2d(channels))  # torchvision's name, for four blocks
        self.features.add_module("relu5", nn.ReLU())
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(channels, num_classes)
        set_first_values(self.features, he)
        nn.init.zeros_(self.classifier.bias)
        output_shape(self, (in_channels, image_size, image_size))

    def forward(self, images: Tensor) -> Tensor:
        maps = self.features(images)  # (B, channels, H/32, W/32); small form with three blocks: H/4, W/4
        return self.classifier(self.avgpool(maps).flatten(1))  # (B, num_classes)


def paper_stem(in_channels: int, channels: int) -> nn.Sequential:
    """Return what makes (B, in, H, W) to (B, channels, H/4, W/4)."""
    layers = nn.Sequential()
    layers.add_module("conv0", nn.Conv2d(in_channels, channels, 7, stride=2, padding=3, bias=False))
    layers.add_module("norm0", nn.BatchNorm2d(channels))
    layers.add_module("relu0", nn.ReLU())
    layers.add_module("pool0", nn.MaxPool2d(3, stride=2, padding=1))
    return layers


def small_stem(in_channels: int, channels: int) -> nn.Sequential:
    """Return what makes (B, in, H, W) to (B, channels, H, W); the first dense layer begins with batch norm and ReLU."""
    layers = nn.Sequential()
    layers.add_module("conv0", nn.Conv2d(in_channels, channels, 3, padding=1, bias=False))
    return layers


class CIFARDenseNet(DenseNet):
    """The paper's for 32x32 images (section 4.2): three blocks, together `depth` layers.

    bottleneck: with the stem twice as wide as the growth rate; else it has 16 channels.
    Raises ValueError for a depth that three blocks can't share."""

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        image_size: int,
        depth: int,
        growth_rate: int,
        bottleneck: bool,
        compression: float,
        dropout: float,
    ) -> None:
        require_count("depth", depth)
        require_count("growth_rate", growth_rate)
        per_layer = 2 if bottleneck else 1  # convolutions
        layers, rest = divmod(depth - 4, 3 * per_layer)
        if rest or layers < 1:
            raise ValueError(f"depth must be {3 * per_layer}n + 4, such as 40 or 100, but it is {depth}")
        super().__init__(
            in_channels,
            num_classes,
            image_size,
            form=SMALL,
            stem=2 * growth_rate if bottleneck else 16,
            growth_rate=growth_rate,
            depths=[layers] * 3,
            bottleneck=bottleneck,
            compression=compression,
            dropout=dropout,
        )
        self.notes = []  # this is the paper's own form
