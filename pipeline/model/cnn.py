"""A CNN written in YAML: a mapping of named layers, each of one of the kinds in layers.py, or a block of layers.

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

A layer set to null is left out. A linear entry without `units` gives one score per class. `kernel` is a side in pixels.
`init`, of a conv or linear entry or of the whole network, is he or {kind: normal, std: 0.05, bias: 0.1}; null: torch's."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from pipeline.model.forward_pass import TooSmallError
from pipeline.model.init import read_init
from pipeline.model.layers import KINDS, OF_MAPS, Parallel, Residual
from pipeline.model.options import check_options, chosen, options_of
from pipeline.model.tracing import Shape, output_shape

Entries = Mapping[str, Mapping[str, Any] | None]
Defaults = Mapping[str, Mapping[str, Any]]  # kind -> options for entries that do not give them

INITIALIZED = ("conv", "linear")  # kinds that take `init`


class CNN(nn.Module):
    """(B, C, H, W) -> (B, num_classes): layers in the order of the mapping, flattened before the first linear entry.

    Raises ValueError naming the entry and what is wrong with it."""

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
    """Return the layers of `entries`, in their order, and their output shape for inputs of `shape`.

    key: where the entries stand in the config. Raises ValueError naming the entry and what is wrong with it."""
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
    """Return the layer or block of one entry, for inputs of `shape`; raises ValueError naming the key and what is wrong with it."""
    kind = entry.get("kind")
    make = chosen(f"{key}.kind", kind, KINDS | BLOCKS)
    options = {**defaults.get(str(kind), {}), **entry}
    del options["kind"]
    known = options_of(make, reserved=("key", "shape", "defaults")) | ({"init": False} if kind in INITIALIZED else {})
    check_options(key, str(kind), options, known)
    if kind in BLOCKS:
        return make(key, shape, defaults, **options)
    if kind in OF_MAPS and len(shape) != 3:
        raise ValueError(f"{key}: {kind} takes maps, but after a linear entry there are none; put it before the first linear entry")
    init = options.pop("init", None)
    try:
        layer = make(shape, **options)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{key}: {kind} {error}") from error
    if init is not None:
        read_init(f"{key}.init", init)(layer)
    return layer


def residual(key: str, shape: Shape, defaults: Defaults, layers: Entries, shortcut: Entries | None = None) -> nn.Module:
    """layers(x) + shortcut(x); a null shortcut is the identity. Raises ValueError where their shapes differ."""
    main, main_shape = stack(f"{key}.layers", layers, shape, defaults)
    skip, skip_shape = stack(f"{key}.shortcut", shortcut or {}, shape, defaults)
    if main_shape != skip_shape:
        remedy = _remedy(main_shape, shape)
        raise ValueError(f"{key}.shortcut gives {_shown(skip_shape)}, which can't be added to the layers' {_shown(main_shape)}{remedy}")
    return Residual(main, skip)


def parallel(key: str, shape: Shape, defaults: Defaults, branches: Mapping[str, Entries | None]) -> nn.Module:
    """The maps of all `branches`, concatenated; an empty one, {}, is the identity. Raises ValueError where their maps differ in size."""
    if not isinstance(branches, Mapping) or not any(entries is not None for entries in branches.values()):
        raise ValueError(f"{key}.branches is {branches!r}, expected a mapping of branches, each a mapping of layers")
    stacks: dict[str, nn.Module] = {}
    shapes: dict[str, Shape] = {}
    for name, entries in branches.items():
        if entries is not None:
            _check_name(f"{key}.branches.{name}", str(name), nn.ModuleDict())
            stacks[str(name)], shapes[str(name)] = stack(f"{key}.branches.{name}", entries, shape, defaults)
    if len({made[1:] for made in shapes.values()}) > 1:
        each = ", ".join(f"{name} makes {_shown(made)}" for name, made in shapes.items())
        raise ValueError(f"{key}.branches can't be joined, as their maps differ in size: {each}")
    return Parallel(stacks)


BLOCKS: dict[str, Callable[..., nn.Module]] = {"residual": residual, "parallel": parallel}


def _check_name(key: str, name: str, layers: nn.Module) -> None:
    """Raise ValueError for a name that `layers` can't have: torch refuses it, or it hides an attribute."""
    if not name or "." in name or name == "flatten" or hasattr(layers, name):
        raise ValueError(f"{key}: a layer can't have this name, which torch needs; give it another")


def _shape_after(key: str, kind: str, layer: nn.Module, shape: Shape) -> Shape:
    """Return a layer's output shape. Raises TooSmallError or ValueError with the entry's key instead of the layer's own name."""
    try:
        return output_shape(layer, shape)
    except TooSmallError as error:
        words = str(error).partition(": ")[2]  # after the layer's name
        raise TooSmallError(f"{key}: {words}; raise resize.size or leave out a pooling") from error
    except RuntimeError as error:
        raise ValueError(f"{key}: {kind} {error}") from error


def _shown(shape: Shape) -> str:
    return "x".join(str(side) for side in shape)


def _remedy(made: Shape, shape: Shape) -> str:
    """Suggest what makes layers that turn `shape` into `made` fit a shortcut; "" for what are no maps."""
    if len(made) != 3 or len(shape) != 3:
        return ""
    stride = math.ceil(shape[1] / made[1])
    if (shape[1] - 1) // stride + 1 != made[1]:  # the side that a 1x1 convolution of this stride leaves
        return "; give the layers' convolutions padding: same"
    return f"; give shortcut: {{conv: {{kind: conv, filters: {made[0]}, kernel: 1, stride: {stride}}}}}"
