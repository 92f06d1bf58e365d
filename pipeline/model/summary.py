"""Summarise a network layer by layer: shapes, weights, multiply-accumulates, receptive fields, memory, size warnings."""

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import chain, groupby
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.optim import Optimizer

from pipeline.config.wording import counted
from pipeline.model.forward_pass import State, train_on_empty_batch
from pipeline.model.layer_rows import FLATTENING, Row, Summary, shared_prefix
from pipeline.model.size_warnings import field_note, size_warnings
from pipeline.model.tracing import Call, Window, trace

SIDE = 8  # of the square weight on which an optimizer's state is measured

# Terms for classes and functions whose names are not the usual ones.
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
    """Return a network's summary for images (in_channels, side, side); frozen weights are not trainable.

    make_network: image side → network, by which suggested sizes are verified. Raises as `trace` does."""
    calls = trace(network, in_channels, side)
    shared = len(shared_prefix(call.layer for call in calls))
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
        saved_bytes=saved_for_backward(network, in_channels, side),
        optimizer_slots=optimizer_slots(make_optimizer),
        notes=(*getattr(network, "notes", ()), *field_note(calls, side)),
        warnings=tuple(size_warnings(calls, side, lambda other: trace(make_network(other), in_channels, other))),
    )


def saved_for_backward(network: nn.Module, in_channels: int, side: int) -> int:
    """Return the bytes per image that autograd saves for the backward pass, plus the gradient of the largest tensor.

    Counted on an empty batch, including the image, each storage once; without dropout's masks and temporary workspace. Tests compare
    it with the measured memory of a step."""

    def count(images: Tensor, state: State) -> int:
        saved: list[Tensor] = []  # kept alive, so that no address is reused
        weights = {_storage(tensor) for tensor in chain(network.parameters(), state.values())}

        def keep(tensor: Tensor) -> Tensor:
            saved.append(tensor)
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            functional_call(network, state, (images,))
        sizes: dict[int, int] = {}
        for tensor in saved:
            storage, size = _storage(tensor), tensor.shape[1:].numel() * tensor.element_size()
            if storage not in weights and tensor.shape[:1] == images.shape[:1]:
                sizes[storage] = max(sizes.get(storage, 0), size)
        return sum(sizes.values()) + max(sizes.values(), default=0)

    return train_on_empty_batch(network, (in_channels, side, side), count)


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def optimizer_slots(make_optimizer: Callable[[Any], Optimizer]) -> float:
    """Return the number of state values that an optimizer keeps per weight: SGD 0, with momentum 1, Adam 2."""
    weight = nn.Parameter(torch.ones(SIDE, SIDE))
    weight.grad = torch.ones(SIDE, SIDE)
    optimizer = make_optimizer([weight])
    optimizer.step(lambda: 1.0)  # some need the loss
    tensors = [value for value in optimizer.state[weight].values() if isinstance(value, Tensor) and value.dim()]
    return sum(tensor.numel() for tensor in tensors) / weight.numel()


def _rows(calls: list[Call], modules: dict[str, nn.Module]) -> list[Row]:
    """Return a row for each leaf module, and for each function called by the modules around them."""
    runs = [list(run) for _, run in groupby(range(len(calls)), key=lambda place: _layer(place, calls, modules))]
    row_of = {-1: -1} | {place: i for i, run in enumerate(runs) for place in run}
    counted: set[nn.Parameter] = set()  # a layer used twice has its weights once
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
                kind=_kind(module, last),
                output=last.output,
                window=_window_label(window) if window else "",
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
    """Return the key of a call's row: its innermost module; calls of a module with children have a row each."""
    name = calls[place].layer
    return (name, place) if any(modules[name].children()) else (name, -1)


def _kind(module: nn.Module, call: Call) -> str:
    if any(module.children()):
        return WORDS.get(call.function, call.function.replace("_", " "))
    return layer_kind(module)


def layer_kind(layer: nn.Module) -> str:
    """Return a layer's kind in words: "max pooling", "ReLU"; a subclass of a torch layer has that one's."""
    classes = (base.__name__ for base in type(layer).__mro__)
    return next((WORDS[name] for name in classes if name in WORDS), class_in_words(type(layer)))


def class_in_words(kind: type) -> str:
    """Return a class's name as a label: BasicBlock "basic block", ReLU "ReLU"."""
    name = kind.__name__.strip("_")
    return name if ABBREVIATED.search(name) else re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()


def _group(module: nn.Module) -> str:
    """Describe a module with children: its class, or the number and class of its blocks."""
    classes = [type(child) for child in module.children() if any(child.children())]
    if isinstance(module, nn.Sequential | nn.ModuleList | nn.ModuleDict) and len(set(classes)) == 1:
        return f"{len(classes)} × {class_in_words(classes[0])}"
    return class_in_words(type(module)) if type(module) is not nn.Sequential else counted(len(module), "layer")


def _window_label(window: Window) -> str:
    words = [f"{window.kernel}×{window.kernel}"]
    words += [f"stride {window.stride}"] if window.stride > 1 else []
    words += [f"padding {window.padding}"] if window.padding else []
    words += [f"dilation {window.dilation}"] if window.dilation > 1 else []
    words += [f"groups {window.groups}"] if window.groups > 1 else []
    return " ".join(words)
