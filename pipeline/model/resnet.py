"""Post-activation residual networks, with torchvision's names of layers: a block's last ReLU comes after the sum.

Source: He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition", arXiv:1512.03385."""

from collections.abc import Callable, Sequence
from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.model.init import he_fan_out, init_weights, normal
from pipeline.model.options import SMALL, blocks_of_depth, chosen, is_small, require_count, require_counts, small_variant_note

MakeBlock = Callable[[int, int, int], nn.Module]  # of channels in, channels out, stride


class PaddedShortcut(nn.Module):
    """Option A, without parameters: subsampling, and maps of zeros for the new channels (section 3.3).

    (B, in, H, W) -> (B, out, H/stride, W/stride). Raises ValueError for fewer channels out than in."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.subsample = nn.AvgPool2d(kernel_size=1, stride=stride)
        self.new_channels = out_channels - in_channels
        if self.new_channels < 0:
            raise ValueError(f"shortcut is padded, which adds channels: widths must not shrink, but {in_channels} become {out_channels}")

    def forward(self, maps: Tensor) -> Tensor:
        return F.pad(self.subsample(maps), (0, 0, 0, 0, 0, self.new_channels))


def projection(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    """Return option B, a 1x1 convolution with batch norm (section 3.3)."""
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))


SHORTCUTS: dict[str, MakeBlock] = {"padded": PaddedShortcut, "projection": projection}
HALVING = {"1x1": 1, "3x3": 2}  # which convolution of a bottleneck


def make_shortcut(make: MakeBlock, in_channels: int, out_channels: int, stride: int) -> nn.Module:
    """Return the identity if input and output have the same shape, else make(in_channels, out_channels, stride)."""
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return make(in_channels, out_channels, stride)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions (figure 5, left)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, shortcut: MakeBlock) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.downsample = make_shortcut(shortcut, in_channels, out_channels, stride)
        self.relu2 = nn.ReLU()

    def forward(self, maps: Tensor) -> Tensor:
        residual = self.relu1(self.bn1(self.conv1(maps)))  # (B, out, H/stride, W/stride)
        residual = self.bn2(self.conv2(residual))
        return self.relu2(residual + self.downsample(maps))

    def start_as_shortcut(self) -> None:
        """Initialize the residual to 0."""
        nn.init.zeros_(self.bn2.weight)


class Bottleneck(nn.Module):
    """1x1 to `out_channels` / `reduction`, 3x3, 1x1 back (figure 5, right). Raises ValueError if `reduction` does not divide it."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, shortcut: MakeBlock, reduction: int, halving: int) -> None:
        super().__init__()
        if out_channels % reduction:
            raise ValueError(f"reduction must divide each of the widths, but it is {reduction} and one is {out_channels}")
        inner = out_channels // reduction
        first, second = (stride, 1) if halving == 1 else (1, stride)
        self.conv1 = nn.Conv2d(in_channels, inner, 1, first, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(inner, inner, 3, second, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.relu2 = nn.ReLU()
        self.conv3 = nn.Conv2d(inner, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.downsample = make_shortcut(shortcut, in_channels, out_channels, stride)
        self.relu3 = nn.ReLU()

    def forward(self, maps: Tensor) -> Tensor:
        residual = self.relu1(self.bn1(self.conv1(maps)))  # (B, inner, H, W)
        residual = self.relu2(self.bn2(self.conv2(residual)))  # (B, inner, H/stride, W/stride)
        residual = self.bn3(self.conv3(residual))  # (B, out, H/stride, W/stride)
        return self.relu3(residual + self.downsample(maps))

    def start_as_shortcut(self) -> None:
        """Initialize the residual to 0."""
        nn.init.zeros_(self.bn3.weight)


def require_stages(stem: int, depths: Sequence[int], widths: Sequence[int]) -> None:
    """Raise ValueError for sizes that are not positive integers, and for lists of different lengths."""
    require_count(stem=stem)
    require_counts(depths=depths, widths=widths)
    if len(depths) != len(widths):
        raise ValueError(f"depths and widths must have one entry per stage each, but they have {len(depths)} and {len(widths)}")


def make_stages(block: MakeBlock, stem: int, depths: Sequence[int], widths: Sequence[int]) -> list[nn.Sequential]:
    """Return `depths[i]` blocks of `widths[i]` channels per stage; each stage but the first halves the maps."""
    stages, channels = [], stem
    for stage, (depth, width) in enumerate(zip(depths, widths, strict=True)):
        first = block(channels, width, 1 if stage == 0 else 2)
        stages.append(nn.Sequential(first, *(block(width, width, 1) for _ in range(depth - 1))))
        channels = width
    return stages


class ResNet(nn.Module):
    """(B, C, H, W) -> (B, num_classes): a stem, stages `layer1` … of residual blocks, global average pooling, one linear layer (table 1).

    variant: the small one has a 3x3 stem of stride 1 and no pooling after it.
    block: basic or bottleneck. stem, widths: channels out of the stem and out of each stage; depths: blocks per stage.
    reduction: of a bottleneck's channels. stride_in: the filters of a bottleneck, 1x1 (the paper's) or 3x3, that halve the maps.
    shortcut: padded or projection, where shapes change. zero_init_residual: blocks start as their shortcuts (Goyal et al.,
    arXiv:1706.02677, section 5.1, like the initialization of `fc`). Raises ValueError for invalid options."""

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        image_size: int,
        variant: str,
        block: str,
        stem: int,
        depths: Sequence[int],
        widths: Sequence[int],
        reduction: int,
        stride_in: str,
        shortcut: str,
        zero_init_residual: bool,
    ) -> None:
        super().__init__()
        require_stages(stem, depths, widths)
        small = is_small(variant, image_size)
        self.notes = [small_variant_note(image_size, "a 3x3 first convolution of stride 1, no pooling after it")] if small else []
        self.conv1 = nn.Conv2d(in_channels, stem, *((3, 1, 1) if small else (7, 2, 3)), bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.relu = nn.ReLU()
        self.maxpool = nn.Identity() if small else nn.MaxPool2d(3, stride=2, padding=1)
        self.stages = [f"layer{stage}" for stage in range(1, len(depths) + 1)]
        make_block = block_maker(block, shortcut, reduction, stride_in)
        for name, stage in zip(self.stages, make_stages(make_block, stem, depths, widths), strict=True):
            self.add_module(name, stage)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(widths[-1], num_classes)
        init_stages(self, self.stages)
        for module in self.modules():
            if zero_init_residual and isinstance(module, BasicBlock | Bottleneck):
                module.start_as_shortcut()

    def forward(self, images: Tensor) -> Tensor:
        maps = self.maxpool(self.relu(self.bn1(self.conv1(images))))  # (B, stem, H/4, W/4); small variant: (B, stem, H, W)
        for stage in self.stages:
            maps = self.get_submodule(stage)(maps)
        return self.fc(self.avgpool(maps).flatten(1))  # (B, num_classes)


def init_stages(network: nn.Module, stages: list[str]) -> None:
    """Initialize convolutions by `he_fan_out` and the linear layer `fc` by N(0, 0.01²)."""
    for name in ("conv1", *stages):
        init_weights(network.get_submodule(name), he_fan_out)
    init_weights(network.get_submodule("fc"), normal)


def block_maker(block: str, shortcut: str, reduction: int, stride_in: str) -> MakeBlock:
    """Return the constructor of a block. Raises ValueError for unknown names, and for options of 1x1 filters with a basic block."""
    require_count(reduction=reduction)
    make, halving = chosen("shortcut", shortcut, SHORTCUTS), chosen("stride_in", stride_in, HALVING)
    is_basic = chosen("block", block, {"basic": True, "bottleneck": False})
    if not is_basic:
        return partial(Bottleneck, shortcut=make, reduction=reduction, halving=halving)
    if reduction != 1 or stride_in != "3x3":
        raise ValueError("block is basic, which has no 1x1 filters: reduction must be 1 and stride_in 3x3")
    return partial(BasicBlock, shortcut=make)


class CIFARResNet(ResNet):
    """The paper's network for 32x32 images (section 4.2): 6n + 2 layers, three stages of n basic blocks with 16, 32 and 64 channels.

    Raises ValueError for a depth that is not 6n + 2."""

    def __init__(self, in_channels: int, num_classes: int, image_size: int, depth: int, shortcut: str, zero_init_residual: bool) -> None:
        blocks = blocks_of_depth(depth, 6, 2, "20, 32, 44, 56 or 110")  # of each stage
        super().__init__(
            in_channels,
            num_classes,
            image_size,
            variant=SMALL,
            block="basic",
            stem=16,
            depths=[blocks] * 3,
            widths=[16, 32, 64],
            reduction=1,
            stride_in="3x3",
            shortcut=shortcut,
            zero_init_residual=zero_init_residual,
        )
        self.notes = []  # this is the paper's own network
