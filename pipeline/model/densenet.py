"""Densely connected networks, with torchvision's names of layers: every layer of a block gets the maps of all layers before it.

Source: Huang, Liu, van der Maaten and Weinberger, "Densely Connected Convolutional Networks", arXiv:1608.06993."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pipeline.model.init import he, init_weights
from pipeline.model.layers import add_layers, named
from pipeline.model.options import (
    SMALL,
    blocks_of_depth,
    is_small,
    require_count,
    require_counts,
    require_positive,
    require_share,
    small_variant_note,
)
from pipeline.model.tracing import output_shape

BOTTLENECK = 4  # times the growth rate: channels out of a bottleneck's 1x1 filters (section 3)


class DenseLayer(nn.Sequential):
    """Concatenates `growth_rate` maps to its input: batch norm, ReLU, 3x3 convolution; a bottleneck has the same with 1x1 filters first."""

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
        conv = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False)
        layers = {"norm": nn.BatchNorm2d(in_channels), "relu": nn.ReLU(), "conv": conv, "dropout": nn.Dropout(dropout)}
        add_layers(self, **{f"{name}{place}": layer for name, layer in layers.items()})


def dense_block(depth: int, in_channels: int, growth_rate: int, bottleneck: bool, dropout: float) -> nn.Sequential:
    """Return `depth` layers: (B, in, H, W) -> (B, in + depth * growth_rate, H, W)."""
    widths = (in_channels + layer * growth_rate for layer in range(depth))
    return named(**{f"denselayer{place}": DenseLayer(width, growth_rate, bottleneck, dropout) for place, width in enumerate(widths, 1)})


def transition(in_channels: int, out_channels: int, dropout: float) -> nn.Sequential:
    """Return the layers between two blocks: (B, in, H, W) -> (B, out, H/2, W/2)."""
    conv = nn.Conv2d(in_channels, out_channels, 1, bias=False)
    return named(norm=nn.BatchNorm2d(in_channels), relu=nn.ReLU(), conv=conv, dropout=nn.Dropout(dropout), pool=nn.AvgPool2d(2))


class DenseNet(nn.Module):
    """(B, C, H, W) -> (B, num_classes): a stem, dense blocks with transitions between them, global average pooling, one linear layer.

    Table 1. variant: the small one has a 3x3 stem of stride 1 and no pooling after it. stem: channels out of it. growth_rate: maps
    that a layer adds. depths: layers per block. compression: share of the channels that a transition keeps. dropout: rate,
    after each convolution. Raises ValueError for invalid options, TooSmallError for images whose maps shrink to nothing."""

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        image_size: int,
        variant: str,
        stem: int,
        growth_rate: int,
        depths: Sequence[int],
        bottleneck: bool,
        compression: float,
        dropout: float,
    ) -> None:
        super().__init__()
        require_count(stem=stem, growth_rate=growth_rate)
        require_counts(depths=depths)
        require_positive(most=1, compression=compression)
        require_share(dropout=dropout)
        small = is_small(variant, image_size)
        self.notes = [small_variant_note(image_size, "a 3x3 first convolution of stride 1, no pooling after it")] if small else []
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
        add_layers(self.features, norm5=nn.BatchNorm2d(channels), relu5=nn.ReLU())  # torchvision's names, for four blocks
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(channels, num_classes)
        init_weights(self.features, he)
        nn.init.zeros_(self.classifier.bias)
        output_shape(self, (in_channels, image_size, image_size))

    def forward(self, images: Tensor) -> Tensor:
        maps = self.features(images)  # (B, channels, H/32, W/32); small variant with three blocks: H/4, W/4
        return self.classifier(self.avgpool(maps).flatten(1))  # (B, num_classes)


def paper_stem(in_channels: int, channels: int) -> nn.Sequential:
    """Return the first layers of table 1: (B, in, H, W) -> (B, channels, H/4, W/4)."""
    conv = nn.Conv2d(in_channels, channels, 7, stride=2, padding=3, bias=False)
    return named(conv0=conv, norm0=nn.BatchNorm2d(channels), relu0=nn.ReLU(), pool0=nn.MaxPool2d(3, stride=2, padding=1))


def small_stem(in_channels: int, channels: int) -> nn.Sequential:
    """Return a convolution, (B, in, H, W) -> (B, channels, H, W); the first dense layer begins with batch norm and ReLU."""
    return named(conv0=nn.Conv2d(in_channels, channels, 3, padding=1, bias=False))


class CIFARDenseNet(DenseNet):
    """The paper's network for 32x32 images (section 4.2): three blocks, `depth` layers in all.

    bottleneck: with the stem twice as wide as the growth rate; else it has 16 channels.
    Raises ValueError for a depth that does not divide into three blocks."""

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
        require_count(growth_rate=growth_rate)
        layers = blocks_of_depth(depth, 6 if bottleneck else 3, 4, "40 or 100")  # of each of the three blocks
        super().__init__(
            in_channels,
            num_classes,
            image_size,
            variant=SMALL,
            stem=2 * growth_rate if bottleneck else 16,
            growth_rate=growth_rate,
            depths=[layers] * 3,
            bottleneck=bottleneck,
            compression=compression,
            dropout=dropout,
        )
        self.notes = []  # this is the paper's own network
