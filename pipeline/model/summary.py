"""A network layer by layer: shapes, weights, computation, receptive fields, memory; and remarks on sizes that do not go well."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby, takewhile
from typing import Any

from torch import nn
from torch.optim import Optimizer

from pipeline.config.counted import counted
from pipeline.model.memory import kept_for_backward, remembered
from pipeline.model.remarks import remarks
from pipeline.model.rows import FLATTENING, Row, Summary
from pipeline.model.tracing import Call, trace
from pipeline.model.windows import Window

# Where a class's name or a function's would not be the field's term.
WORDS = {
    "Conv2d": "convolution",
    "Linear": "fully connected",
    "MaxPool2d": "max pooling",
    "AvgPool2d": "average pooling",
    "LPPool2d": "L2 pooling",
    "SumPool2d": "sum pooling",
    "Subsampling": "subsampling",
    "AdaptiveAvgPool2d": "average pooling",
    "AdaptiveMaxPool2d": "max pooling",
    "BatchNorm1d": "batch norm",
    "BatchNorm2d": "batch norm",
    "GroupNorm": "group norm",
    "LocalResponseNorm": "local response norm",
    "ReplicationPad2d": "border",
    "ZeroPad2d": "border",
    "pad": "border",
    "Flatten": FLATTENING,
    "flatten": FLATTENING,
    "view": FLATTENING,
    "reshape": FLATTENING,
    "add": "addition",
    "iadd": "addition",
    "cat": "concatenation",
    "mean": "average",
    "relu": "ReLU",
    "conv2d": "convolution",
    "linear": "fully connected",
    "max_pool2d": "max pooling",
    "avg_pool2d": "average pooling",
    "adaptive_avg_pool2d": "average pooling",
}
ABBREVIATED = re.compile(r"[A-Z]{2}")  # ReLU, GELU, SiLU, ELU stay as they are


def summarise(
    network: nn.Module,
    make_network: Callable[[int], nn.Module],
    make_optimizer: Callable[[Any], Optimizer],
    in_channels: int,
    side: int,
) -> Summary:
    """Return a network's table for images of (in_channels, side, side), as it is: frozen weights count as not trained.

    make_network: builds it for images of another side; remarks suggest no size that it was not tried with. Raises as `trace` does."""
    calls = trace(network, in_channels, side)
    shared = len(_shared_beginning([call.layer for call in calls]))
    calls = [replace(call, layer=call.layer[shared:]) for call in calls]
    modules = {name[shared:]: module for name, module in network.named_modules()} | {"": network}
    parameters = list(network.parameters())
    return Summary(
        image=(in_channels, side, side),
        rows=tuple(_rows(calls, modules)),
        groups={name: _group(module) for name, module in modules.items() if any(module.children())},
        parameters=sum(parameter.numel() for parameter in parameters),
        trainable=sum(parameter.numel() for parameter in parameters if parameter.requires_grad),
        buffers=sum(buffer.numel() for buffer in network.buffers()),
        macs=sum(call.macs for call in calls),
        kept=kept_for_backward(network, in_channels, side),
        remembered=remembered(make_optimizer),
        notes=tuple(getattr(network, "notes", ())),
        remarks=tuple(remarks(calls, side, lambda other: trace(make_network(other), in_channels, other))),
    )


def _rows(calls: list[Call], modules: dict[str, nn.Module]) -> list[Row]:
    """Return a row for each layer that is a module, and for each function that the modules around them call."""
    runs = [list(run) for _, run in groupby(range(len(calls)), key=lambda place: _layer(place, calls, modules))]
    row_of = {-1: -1} | {place: i for i, run in enumerate(runs) for place in run}
    counted: set[nn.Parameter] = set()  # a layer that is used twice has its weights once
    rows = []
    for i, run in enumerate(runs):
        last, window = calls[run[-1]], next((calls[place].window for place in run if calls[place].window), None)
        module = modules[last.layer]
        own = {name: weight for name, weight in module.named_parameters(recurse=False) if weight not in counted}
        counted |= set(own.values())
        biases = own["bias"].numel() if "bias" in own else 0
        rows.append(
            Row(
                name=last.layer,
                kind=_in_words(module, last),
                output=last.output,
                window=_told(window) if window else "",
                weights=sum(weight.numel() for weight in own.values()) - biases,
                biases=biases,
                macs=sum(calls[place].macs for place in run),
                field=last.field.size,
                step=last.field.step,
                sources=tuple(sorted({row_of[source] for place in run for source in calls[place].sources} - {i})),
                side=window.side if window else None,
            )
        )
    return rows


def _layer(place: int, calls: list[Call], modules: dict[str, nn.Module]) -> tuple[str, int]:
    """Return what calls of one row have in common: the innermost module, which calls no other; else each is for itself."""
    name = calls[place].layer
    return (name, place) if any(modules[name].children()) else (name, -1)


def _shared_beginning(names: Sequence[str]) -> str:
    """Return the beginning of dotted names that all share, "layers." of layers.conv1 and layers.pool1."""
    paths = [name.split(".")[:-1] for name in names]
    parts = takewhile(lambda part: len(set(part)) == 1, zip(*paths, strict=False))
    return "".join(f"{part[0]}." for part in parts)


def _in_words(module: nn.Module, call: Call) -> str:
    if any(module.children()):
        return WORDS.get(call.function, call.function.replace("_", " "))
    for base in type(module).__mro__:  # a class derived from one of torch's is called as that is
        if base.__name__ in WORDS:
            return WORDS[base.__name__]
    return class_in_words(type(module))


def class_in_words(kind: type) -> str:
    """Return a class's name as a label: BasicBlock "basic block", ReLU "ReLU"."""
    name = kind.__name__.strip("_")
    return name if ABBREVIATED.search(name) else re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()


def _group(module: nn.Module) -> str:
    """Return what a module is that holds others: its class, or how many blocks of which class."""
    classes = [type(child) for child in module.children() if any(child.children())]
    if isinstance(module, nn.Sequential | nn.ModuleList | nn.ModuleDict) and len(set(classes)) == 1:
        return f"{len(classes)} × {class_in_words(classes[0])}"
    return class_in_words(type(module)) if type(module) is not nn.Sequential else counted(len(module), "layer")


def _told(window: Window) -> str:
    words = [f"{window.kernel}×{window.kernel}"]
    words += [f"stride {window.stride}"] if window.stride > 1 else []
    words += [f"padding {window.padding}"] if window.padding else []
    words += [f"dilation {window.dilation}"] if window.dilation > 1 else []
    words += [f"groups {window.groups}"] if window.groups > 1 else []
    return " ".join(words)
