"""airbench: a small network designed for the fastest training to 94 % on CIFAR-10 (airbench95: the same, wider, for 95 %).

Source: Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", arXiv:2404.00498, section 3, and its code, cifar10-airbench."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pipeline.model.options import require_count, require_counts, require_positive
from pipeline.model.tracing import output_shape

AT_ONCE = 100  # images whose patches are in memory at once; 500 take three times as long, 5,000 half a gigabyte
LAST_SIDE = 3  # pixels of the last maps for 32x32 images


class BiasNorm(nn.BatchNorm2d):
    """Batch norm that learns only a bias: its scale stays 1."""

    def __init__(self, channels: int, momentum: float, eps: float) -> None:
        super().__init__(channels, eps=eps, momentum=momentum)
        self.weight.requires_grad_(False)


class DiracConv2d(nn.Conv2d):
    """A 3x3 convolution without bias, initialized to the identity: filter i has a 1 in the middle of map i.

    Filters beyond the number of maps keep torch's initialization, U(-b, b) with b = 1 / sqrt(fan_in)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 3, padding=1, bias=False)
        with torch.no_grad():
            nn.init.dirac_(self.weight[:in_channels])


class DividedLinear(nn.Linear):
    """(B, in) -> (B, out): a linear layer without bias, divided by `divisor` to start near uniform probabilities."""

    def __init__(self, in_features: int, out_features: int, divisor: float) -> None:
        super().__init__(in_features, out_features, bias=False)
        self.divisor = divisor

    def forward(self, features: Tensor) -> Tensor:
        return super().forward(features) / self.divisor


class Block(nn.Sequential):
    """(B, C, H, W) -> (B, out, H/2, W/2): two convolutions, a pooling after the first."""

    def __init__(self, in_channels: int, out_channels: int, momentum: float, eps: float) -> None:
        super().__init__()
        self.conv1 = DiracConv2d(in_channels, out_channels)
        self.pool = nn.MaxPool2d(2)
        self.norm1 = BiasNorm(out_channels, momentum, eps)
        self.gelu1 = nn.GELU()
        self.conv2 = DiracConv2d(out_channels, out_channels)
        self.norm2 = BiasNorm(out_channels, momentum, eps)
        self.gelu2 = nn.GELU()


class Airbench(nn.Sequential):
    """(B, C, H, W) -> (B, num_classes): a whitening convolution, blocks, global max pooling, one linear layer.

    The whitening convolution learns only its bias (for three epochs in the original, to save time).
    kernel: height = width of the patches; the 2 C kernel² filters are each whitening direction and its opposite, as GELU would
    suppress one of the two. whitening_eps: added to each direction's variance. widths: channels out of each block.
    norm_momentum, norm_eps: torch's of batch norm. divisor: of the scores.
    Before `init_whitening`, each filter is a single pixel: the whitening of independent pixels.
    Raises TooSmallError for three blocks and images of fewer than 9 pixels."""

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        image_size: int,
        widths: Sequence[int],
        kernel: int,
        whitening_eps: float,
        norm_momentum: float,
        norm_eps: float,
        divisor: float,
    ) -> None:
        super().__init__()
        require_counts(widths=widths)
        require_count(kernel=kernel)
        require_positive(most=1, norm_momentum=norm_momentum)
        require_positive(whitening_eps=whitening_eps, norm_eps=norm_eps, divisor=divisor)
        self.whitening_eps = whitening_eps
        values = in_channels * kernel**2  # of a patch
        self.whiten = nn.Conv2d(in_channels, 2 * values, kernel)
        self.whiten.weight.requires_grad_(False)
        nn.init.zeros_(self.get_parameter("whiten.bias"))
        self._set_filters(torch.eye(values))
        self.gelu = nn.GELU()
        channels = 2 * values
        for number, width in enumerate(widths, 1):
            self.add_module(f"block{number}", Block(channels, width, norm_momentum, norm_eps))
            channels = width
        side = output_shape(self, (in_channels, image_size, image_size))[-1]
        self.notes = [] if side == LAST_SIDE else [f"the last pooling takes whole maps of {side}x{side} pixels; the original's are 3x3"]
        self.pool = nn.MaxPool2d(side)
        self.flatten = nn.Flatten()
        self.head = DividedLinear(channels, num_classes, divisor)

    @torch.no_grad()
    def init_whitening(self, images: Tensor) -> None:
        """Set the whitening filters to the principal directions of image patches, divided by their standard deviations.

        images: (N, C, H, W), normalised, on any device; the original takes the first 5,000 training images. In double precision and with
        fixed signs, so that equal images give equal filters. Draws no random numbers."""
        size, values = self.whiten.kernel_size[0], len(self.whiten.weight) // 2
        total, count = torch.zeros(values, values, dtype=torch.float64), 0
        for part in (images if images.is_cuda else images.cpu()).split(AT_ONCE):  # other accelerators may lack double precision
            windows = part.double().unfold(2, size, 1).unfold(3, size, 1)  # (n, C, rows, columns, kernel, kernel)
            patches = windows.permute(0, 1, 4, 5, 2, 3).flatten(4).flatten(1, 3)  # (n, C kernel², places)
            total += (patches @ patches.mT).sum(dim=0).cpu()
            count += len(patches) * patches.shape[2]
        variances, directions = torch.linalg.eigh(total / count)  # ascending; about 0, the mean of normalised images
        directions = _signed(directions.T.flip(0))  # (C kernel², C kernel²), one per row, by descending variance
        self._set_filters(directions / (variances.flip(0)[:, None] + self.whitening_eps).sqrt())

    @torch.no_grad()
    def _set_filters(self, directions: Tensor) -> None:
        """directions: (C kernel², C kernel²), one each row."""
        self.whiten.weight.copy_(torch.cat([directions, -directions]).view_as(self.whiten.weight))


def _signed(directions: Tensor) -> Tensor:
    """Fix the sign of each row (n, n): its first entry of at least half the largest magnitude becomes positive.

    Not the largest entry itself: several are often nearly equal, and rounding would choose among them."""
    is_large = directions.abs() >= directions.abs().amax(dim=1, keepdim=True) / 2
    first = is_large.int().argmax(dim=1, keepdim=True)  # the first of the largest values
    return directions * directions.gather(1, first).sign()
