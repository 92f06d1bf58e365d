"""A CNN described in YAML: a mapping of named layers, each of a kind listed in layers.py, or a block of layers.

    conv1: {kind: conv, filters: 16, kernel: 3, padding: same}
    relu1: {kind: relu}
    pool1: {kind: max_pool, kernel: 2}
    block1:
      kind: residual
      layers: {conv: {kind: conv, filters: 16, kernel: 3, padding: same}, relu: {kind: relu}}
    wide1:
      kind: parallel
      branches:
        narrow: {conv: {kind: conv, filters: 8, kernel: 1}}
        wide: {conv: {kind: conv, filters: 8, kernel: 5, padding: same}}
    scores: {kind: linear}

A layer set to null is left out. A linear layer without `units` has one per class. `kernel` is the side of the kernel, in pixels.
`init`, of a conv or linear layer or of the whole network, is he or {kind: normal, std: 0.05, bias: 0.1}; null: torch's default."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from pipeline.model.forward_pass import TooSmallError
from pipeline.model.init import read_init
from pipeline.model.layers import KINDS, MAP_KINDS, Parallel, Residual
from pipeline.model.options import check_options, chosen, options_of
from pipeline.model.tracing import Shape, output_shape

Entries = Mapping[str, Mapping[str, Any] | None]
Defaults = Mapping[str, Mapping[str, Any]]  # kind -> options of entries that do not set them

HAVE_INIT = ("conv", "linear")  # kinds that take `init`


class CNN(nn.Module):
    """(B, in_channels, image_size, image_size) -> (B, num_classes): the layers in order, flattened before the first linear one.

    layers, init: as in the module's docstring. Raises ValueError with the entry's key and what is wrong with it, and its subclass
    TooSmallError for maps that are smaller than a kernel."""

    def __init__(
        self,
        layers: Entries,
        in_channels: int,
        num_classes: int,
        image_size: int,
        init: str | Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if init is not None:
            read_init("init", init)
        defaults: Defaults = {"conv": {"init": init}, "linear": {"init": init, "units": num_classes}}
        self.layers, shape = stack("layers", layers, (in_channels, image_size, image_size), defaults)
        if shape != (num_classes,):
            raise ValueError(f"layers end with shape {shape}, but there are {num_classes} classes; end with {{kind: linear}}")

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)  # (B, num_classes)


def stack(key: str, entries: Entries, shape: Shape, defaults: Defaults) -> tuple[nn.Sequential, Shape]:
    """Build the layers of `entries` in order; return them with their output shape for inputs of `shape`, both without B.

    key: of the entries in the config, for errors. Raises ValueError with the entry's key and what is wrong with it."""
    if not isinstance(entries, Mapping):
        raise ValueError(f"{key} is {entries!r}, expected a mapping of layers such as {{relu1: {{kind: relu}}}}")
    layers = nn.Sequential()
    for name, entry in entries.items():
        if entry is None:
            continue
        entry_key = f"{key}.{name}"
        if not isinstance(entry, Mapping):
            raise ValueError(f"{entry_key} is {entry!r}, expected a mapping such as {{kind: relu}}")
        _check_name(entry_key, str(name), layers)
        if entry.get("kind") == "linear" and len(shape) == 3:
            layers.add_module("flatten", nn.Flatten())
            shape = output_shape(layers[-1], shape)
        layer = make_layer(entry_key, entry, shape, defaults)
        shape = _shape_after(entry_key, str(entry["kind"]), layer, shape)
        layers.add_module(str(name), layer)
    return layers, shape


def make_layer(key: str, entry: Mapping[str, Any], shape: Shape, defaults: Defaults) -> nn.Module:
    """Build the layer or block of one entry for inputs of `shape`, (C, H, W) or (units,). Raises ValueError as `stack` does."""
    kind = entry.get("kind")
    make = chosen(f"{key}.kind", kind, KINDS | BLOCKS)
    options = {**defaults.get(str(kind), {}), **entry}
    del options["kind"]
    known = options_of(make, reserved=("key", "shape", "defaults")) | ({"init": False} if kind in HAVE_INIT else {})
    check_options(key, str(kind), options, known)
    if kind in BLOCKS:
        return make(key, shape, defaults, **options)
    if kind in MAP_KINDS and len(shape) != 3:
        raise ValueError(
            f"{key}: {kind} needs feature maps, but a linear layer before it flattens them; put it before the first linear layer"
        )
    init = options.pop("init", None)
    try:
        layer = make(shape, **options)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{key}: {kind} {error}") from error
    if init is not None:
        read_init(f"{key}.init", init)(layer)
    return layer


