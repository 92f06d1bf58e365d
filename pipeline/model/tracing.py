"""Follow images through a network without computing anything: every call's shapes, receptive field, and the layer that it is in.

The network runs on a batch of no image, so this costs next to nothing, with weights of any device."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from pipeline.model.windows import WINDOWS, Window, adaptive_window

Shape = tuple[int, ...]  # of one image: (C, H, W), or (features,)
Found = TypeVar("Found")
Try = tuple[int, str | None]  # images, and the device of images and weights; None: the network's own

# Some networks can't do with no image (`view(len(images), -1)`): they get two without values, and then two black ones.
TRIES: tuple[Try, ...] = ((0, None), (2, "meta"), (2, None))


class TooSmallError(ValueError):
    """A layer gets maps smaller than its filters or its window."""


@dataclass(frozen=True)
class Field:
    """What a value sees of the image (Dumoulin and Visin, arXiv:1603.07285; Araujo et al., Distill 2019)."""

    size: int = 1  # pixels, height = width: the receptive field
    step: int = 1  # pixels between the fields of two neighbours

    def seen_through(self, side: int, stride: int) -> "Field":
        return Field(self.size + (side - 1) * self.step, self.step * stride)


@dataclass(frozen=True)
class Call:
    """One function that a layer applied."""

    layer: str  # dotted name of the innermost module that called it; "" for the network itself
    function: str
    inputs: tuple[Shape, ...]  # of the tensors among its arguments that images made
    output: Shape
    field: Field  # of the output
    macs: int  # multiplications with additions, for one image
    window: Window | None = None  # of a convolution or a pooling
    unseen: int = 0  # rows and columns at the lower right that no window reaches
    sources: tuple[int, ...] = ()  # the calls that made the inputs, by their place in the trace; -1: the images


def trace(network: nn.Module, in_channels: int, side: int) -> list[Call]:
    """Return every call in order of computation, for images of (in_channels, side, side).

    The network stays in the mode that it is in, but is passed through in evaluation mode.
    Raises TooSmallError naming the layer whose maps are too small for it; what torch raises for shapes that do not fit."""
    return _followed(network, (in_channels, side, side))[0]


def output_shape(layers: nn.Module, shape: Sequence[int]) -> Shape:
    """Return the shape of what layers make of one input of `shape`, (C, H, W) or (features,). Raises as `trace` does."""
    return _followed(layers, shape)[1]


def _followed(layers: nn.Module, shape: Sequence[int]) -> tuple[list[Call], Shape]:
    with in_mode(layers, False):  # so that no statistics of batch norm change, and a network gives its scores alone
        return first_that_works(layers, shape, lambda images, state: _follow(layers, images, state))


def first_that_works(
    network: nn.Module, shape: Sequence[int], work: Callable[[Tensor, dict[str, Tensor]], Found], tries: Sequence[Try] = TRIES
) -> Found:
    """Do `work` with images of `shape` and the weights for them, those of the first try that the network can do with.

    Raises TooSmallError at once, and what the last try raises."""
    (count, device), *others = tries
    weight = next(network.parameters(), torch.empty(0))
    images = torch.zeros(count, *shape, device=device or weight.device, dtype=weight.dtype)
    tensors = chain(network.named_parameters(), network.named_buffers()) if device else ()
    try:
        return work(images, {name: _empty(tensor, device) for name, tensor in tensors})
    except TooSmallError:
        raise
    except Exception:
        if not others:
            raise
        return first_that_works(network, shape, work, others)


def _empty(tensor: Tensor, device: str | None) -> Tensor:
    return torch.empty_like(tensor, device=device).requires_grad_(tensor.requires_grad)


def _follow(layers: nn.Module, images: Tensor, state: dict[str, Tensor]) -> tuple[list[Call], Shape]:
    tracer = _Tracer(len(images), {images: (Field(), -1)})
    with _named(layers, tracer), torch.no_grad(), tracer:
        made = functional_call(layers, state, (images,))
    return tracer.calls, tuple(made.shape[1:])


@contextmanager
def in_mode(network: nn.Module, is_training: bool) -> Iterator[None]:
    """Put a network into training or evaluation mode meanwhile."""
    modes = {module: module.training for module in network.modules()}
    network.train(is_training)
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


@contextmanager
def _named(network: nn.Module, tracer: "_Tracer") -> Iterator[None]:
    """Let the tracer know in which module a function is called."""
    names = {module: name for name, module in network.named_modules()}

    def enter(module: nn.Module, _: object) -> None:
        tracer.path.append((names[module], module))

    def leave(module: nn.Module, _: object, __: object) -> None:
        tracer.path.pop()

    hooks = [module.register_forward_pre_hook(enter) for module in names]
    hooks += [module.register_forward_hook(leave) for module in names]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@dataclass
class _Tracer(TorchFunctionMode):
    count: int  # images
    fields: dict[Tensor, tuple[Field, int]]  # of every tensor that images made, with the call that made it
    calls: list[Call] = field(default_factory=list)
    path: list[tuple[str, nn.Module]] = field(default_factory=list)  # the modules that it is in, the innermost last

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        seen = [value for value in _tensors(chain(args, kwargs.values())) if value in self.fields]
        shapes = [tuple(tensor.shape[1:]) for tensor in seen]  # before a function that works in place
        window = WINDOWS[function](*args, **kwargs) if seen and function in WINDOWS else None
        try:
            made = function(*args, **kwargs)
        except RuntimeError as error:
            if window:
                self._refuse_small(shapes[0], window, error)
            raise
        results = [result for result in _tensors([made]) if result.shape[:1] == (self.count,)]
        if seen and results:
            self._note(function, seen, tuple(shapes), window, results, _weight(function, args, kwargs))
        return made

    def _note(
        self,
        function: Callable[..., Any],
        seen: list[Tensor],
        inputs: tuple[Shape, ...],
        window: Window | None,
        results: list[Tensor],
        weight: Tensor | None,
    ) -> None:
        output = tuple(results[0].shape[1:])
        before, sources = zip(*(self.fields[tensor] for tensor in seen), strict=True)
        now = Field(max(part.size for part in before), max(part.step for part in before))
        if through := window or adaptive_window(_name(function), inputs[0], output):
            now = now.seen_through(through.side, through.stride)
        unseen = window.unseen(inputs[0][1]) if window else 0
        layer, module = self.path[-1] if self.path else ("", None)
        macs = torch.Size(output).numel() // len(weight) * _learned(module, weight) if weight is not None else 0
        self.fields |= dict.fromkeys(results, (now, len(self.calls)))
        self.calls.append(Call(layer, _name(function), inputs, output, now, macs, window, unseen, sources))

    def _refuse_small(self, maps: Shape, window: Window, error: RuntimeError) -> None:
        if min(maps[1:]) + 2 * window.padding < window.side:
            size = "x".join(str(side) for side in maps[1:])
            pixels = "pixel" if window.padding == 1 else "pixels"
            padded = f", even with {window.padding} {pixels} of padding" if window.padding else ""
            name = self.path[-1][0] if self.path and self.path[-1][0] else "a layer"
            name = f"layer {name}" if name.isdecimal() else name
            raise TooSmallError(
                f"{name}: the {size} maps before it are smaller than its {window.side}x{window.side} window{padded}"
            ) from error


def _learned(module: nn.Module | None, weight: Tensor) -> int:
    """Return how many weights a position is multiplied with: those of the layer, which may compute with zeros among them."""
    return module.weight.numel() if isinstance(module, nn.Conv2d | nn.Linear) else weight.numel()


def _tensors(values: Any) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


def _weight(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tensor | None:
    """Return (out, in / groups, kh, kw) of a convolution, (out, in) of a linear layer."""
    if function not in (torch.conv2d, F.linear):
        return None
    return args[1] if len(args) > 1 else kwargs["weight"]


def _name(function: Callable[..., Any]) -> str:
    return str(getattr(function, "__name__", function)).strip("_")
