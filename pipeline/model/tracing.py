"""Shape inference: the calls of a network's forward pass with shapes, window, receptive field and multiply-accumulates.

The network runs on an empty batch, which costs next to nothing, with weights on any device."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from pipeline.config.wording import counted
from pipeline.model.forward_pass import State, TooSmallError, hooked, in_mode, on_empty_batch

Shape = tuple[int, ...]  # of one image: (C, H, W), or (features,)


@dataclass(frozen=True)
class Window:
    """The square window of a convolution or pooling, in pixels of its input maps."""

    kernel: int
    stride: int
    padding: int = 0
    dilation: int = 1
    groups: int = 1
    ceil_mode: bool = False  # whether the last window may end beyond the maps

    @property
    def side(self) -> int:
        """Height = width, dilation included."""
        return self.dilation * (self.kernel - 1) + 1

    def positions(self, side: int) -> int:
        """Return height = width of the output for maps of that side; 0 or less if they are too small."""
        room = side + 2 * self.padding - self.side
        found = (-(-room // self.stride) if self.ceil_mode else room // self.stride) + 1
        return found - (self.ceil_mode and (found - 1) * self.stride >= side + self.padding)

    def unseen(self, side: int) -> int:
        """Return how many last rows (and columns) of the maps no window reaches, as the stride does not divide their side.

        Not counting padding, nor gaps between windows smaller than their stride."""
        reached = (self.positions(side) - 1) * self.stride + max(self.side, self.stride) - self.padding
        return max(0, side - reached)

    def overhang(self, side: int) -> int:
        """Return by how many rows (and columns) the last windows extend beyond the maps and their padding."""
        end = (self.positions(side) - 1) * self.stride + self.side
        return max(0, end - side - 2 * self.padding)


@dataclass(frozen=True)
class Field:
    """The receptive field of a value (Dumoulin and Visin, arXiv:1603.07285; Araujo et al., Distill 2019)."""

    size: int = 1  # pixels of the image, height = width
    step: int = 1  # pixels between the fields of neighbours

    def seen_through(self, side: int, stride: int) -> "Field":
        """Return the field of a value computed from a side x side window of values of this field."""
        return Field(self.size + (side - 1) * self.step, self.step * stride)


@dataclass(frozen=True)
class Call:
    """A function called by a layer."""

    layer: str  # dotted name of the innermost calling module; "" for the network itself
    function: str
    inputs: tuple[Shape, ...]  # of the arguments computed from the images
    output: Shape
    field: Field  # of the output
    macs: int  # multiply-accumulates, for one image
    window: Window | None = None  # of a convolution or pooling
    unseen: int = 0  # rows and columns at the lower right that no window reaches
    sources: tuple[int, ...] = ()  # indices of the calls that produced the inputs; -1: the images


def trace(network: nn.Module, in_channels: int, side: int) -> list[Call]:
    """Return all calls in order of computation, for an image (in_channels, side, side) in evaluation mode.

    Raises TooSmallError naming the layer whose input maps are too small, and torch's errors for mismatched shapes."""
    return _traced(network, (in_channels, side, side))[0]


def output_shape(layers: nn.Module, shape: Sequence[int]) -> Shape:
    """Return the output shape for one input of `shape`, (C, H, W) or (features,). Raises as `trace` does."""
    return _traced(layers, shape)[1]


def _traced(layers: nn.Module, shape: Sequence[int]) -> tuple[list[Call], Shape]:
    modules = dict(layers.named_modules())

    def run(images: Tensor, state: State) -> tuple[list[Call], Shape]:
        tracer = _Tracer(len(images), {images: (Field(), -1)})
        enter, leave = (lambda name, _: tracer.path.append((name, modules[name]))), (lambda *_: tracer.path.pop())
        with hooked(modules, enter, leave), torch.no_grad(), tracer:
            output = functional_call(layers, state, (images,))
        return tracer.calls, tuple(output.shape[1:])

    with in_mode(layers, training=False):  # keeps batch norm's statistics, and skips auxiliary classifiers
        return on_empty_batch(layers, shape, run)


