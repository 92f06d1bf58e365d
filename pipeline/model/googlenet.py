"""GoogLeNet, with torchvision's names of layers: the paper's, with batch norm, and the usual variant for small images.

Source: Szegedy et al., "Going Deeper with Convolutions", arXiv:1409.4842."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from pipeline.model.forward_pass import TooSmallError
from pipeline.model.init import he, init_weights, normal, xavier
from pipeline.model.layers import LocalResponseNorm
from pipeline.model.options import chosen, is_small, require_count, require_positive, require_share, small_variant_note
from pipeline.model.tracing import output_shape, trace

MakeLayer = Callable[..., nn.Module]
Widths = tuple[int, int, int, int, int, int]  # table 1: #1x1, #3x3 reduce, #3x3, #5x5 reduce, #5x5, pool proj

THIRD_BRANCHES = {"5x5": (5,), "3x3": (3,), "two_3x3": (3, 3)}  # sides in pixels
HEAD_POOL = 5  # pixels: window of the pooling before an auxiliary classifier
NORM_EPSILON = 0.001  # torchvision's, for its weights; the small variant has torch's 0.00001, like its source
SMALL_CHANGES = (
    "one 3x3 convolution of 192 filters as the stem, two padded max poolings in place of four, batch norm, "
    "two 3x3 convolutions for each 5x5, no auxiliary classifiers"
)


class Convolution(nn.Module):
    """(B, in, H, W) -> (B, out, H/stride, W/stride): a padded convolution, batch norm if `norm` is given, and a ReLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, *, norm: MakeLayer | None, bias: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, bias=bias)
        self.bn = norm(out_channels) if norm else nn.Identity()
        self.relu = nn.ReLU()

    def forward(self, maps: Tensor) -> Tensor:
        return self.relu(self.bn(self.conv(maps)))


class Inception(nn.Module):
    """Four parallel branches: 1x1, 3x3, 5x5, pooling; the larger filters see fewer channels (figure 2b)."""

    def __init__(self, in_channels: int, widths: Widths, kernels: tuple[int, ...], conv: MakeLayer) -> None:
        super().__init__()
        one, reduce3, three, reduce5, five, pooled = widths
        self.branch1 = conv(in_channels, one, 1)
        self.branch2 = nn.Sequential(conv(in_channels, reduce3, 1), conv(reduce3, three, 3))
        self.branch3 = nn.Sequential(conv(in_channels, reduce5, 1))
        for place, kernel in enumerate(kernels):
            self.branch3.append(conv(five if place else reduce5, five, kernel))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), conv(in_channels, pooled, 1))

    def forward(self, maps: Tensor) -> Tensor:
        branches = (self.branch1, self.branch2, self.branch3, self.branch4)
        return torch.cat([branch(maps) for branch in branches], dim=1)  # (B, one + three + five + pooled, H, W)


class Auxiliary(nn.Module):
    """An auxiliary classifier on the maps between two inception modules (section 5), which brings gradients to the layers below.

    name: for messages. shape: (C, H, W) of the maps. Raises TooSmallError for maps smaller than its pooling's window."""

    def __init__(self, name: str, shape: tuple[int, ...], num_classes: int, dropout: float, conv: MakeLayer) -> None:
        super().__init__()
        if min(shape[1:]) < HEAD_POOL:
            size = "x".join(str(side) for side in shape[1:])
            raise TooSmallError(
                f"{name}.avgpool: the {size} maps before it are smaller than its {HEAD_POOL}x{HEAD_POOL} window; "
                "auxiliary_weight=0 leaves this classifier out"
            )
        self.avgpool = nn.AvgPool2d(HEAD_POOL, stride=3)
        self.conv = conv(shape[0], 128, 1)
        _, height, width = output_shape(self.avgpool, shape)
        self.fc1 = nn.Linear(128 * height * width, 1024)
        self.relu = nn.ReLU()
        self.dropout = nn.Dropout(dropout)
        self.fc2 = nn.Linear(1024, num_classes)

    def forward(self, maps: Tensor) -> Tensor:
        maps = self.conv(self.avgpool(maps))  # (B, 128, 4, 4) at 224x224
        return self.fc2(self.dropout(self.relu(self.fc1(maps.flatten(1)))))  # (B, num_classes)


