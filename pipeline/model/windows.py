"""What convolutions and poolings slide over the maps, and how many rows and columns come of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Window:
    """A square window, in pixels of the maps that it slides over."""

    kernel: int
    stride: int
    padding: int = 0
    dilation: int = 1
    groups: int = 1
    is_ceil: bool = False  # whether a last window may begin in the maps and end beyond them

    @property
    def side(self) -> int:
        return self.dilation * (self.kernel - 1) + 1

    def positions(self, side: int) -> int:
        """Return height = width of what comes of maps of that side, 0 or less where they are too small."""
        room = side + 2 * self.padding - self.side
        found = (-(-room // self.stride) if self.is_ceil else room // self.stride) + 1
        return found - (self.is_ceil and (found - 1) * self.stride >= side + self.padding)

    def unseen(self, side: int) -> int:
        """Return how many rows, and columns, at the end of maps of that side no window reaches, as the stride does not divide it.

        Those of the padding do not count, nor the gaps between windows that are smaller than their stride."""
        reached = (self.positions(side) - 1) * self.stride + max(self.side, self.stride) - self.padding
        return max(0, side - reached)

    def beyond(self, side: int) -> int:
        """Return by how many rows, and columns, the last windows end beyond maps of that side and their padding, as it is rounded up."""
        end = (self.positions(side) - 1) * self.stride + self.side
        return max(0, end - side - 2 * self.padding)


def adaptive_window(function: str, before: tuple[int, ...], after: tuple[int, ...]) -> Window | None:
    """Return what a function without a window of its own gathers from maps: all of a map, an adaptive part, every nth value."""
    if len(before) != 3 or (len(after) == 3 and after[1] >= before[1]):
        return None
    old, new = before[1], after[1] if len(after) == 3 else 1
    if function == "getitem":  # a crop or every nth value, none of which sees more than it did
        return Window(1, old // new)
    parts = [(-(-(i + 1) * old // new)) - i * old // new for i in range(new)]  # as torch's adaptive poolings divide
    return Window(max(parts), max(1, old // new))


def _one(value: Any) -> int:
    """Return the side of a square window, given as a number or for both directions."""
    return value if isinstance(value, int) else max(value)


def _conv(maps: Tensor, weight: Tensor, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1) -> Window:
    kernel, dilation = max(weight.shape[2:]), _one(dilation)
    if padding == "same":
        padding = dilation * (kernel - 1) // 2
    elif padding == "valid":
        padding = 0
    return Window(kernel, _one(stride), _one(padding), dilation, groups)


def _max_pool(
    maps: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Window:
    return Window(_one(kernel_size), _one(stride or kernel_size), _one(padding), _one(dilation), is_ceil=ceil_mode)


def _average_pool(
    maps: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False, *_: Any, **__: Any
) -> Window:
    return Window(_one(kernel_size), _one(stride or kernel_size), _one(padding), is_ceil=ceil_mode)


def _power_pool(maps: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Window:
    return Window(_one(kernel_size), _one(stride or kernel_size), is_ceil=ceil_mode)


WINDOWS: dict[Callable[..., Any], Callable[..., Window]] = {
    torch.conv2d: _conv,
    F.max_pool2d: _max_pool,
    F.max_pool2d_with_indices: _max_pool,
    torch.max_pool2d: _max_pool,
    F.avg_pool2d: _average_pool,
    F.lp_pool2d: _power_pool,
}
