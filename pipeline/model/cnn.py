"""A CNN written in YAML: a mapping of named layers, each an entry of one of the kinds of layers.py, or of a block of layers.

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
`first_values` of a conv or linear entry, or of the whole network: he, or {kind: normal, std: 0.05, bias: 0.1}; null: torch's."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from pipeline.model.blocks import Parallel, Residual
from pipeline.model.choices import check_options, chosen, options_of
from pipeline.model.first_values import read_first_values
from pipeline.model.layers import KINDS, OF_MAPS, Shape
from pipeline.model.tracing import TooSmallError, output_shape

Entries = Mapping[str, Mapping[str, Any] | None]
Defaults = Mapping[str, Mapping[str, Any]]  # kind -> options of its entries that do not give them

DRAWN = ("conv", "linear")  # kinds with first values


class CNN(nn.Module):
    """Layers in the order of the mapping, under their names; features are flattened before the first linear entry."""

    def __init__(
        self,
        layers: Mapping[str, Mapping[str, Any] | None],  # written out, as the check of a config reads it from here
        in_channels: int,
        num_classes: int,
        image_size: int,
        first_values: str | Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if first_values is not None:
            read_first_values("first_values", first_values)
        defaults: Defaults = {"conv": {"first_values": first_values}, "linear": {"first_values": first_values, "units": num_classes}}
        self.notes: list[str] = []
        self.layers, shape = stack("layers", layers, (in_channels, image_size, image_size), defaults)
        if shape != (num_classes,):
            raise ValueError(f"layers end with shape {shape}, but there are {num_classes} classes; end with {{kind: linear}}")

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)  # (B, num_classes)


def stack(key: str, entries: Entries, shape: Shape, defaults: Defaults) -> tuple[nn.Sequential, Shape]:
    """Return the layers that the mapping at `key` of the config names, and the shape that they make of `shape`.

    Raises ValueError naming the entry and what is wrong with it."""
    if not isinstance(entries, Mapping):
        raise ValueError(f"{key} is {entries!r}, expected a mapping of layers such as {{relu1: {{kind: relu}}}}")
    layers = nn.Sequential()
    for name, entry in entries.items():
        if entry is None:
            continue
        here = f"{key}.{name}"
        if not isinstance(entry, Mapping):
            raise ValueError(f"{here} is {entry!r}, expected a mapping such as {{kind: relu}}")
        _check_name(here, str(name), layers)
        if entry.get("kind") == "linear" and len(shape) == 3:
            layers.add_module("flatten", nn.Flatten())
            shape = output_shape(layers[-1], shape)
        layer = make_layer(here, entry, shape, defaults)
        shape = _shape_after(here, str(entry["kind"]), layer, shape)
        layers.add_module(str(name), layer)
    return layers, shape


def make_layer(key: str, entry: Mapping[str, Any], shape: Shape, defaults: Defaults) -> nn.Module:
    """Construct one layer or block for inputs of `shape`; raises ValueError naming the key and what is wrong with it."""
    kind = entry.get("kind")
    make = chosen(f"{key}.kind", kind, KINDS | BLOCKS)
    options = {**defaults.get(str(kind), {}), **entry}
    del options["kind"]
    known = options_of(make, given=("key", "shape", "defaults")) | ({"first_values": False} if kind in DRAWN else {})
    check_options(key, str(kind), options, known)
    if kind in BLOCKS:
        return make(key, shape, defaults, **options)
    if kind in OF_MAPS and len(shape) != 3:
        raise ValueError(f"{key}: {kind} takes maps, but after a linear entry there are none; put it before the first linear entry")
    first_values = options.pop("first_values", None)
    try:
        layer = make(shape, **options)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{key}: {kind} {error}") from error
    if first_values is not None:
        read_first_values(f"{key}.first_values", first_values)(layer)
    return layer


def residual(key: str, shape: Shape, defaults: Defaults, layers: Entries, shortcut: Entries | None = None) -> nn.Module:
    """What `layers` make of the input, added to what `shortcut` makes of it: the input itself where it is null."""
    main, made = stack(f"{key}.layers", layers, shape, defaults)
    around, beside = stack(f"{key}.shortcut", shortcut or {}, shape, defaults)
    if made != beside:
        raise ValueError(
            f"{key}.shortcut gives {_shown(beside)}, which can't be added to the layers' {_shown(made)}{_fitting(made, shape)}"
        )
    return Residual(main, around)


def parallel(key: str, shape: Shape, defaults: Defaults, branches: Mapping[str, Entries | None]) -> nn.Module:
    """What all `branches` make of the input, one after the other; an empty one, {}, hands the input on."""
    if not isinstance(branches, Mapping) or not any(entries is not None for entries in branches.values()):
        raise ValueError(f"{key}.branches is {branches!r}, expected a mapping of branches, each a mapping of layers")
    made: dict[str, nn.Module] = {}
    shapes: dict[str, Shape] = {}
    for name, entries in branches.items():
        if entries is not None:
            _check_name(f"{key}.branches.{name}", str(name), nn.ModuleDict())
            made[str(name)], shapes[str(name)] = stack(f"{key}.branches.{name}", entries, shape, defaults)
    if len({shape[1:] for shape in shapes.values()}) > 1:
        each = ", ".join(f"{name} makes {_shown(shape)}" for name, shape in shapes.items())
        raise ValueError(f"{key}.branches can't be joined, as their maps differ in size: {each}")
    return Parallel(made)


BLOCKS: dict[str, Callable[..., nn.Module]] = {"residual": residual, "parallel": parallel}


def _check_name(key: str, name: str, layers: nn.Module) -> None:
    if not name or "." in name or name == "flatten" or hasattr(layers, name):
        raise ValueError(f"{key}: a layer can't have this name, which torch needs; give it another")


def _shape_after(key: str, kind: str, layer: nn.Module, shape: Shape) -> Shape:
    try:
        return output_shape(layer, shape)
    except TooSmallError as error:
        words = str(error).partition(": ")[2]
        raise TooSmallError(f"{key}: {words}; raise resize.size or leave out a pooling") from error
    except RuntimeError as error:
        raise ValueError(f"{key}: {kind} {error}") from error


def _shown(shape: Shape) -> str:
    return "x".join(str(side) for side in shape)


def _fitting(made: Shape, shape: Shape) -> str:
    """Word what brings both to one shape."""
    if len(made) != 3 or len(shape) != 3:
        return ""
    stride = -(-shape[1] // made[1])
    if (shape[1] - 1) // stride + 1 != made[1]:
        return "; give the layers' convolutions padding: same"
    return f"; give shortcut: {{conv: {{kind: conv, filters: {made[0]}, kernel: 1, stride: {stride}}}}}"