class GoogLeNet(nn.Module):
    """(B, C, H, W) -> (B, num_classes), in training three of them: nine inception modules and two auxiliary classifiers.

    variant: the small one has its own stem, poolings, batch norm and third branch (see `notes`), and no auxiliary classifiers.
    batch_norm: after each convolution, in place of biases and of the two local response norms. third_branch: its filters, 5x5 (the
    paper's), two_3x3 or 3x3. last_pool: side in pixels of the last max pooling of the paper's variant.
    dropout, auxiliary_dropout: rates before the scores. auxiliary_weight: of the auxiliary classifiers' losses; 0: no such classifiers.
    Raises ValueError for invalid options, TooSmallError for images whose maps shrink to nothing."""

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        image_size: int,
        variant: str,
        batch_norm: bool,
        third_branch: str,
        last_pool: int,
        dropout: float,
        auxiliary_weight: float,
        auxiliary_dropout: float,
    ) -> None:
        super().__init__()
        kernels = chosen("third_branch", third_branch, THIRD_BRANCHES)
        require_count(last_pool=last_pool)
        require_share(dropout=dropout, auxiliary_dropout=auxiliary_dropout)
        if auxiliary_weight != 0:
            require_positive(auxiliary_weight=auxiliary_weight)
        small = is_small(variant, image_size)
        self.notes = [small_variant_note(image_size, SMALL_CHANGES)] if small else []
        self.auxiliary_weight = 0.0 if small else auxiliary_weight
        if small:  # kuangliu/pytorch-cifar's, which has biases beside its batch norm
            batch_norm, kernels = True, THIRD_BRANCHES["two_3x3"]
            conv = partial(Convolution, norm=nn.BatchNorm2d, bias=True)
            self._add_small_stem(in_channels, conv)
            pools = [nn.MaxPool2d(3, stride=2, padding=1) for _ in range(2)]
        else:
            norm = partial(nn.BatchNorm2d, eps=NORM_EPSILON) if batch_norm else None
            conv = partial(Convolution, norm=norm, bias=not batch_norm)
            self._add_stem(in_channels, conv, nn.Identity if batch_norm else LocalResponseNorm)
            pools = [nn.MaxPool2d(side, stride=2, ceil_mode=True) for side in (3, last_pool)]
        self._add_inceptions(partial(Inception, kernels=kernels, conv=conv), *pools)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(1024, num_classes)
        shapes = {call.layer: call.output for call in trace(self, in_channels, image_size)}
        self.aux1: Auxiliary | None = None
        self.aux2: Auxiliary | None = None
        if self.auxiliary_weight:
            self.aux1 = Auxiliary("aux1", shapes["inception4a"], num_classes, auxiliary_dropout, conv)
            self.aux2 = Auxiliary("aux2", shapes["inception4d"], num_classes, auxiliary_dropout, conv)
        self._init_weights(batch_norm)

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor, Tensor]:
        maps = self.norm1(self.maxpool1(self.conv1(images)))  # (B, 64, H/4, W/4); small variant: (B, 192, H, W)
        maps = self.maxpool2(self.norm2(self.conv3(self.conv2(maps))))  # (B, 192, H/8, W/8); small variant: as before
        maps = self.maxpool3(self.inception3b(self.inception3a(maps)))  # (B, 480, H/16, W/16); small variant: H/2
        maps = first = self.inception4a(maps)  # (B, 512, H/16, W/16)
        maps = second = self.inception4d(self.inception4c(self.inception4b(maps)))  # (B, 528, H/16, W/16)
        maps = self.maxpool4(self.inception4e(maps))  # (B, 832, H/32, W/32); small variant: H/4
        maps = self.inception5b(self.inception5a(maps))  # (B, 1024, H/32, W/32)
        scores = self.fc(self.dropout(self.avgpool(maps).flatten(1)))  # (B, num_classes)
        if self.training and self.aux1 and self.aux2:
            return scores, self.aux1(first), self.aux2(second)
        return scores

    def _add_stem(self, in_channels: int, conv: MakeLayer, norm: MakeLayer) -> None:
        self.conv1 = conv(in_channels, 64, 7, 2)
        self.maxpool1 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.norm1 = norm()
        self.conv2 = conv(64, 64, 1)
        self.conv3 = conv(64, 192, 3)
        self.norm2 = norm()
        self.maxpool2 = nn.MaxPool2d(3, stride=2, ceil_mode=True)

    def _add_small_stem(self, in_channels: int, conv: MakeLayer) -> None:
        self.conv1 = conv(in_channels, 192, 3)
        for left_out in ("maxpool1", "norm1", "conv2", "conv3", "norm2", "maxpool2"):
            self.add_module(left_out, nn.Identity())

    def _add_inceptions(self, inception: MakeLayer, pool3: nn.Module, pool4: nn.Module) -> None:
        self.inception3a = inception(192, (64, 96, 128, 16, 32, 32))
        self.inception3b = inception(256, (128, 128, 192, 32, 96, 64))
        self.maxpool3 = pool3
        self.inception4a = inception(480, (192, 96, 208, 16, 48, 64))
        self.inception4b = inception(512, (160, 112, 224, 24, 64, 64))
        self.inception4c = inception(512, (128, 128, 256, 24, 64, 64))
        self.inception4d = inception(512, (112, 144, 288, 32, 64, 64))
        self.inception4e = inception(528, (256, 160, 320, 32, 128, 128))
        self.maxpool4 = pool4
        self.inception5a = inception(832, (256, 160, 320, 32, 128, 128))
        self.inception5b = inception(832, (384, 192, 384, 48, 128, 128))

    def _init_weights(self, batch_norm: bool) -> None:
        """The paper gives none: Caffe's (bvlc_googlenet) without batch norm, He's with it, torchvision's for the scores."""
        init_weights(self, *((he, 0.0) if batch_norm else (xavier, 0.2)))
        for scores in (self.fc, *(head.fc2 for head in (self.aux1, self.aux2) if head)):
            init_weights(scores, normal)
