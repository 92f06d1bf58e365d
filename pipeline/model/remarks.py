"""What the sizes of a network's maps bring with them, told at the layer where it happens, with the image size that mends it."""

from collections.abc import Callable, Iterator, Sequence

import torch

from pipeline.config.counted import counted
from pipeline.model.tracing import Call

FARTHEST = 128  # pixels from the given size, within which another one is looked for

Sides = list[int | None]  # height = width of the maps before each call; None: not of the image's making
IsGood = Callable[[Sequence[Call], Sides], bool]
TraceAt = Callable[[int], Sequence[Call]]  # an image size -> the calls of the network that is built for it


def remarks(calls: Sequence[Call], side: int, trace_at: TraceAt) -> Iterator[str]:
    """Yield a sentence for each thing worth knowing of images of height = width = side; none keeps a network from working."""
    yield from _uneven(calls, side, trace_at)
    yield from _single(calls, side, trace_at)
    yield from _whole(calls, side)


def _uneven(calls: Sequence[Call], side: int, trace_at: TraceAt) -> Iterator[str]:
    found = [words for call in calls if (words := _rounded(call))]
    if not found:
        return
    even = [str(size) for step in (-1, 1) if (size := _nearest(calls, side, step, _is_even, trace_at))]
    mend = f"; images of {' or '.join(even)} pixels divide evenly" if even else ""
    yield from (f"{words}{mend}" for words in found)


def _rounded(call: Call) -> str:
    """Word how a layer's stride does not divide the maps before it, "" where it does."""
    if not call.window:
        return ""
    height, width = call.inputs[0][1:]
    maps = f"its {height}×{width} maps"
    if call.unseen:
        rows = "row and column" if call.unseen == 1 else f"{call.unseen} rows and columns"
        return f"{call.layer}: rounded down, no window reaches the last {rows} of {maps}"
    if beyond := call.window.beyond(height):
        return f"{call.layer}: rounded up, the last windows end {counted(beyond, 'pixel')} beyond {maps}"
    return ""


def _is_even(calls: Sequence[Call], sides: Sides) -> bool:
    windows = [(call.window, before) for call, before in zip(calls, sides, strict=True) if call.window and before]
    return not any(window.unseen(before) or window.beyond(before) for window, before in windows)


def _single(calls: Sequence[Call], side: int, trace_at: TraceAt) -> Iterator[str]:
    """Name filters of several pixels on maps of one: all weights but one meet padding alone, and learn nothing."""
    found = [call for call in calls if _is_on_one_pixel(call, call.inputs[0][-1])]
    if not found or not found[0].window:
        return
    larger = _nearest(calls, side, 1, _is_larger, trace_at)
    mend = f"; from {larger} pixels on the maps are larger" if larger else ""
    kernel, more = found[0].window.kernel, f" (and so in {len(found) - 1} more)" if len(found) > 1 else ""
    yield f"{found[0].layer}: the maps before it are 1×1, so one weight of its {kernel}×{kernel} meets the image{more}{mend}"


def _is_on_one_pixel(call: Call, side: int | None) -> bool:
    return side == 1 and call.macs > 0 and call.window is not None and call.window.side > 1 and call.window.positions(side) == 1


def _is_larger(calls: Sequence[Call], sides: Sides) -> bool:
    return not any(_is_on_one_pixel(call, before) for call, before in zip(calls, sides, strict=True))


def _whole(calls: Sequence[Call], side: int) -> Iterator[str]:
    for call in calls:
        if call.window and call.field.size > side:
            yield f"{call.layer}: from here on a value may depend on the whole image; its field is {call.field.size} of {side} pixels"
            return


def _nearest(calls: Sequence[Call], side: int, step: int, is_good: IsGood, trace_at: TraceAt) -> int | None:
    """Return the nearest image size that is good, above (step 1) or below (-1), None where none is near.

    It is found with the layers as they are. A network may have others at that size (forms.py), so it is built to see."""
    for size in range(side + step, side + step * FARTHEST, step):
        if size < 1 or (sides := _sides(calls, size)) is None:
            return None
        if is_good(calls, sides):
            return size if _is_so(size, is_good, trace_at) else None
    return None


def _is_so(size: int, is_good: IsGood, trace_at: TraceAt) -> bool:
    try:
        with torch.device("meta"), torch.random.fork_rng(devices=[]):  # no values, and none of the training's random numbers
            calls = trace_at(size)
    except Exception:  # a network may refuse a size by any of them
        return False
    sides = _sides(calls, size)
    return sides is not None and is_good(calls, sides)


def _sides(calls: Sequence[Call], size: int) -> Sides | None:
    """Return the maps' sides for images of another size, None where a window does not fit into them."""
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
    grown = call.output[1] - call.inputs[0][1]  # by padding; what shrinks without a window is an adaptive pooling
    return side + grown if grown >= 0 else None
