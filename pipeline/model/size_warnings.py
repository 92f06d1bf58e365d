"""Warnings about the sizes of a network's maps, each with the layer and an image size that avoids it."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

from pipeline.config.wording import counted
from pipeline.model.forward_pass import State, hooked, train_on_empty_batch
from pipeline.model.tracing import Call

FARTHEST = 128  # pixels from the given size within which a better one is searched

Sides = list[int | None]  # height = width of each call's input; None: independent of the image
IsGood = Callable[[Sequence[Call], Sides], bool]
TraceAt = Callable[[int], Sequence[Call]]  # image size → calls of the network built for it


def size_warnings(calls: Sequence[Call], side: int, trace_at: TraceAt) -> Iterator[str]:
    """Yield a sentence for each flaw of side x side images; the network works all the same."""
    yield from _uneven(calls, side, trace_at)
    yield from _on_one_pixel(calls, side, trace_at)


def field_note(calls: Sequence[Call], side: int) -> Iterator[str]:
    """Yield a note on the first layer whose receptive field exceeds the image, if any."""
    for call in calls:
        if call.window and call.field.size > side:
            yield f"{call.layer}: from here on a value may depend on the whole image; its field is {call.field.size} of {side} pixels"
            return


def single_value_norms(network: nn.Module, in_channels: int, side: int) -> list[str]:
    """Return the names of batch norms with a single value per channel for an image (in_channels, side, side), in order of computation.

    For a batch of one image they have no variance, which torch refuses. Includes auxiliary classifiers, but not layers in evaluation
    mode, which use running statistics."""
    norms = {name: layer for name, layer in network.named_modules() if isinstance(layer, _BatchNorm) and layer.training}
    found: list[str] = []

    def note(name: str, inputs: Any) -> None:
        if inputs[0].shape[2:].numel() == 1:
            found.append(name)

    def run(images: Tensor, state: State) -> None:
        found.clear()  # from a failed attempt
        functional_call(network, state, (images,))

    with hooked(norms, before=note):
        train_on_empty_batch(network, (in_channels, side, side), run)
    return found


def _uneven(calls: Sequence[Call], side: int, trace_at: TraceAt) -> Iterator[str]:
    found = [words for call in calls if (words := _rounded(call))]
    if not found:
        return
    even = [str(size) for step in (-1, 1) if (size := _nearest(calls, side, step, _is_even, trace_at))]
    fix = f"; images of {' or '.join(even)} pixels divide evenly" if even else ""
    yield from (f"{words}{fix}" for words in found)


def _rounded(call: Call) -> str:
    """Describe how a layer's stride does not divide its input maps; empty if it does."""
    if not call.window:
        return ""
    height, width = call.inputs[0][1:]
    maps = f"its {height}×{width} maps"
    if call.unseen:
        rows = "row and column" if call.unseen == 1 else f"{call.unseen} rows and columns"
        return f"{call.layer}: rounded down, no window reaches the last {rows} of {maps}"
    if overhang := call.window.overhang(height):
        return f"{call.layer}: rounded up, the last windows end {counted(overhang, 'pixel')} beyond {maps}"
    return ""


def _is_even(calls: Sequence[Call], sides: Sides) -> bool:
    windows = [(call.window, before) for call, before in zip(calls, sides, strict=True) if call.window and before]
    return not any(window.unseen(before) or window.overhang(before) for window, before in windows)


def _on_one_pixel(calls: Sequence[Call], side: int, trace_at: TraceAt) -> Iterator[str]:
    """Yield a warning about larger filters on 1x1 maps: all weights but one only see padding and learn nothing."""
    found = [call for call in calls if _has_one_pixel(call, call.inputs[0][-1])]
    if not found or not found[0].window:
        return
    larger = _nearest(calls, side, 1, _is_larger, trace_at)
    fix = f"; from {larger} pixels on the maps are larger" if larger else ""
    kernel, more = found[0].window.kernel, f" (and so in {len(found) - 1} more)" if len(found) > 1 else ""
    yield f"{found[0].layer}: the maps before it are 1×1, so one weight of its {kernel}×{kernel} meets the image{more}{fix}"


def _has_one_pixel(call: Call, side: int | None) -> bool:
    return side == 1 and call.macs > 0 and call.window is not None and call.window.side > 1 and call.window.positions(side) == 1


def _is_larger(calls: Sequence[Call], sides: Sides) -> bool:
    return not any(_has_one_pixel(call, before) for call, before in zip(calls, sides, strict=True))


def _nearest(calls: Sequence[Call], side: int, step: int, is_good: IsGood, trace_at: TraceAt) -> int | None:
    """Return the nearest good image size above (step 1) or below (-1), or None within FARTHEST.

    It is found with the layers as they are, then verified by building the network, which may have others at that size (small variant)."""
    for size in range(side + step, side + step * FARTHEST, step):
        if size < 1 or (sides := _sides(calls, size)) is None:
            return None
        if is_good(calls, sides):
            return size if _is_good_when_built(size, is_good, trace_at) else None
    return None


def _is_good_when_built(size: int, is_good: IsGood, trace_at: TraceAt) -> bool:
    try:
        with torch.device("meta"), torch.random.fork_rng(devices=[]):  # no values, and no random numbers drawn from the training's
            calls = trace_at(size)
    except Exception:  # a network may refuse a size with any exception
        return False
    sides = _sides(calls, size)
    return sides is not None and is_good(calls, sides)


def _sides(calls: Sequence[Call], size: int) -> Sides | None:
    """Return the sides of all inputs for images of another size; None if a window does not fit."""
    before: Sides = []
    after: Sides = []
    for call in calls:
        old = size if call.sources[0] < 0 else after[call.sources[0]]
        new = _side_after(call, old)
        if new is not None and new < 1:
            return None
        before.append(old)
        after.append(new)
    return before


def _side_after(call: Call, side: int | None) -> int | None:
    if side is None or len(call.output) != 3 or len(call.inputs[0]) != 3:
        return None
    if call.window:
        return call.window.positions(side)
    grown = call.output[1] - call.inputs[0][1]  # by padding; what shrinks without a window is adaptive pooling
    return side + grown if grown >= 0 else None
