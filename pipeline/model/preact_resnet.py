"""Pre-activation residual networks: batch norm and ReLU come before each convolution, and the identity path is clean.

Sources: He, Zhang, Ren and Sun, "Identity Mappings in Deep Residual Networks", arXiv:1603.05027;
Zagoruyko and Komodakis, "Wide Residual Networks", arXiv:1605.07146."""

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn

from pipeline.model.options import blocks_of_depth, chosen, require_count, require_share
from pipeline.model.resnet import MakeBlock, PaddedShortcut, init_stages, make_shortcut, make_stages, require_stages


def basic(in_channels: int, out_channels: int, stride: int, dropout: float) -> dict[str, nn.Module]:
    """Two 3x3 convolutions, dropout between them (arXiv:1605.07146, section 2.4)."""
    return {
        "conv1": nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False),
        "bn2": nn.BatchNorm2d(out_channels),
        "relu2": nn.ReLU(),
        "dropout": nn.Dropout(dropout),
        "conv2": nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
    }


def bottleneck(in_channels: int, out_channels: int, stride: int, dropout: float) -> dict[str, nn.Module]:
    """1x1 to a quarter of `out_channels`, 3x3, dropout, 1x1 back. Raises ValueError for fewer than 4 channels."""
    inner = out_channels // 4
    if not inner:
        raise ValueError(f"widths must be 4 or more where block is bottleneck, but one is {out_channels}")
    return {
        "conv1": nn.Conv2d(in_channels, inner, 1, bias=False),
        "bn2": nn.BatchNorm2d(inner),
        "relu2": nn.ReLU(),
        "conv2": nn.Conv2d(inner, inner, 3, stride, padding=1, bias=False),
        "bn3": nn.BatchNorm2d(inner),
        "relu3": nn.ReLU(),
        "dropout": nn.Dropout(dropout),
        "conv3": nn.Conv2d(inner, out_channels, 1, bias=False),
    }


def projection(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    """Return a 1x1 convolution, for the maps after the first batch norm and ReLU."""
    return nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)


RESIDUALS = {"basic": basic, "bottleneck": bottleneck}
SHORTCUTS: dict[str, MakeBlock] = {"padded": PaddedShortcut, "projection": projection}


class PreActBlock(nn.Module):
    """(B, in, H, W) -> (B, out, H/stride, W/stride): a residual, added to the input or, if the shape changes, to a shortcut.

    block: basic or bottleneck. shortcut: padded, or a 1x1 projection of the maps after the first batch norm and ReLU
    (arXiv:1603.05027, appendix). Raises ValueError for another block or shortcut."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, block: str, shortcut: str, dropout: float) -> None:
        super().__init__()
        make_residual = chosen("block", block, RESIDUALS)
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.relu1 = nn.ReLU()
        self.residual = nn.Sequential(OrderedDict(make_residual(in_channels, out_channels, stride, dropout)))
        self.downsample = make_shortcut(chosen("shortcut", shortcut, SHORTCUTS), in_channels, out_channels, stride)
        self.projects = isinstance(self.downsample, nn.Conv2d)

    def forward(self, maps: Tensor) -> Tensor:
        active = self.relu1(self.bn1(maps))  # (B, in, H, W)
        return self.residual(active) + self.downsample(active if self.projects else maps)


class PreActResNet(nn.Module):
    """(B, C, H, W) -> (B, num_classes): a 3x3 convolution, stages `layer1` … of pre-activation blocks, global average pooling, `fc`.

    block: basic or bottleneck. stem, widths: channels out of the first convolution and of each stage; depths: blocks per stage.
    last_norm: batch norm and ReLU after the last block. Raises ValueError for invalid options."""

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        block: str,
        stem: int,
        depths: Sequence[int],
        widths: Sequence[int],
        shortcut: str,
        dropout: float,
        last_norm: bool,
    ) -> None:
        super().__init__()
        require_stages(stem, depths, widths)
        require_share(dropout=dropout)
        self.notes: list[str] = []
        self.conv1 = nn.Conv2d(in_channels, stem, 3, padding=1, bias=False)
        self.stages = [f"layer{stage}" for stage in range(1, len(depths) + 1)]
        make_block = partial(PreActBlock, block=block, shortcut=shortcut, dropout=dropout)
        for name, stage in zip(self.stages, make_stages(make_block, stem, depths, widths), strict=True):
            self.add_module(name, stage)
        self.bn = nn.BatchNorm2d(widths[-1]) if last_norm else nn.Identity()
        self.relu = nn.ReLU() if last_norm else nn.Identity()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(widths[-1], num_classes)
        init_stages(self, self.stages)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.conv1(images)  # (B, stem, H, W)
        for stage in self.stages:
            maps = self.get_submodule(stage)(maps)
        maps = self.relu(self.bn(maps))
        return self.fc(self.avgpool(maps).flatten(1))  # (B, num_classes)


class WideResNet(PreActResNet):
    """WRN-depth-widening: 6n + 4 layers, three stages of n basic blocks, `widening` times as wide as 16, 32 and 64 channels.

    dropout: rate, between the two convolutions of a block. Raises ValueError for a depth that is not 6n + 4."""

    def __init__(self, in_channels: int, num_classes: int, depth: int, widening: int, dropout: float) -> None:
        require_count(widening=widening)
        blocks = blocks_of_depth(depth, 6, 4, "16, 22, 28 or 40")  # of each stage
        super().__init__(
            in_channels,
            num_classes,
            block="basic",
            stem=16,
            depths=[blocks] * 3,
            widths=[16 * widening, 32 * widening, 64 * widening],
            shortcut="projection",
            dropout=dropout,
            last_norm=True,
        )