def residual(key: str, shape: Shape, defaults: Defaults, layers: Entries, shortcut: Entries | None = None) -> nn.Module:
    """Build layers(x) + shortcut(x); a null shortcut is the identity. Raises ValueError if their output shapes differ."""
    main, main_shape = stack(f"{key}.layers", layers, shape, defaults)
    skip, skip_shape = stack(f"{key}.shortcut", shortcut or {}, shape, defaults)
    if main_shape != skip_shape:
        hint = _shortcut_hint(main_shape, shape)
        raise ValueError(f"{key}.shortcut gives {_times(skip_shape)}, which can't be added to the layers' {_times(main_shape)}{hint}")
    return Residual(main, skip)


def parallel(key: str, shape: Shape, defaults: Defaults, branches: Mapping[str, Entries | None]) -> nn.Module:
    """Build branches whose maps are concatenated along the channels; an empty one, {}, is the identity; null leaves one out.

    Raises ValueError if their maps differ in height or width."""
    if not isinstance(branches, Mapping) or not any(entries is not None for entries in branches.values()):
        raise ValueError(f"{key}.branches is {branches!r}, expected a mapping of branches, each a mapping of layers")
    stacks: dict[str, nn.Module] = {}
    shapes: dict[str, Shape] = {}
    for name, entries in branches.items():
        if entries is not None:
            _check_name(f"{key}.branches.{name}", str(name), nn.ModuleDict())
            stacks[str(name)], shapes[str(name)] = stack(f"{key}.branches.{name}", entries, shape, defaults)
    if len({output[1:] for output in shapes.values()}) > 1:
        each = ", ".join(f"{name} makes {_times(output)}" for name, output in shapes.items())
        raise ValueError(f"{key}.branches can't be joined, as their maps differ in size: {each}")
    return Parallel(stacks)


BLOCKS: dict[str, Callable[..., nn.Module]] = {"residual": residual, "parallel": parallel}


def _check_name(key: str, name: str, layers: nn.Module) -> None:
    """Raise ValueError for a name that can't be a submodule of `layers`: torch refuses it, or it is the name of an attribute."""
    if not name or "." in name or name == "flatten" or hasattr(layers, name):
        raise ValueError(f"{key}: a layer can't have this name, which torch needs; give it another")


def _shape_after(key: str, kind: str, layer: nn.Module, shape: Shape) -> Shape:
    """Return a layer's output shape. Raises TooSmallError or ValueError, naming the entry's key instead of torch's module."""
    try:
        return output_shape(layer, shape)
    except TooSmallError as error:
        reason = str(error).partition(": ")[2]  # without torch's name of the layer
        raise TooSmallError(f"{key}: {reason}; raise resize.size or leave out a pooling") from error
    except RuntimeError as error:
        raise ValueError(f"{key}: {kind} {error}") from error


def _times(shape: Shape) -> str:
    """Return a shape as text: 16x8x8."""
    return "x".join(str(side) for side in shape)


def _shortcut_hint(output: Shape, shape: Shape) -> str:
    """Suggest a shortcut that fits layers from `shape` to `output`, or padding if none does; "" for shapes other than (C, H, W)."""
    if len(output) != 3 or len(shape) != 3:
        return ""
    stride = math.ceil(shape[1] / output[1])
    if (shape[1] - 1) // stride + 1 != output[1]:  # the output side of a 1x1 convolution of this stride
        return "; give the layers' convolutions padding: same"
    return f"; give shortcut: {{conv: {{kind: conv, filters: {output[0]}, kernel: 1, stride: {stride}}}}}"