@dataclass
class _Tracer(TorchFunctionMode):
    count: int  # images
    fields: dict[Tensor, tuple[Field, int]]  # of tensors computed from the images, with the index of the call
    calls: list[Call] = field(default_factory=list)
    path: list[tuple[str, nn.Module]] = field(default_factory=list)  # the calling modules, the innermost last

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        inputs = [value for value in _tensors(chain(args, kwargs.values())) if value in self.fields]
        shapes = tuple(tuple(tensor.shape[1:]) for tensor in inputs)  # before an in-place function changes them
        given = {**dict(zip(PARAMETERS.get(function, ()), args[1:], strict=False)), **kwargs}
        window = _window(given) if inputs and function in WINDOWED else None
        try:
            made = function(*args, **kwargs)
        except RuntimeError as error:
            if window:
                self._refuse_small(shapes[0], window, error)
            raise
        outputs = [output for output in _tensors([made]) if output.shape[:1] == (self.count,)]
        if inputs and outputs:
            weight = given["weight"] if function in WEIGHTED else None
            self._record(_name(function), inputs, shapes, window, outputs, weight)
        return made

    def _record(
        self,
        function: str,
        inputs: list[Tensor],
        shapes: tuple[Shape, ...],
        window: Window | None,
        outputs: list[Tensor],
        weight: Tensor | None,
    ) -> None:
        output = tuple(outputs[0].shape[1:])
        before, sources = zip(*(self.fields[tensor] for tensor in inputs), strict=True)
        now = Field(max(part.size for part in before), max(part.step for part in before))
        if through := window or _adaptive_window(function, shapes[0], output):
            now = now.seen_through(through.side, through.stride)
        unseen = window.unseen(shapes[0][1]) if window else 0
        layer, module = self.path[-1] if self.path else ("", None)
        macs = torch.Size(output).numel() // len(weight) * _learned(module, weight) if weight is not None else 0
        self.fields |= dict.fromkeys(outputs, (now, len(self.calls)))
        self.calls.append(Call(layer, function, shapes, output, now, macs, window, unseen, sources))

    def _refuse_small(self, maps: Shape, window: Window, error: RuntimeError) -> None:
        if min(maps[1:]) + 2 * window.padding < window.side:
            size = "x".join(str(side) for side in maps[1:])
            padded = f", even with {counted(window.padding, 'pixel')} of padding" if window.padding else ""
            name = self.path[-1][0] if self.path and self.path[-1][0] else "a layer"
            name = f"layer {name}" if name.isdecimal() else name
            raise TooSmallError(
                f"{name}: the {size} maps before it are smaller than its {window.side}x{window.side} window{padded}"
            ) from error


# Positional parameters after the first, the maps.
PARAMETERS: dict[Callable[..., Any], tuple[str, ...]] = {
    torch.conv2d: ("weight", "bias", "stride", "padding", "dilation", "groups"),
    F.linear: ("weight", "bias"),
    **dict.fromkeys(
        (F.max_pool2d, F.max_pool2d_with_indices, torch.max_pool2d), ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
    ),
    F.avg_pool2d: ("kernel_size", "stride", "padding", "ceil_mode"),
    F.lp_pool2d: ("norm_type", "kernel_size", "stride", "ceil_mode"),
}
WEIGHTED = (torch.conv2d, F.linear)  # weight: (out, in / groups, kh, kw), (out, in)
WINDOWED = set(PARAMETERS) - {F.linear}


def _window(given: Mapping[str, Any]) -> Window:
    """Return the window described by the arguments of a convolution or pooling."""
    is_pooling = "kernel_size" in given
    kernel = _side(given["kernel_size"] if is_pooling else given["weight"].shape[2:])
    stride, dilation = _side(given.get("stride") or (kernel if is_pooling else 1)), _side(given.get("dilation", 1))
    padding = given.get("padding", 0)
    if isinstance(padding, str):
        padding = dilation * (kernel - 1) // 2 if padding == "same" else 0
    return Window(kernel, stride, _side(padding), dilation, given.get("groups", 1), given.get("ceil_mode", False))


def _side(value: Any) -> int:
    """Return the side of a square window, given as a number or a pair."""
    return value if isinstance(value, int) else max(value)


def _adaptive_window(function: str, before: Shape, after: Shape) -> Window | None:
    """Return the window of a function without one of its own: a whole map, an adaptive part, or every nth value."""
    if len(before) != 3 or (len(after) == 3 and after[1] >= before[1]):
        return None
    old, new = before[1], after[1] if len(after) == 3 else 1
    if function == "getitem":  # a crop or every nth value, whose fields stay
        return Window(1, old // new)
    parts = [(-(-(i + 1) * old // new)) - i * old // new for i in range(new)]  # as torch's adaptive pooling divides
    return Window(max(parts), max(1, old // new))


def _learned(module: nn.Module | None, weight: Tensor) -> int:
    """Return the number of multiplications per position: the layer's own weights, as LeNet's table adds zeros to them."""
    return module.weight.numel() if isinstance(module, nn.Conv2d | nn.Linear) else weight.numel()


def _tensors(values: Any) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


def _name(function: Callable[..., Any]) -> str:
    return str(getattr(function, "__name__", function)).strip("_")
