"""What the sizes of a network's maps bring with them, told at the layer where it happens, with the image size that mends it."""

from collections.abc import Callable, Iterator, Sequence

from pipeline.model.tracing import Call

FARTHEST = 128  # pixels from the given size, within which another one is looked for

Sides = list[int | None]  # height = width of the maps before each call; None: not of the image's making


def remarks(calls: Sequence[Call], side: int) -> Iterator[str]:
    """Yield a sentence for each thing worth knowing of images of height = width = side; none keeps a network from working."""
    yield from _uneven(calls, side)
    yield from _single(calls, side)
    yield from _whole(calls, side)


def _uneven(calls: Sequence[Call], side: int) -> Iterator[str]:
    found = [call for call in calls if call.unseen]
    if not found:
        return
    call = found[0]
    rows = "the last row and column" if call.unseen == 1 else f"the last {call.unseen} rows and columns"
    height, width = call.inputs[0][1:]

    def is_even(sides: Sides) -> bool:
        return not any(call.window.unseen(before) for call, before in zip(calls, sides, strict=True) if call.window and before)

    even = [str(size) for size in (_nearest(calls, side, step, is_even) for step in (-1, 1)) if size]
    mend = f"; images of {' or '.join(even)} pixels divide evenly" if even else ""
    yield f"{call.layer}: no window reaches {rows} of its {height}×{width} maps{_more(found)}{mend}"


def _single(calls: Sequence[Call], side: int) -> Iterator[str]:
    """Name filters of several pixels on maps of one: all weights but one meet padding alone, and learn nothing."""
    found = [
        call for call in calls if call.window and call.macs and call.window.side > 1 and call.inputs[0][1:] == call.output[1:] == (1, 1)
    ]
    if not found or not found[0].window:
        return

    def is_larger(sides: Sides) -> bool:
        return all(before != 1 for call, before in zip(calls, sides, strict=True) if call in found)

    larger = _nearest(calls, side, 1, is_larger)
    mend = f"; from {larger} pixels on the maps are larger" if larger else ""
    kernel = found[0].window.kernel
    yield f"{found[0].layer}: the maps before it are 1×1, so one weight of its {kernel}×{kernel} meets the image{_more(found)}{mend}"


def _whole(calls: Sequence[Call], side: int) -> Iterator[str]:
    for call in calls:
        if call.window and call.field.size > side:
            yield f"{call.layer}: from here on a value may depend on the whole image; its field is {call.field.size} of {side} pixels"
            return


def _more(found: list[Call]) -> str:
    return f" (and so in {len(found) - 1} more)" if len(found) > 1 else ""


def _nearest(calls: Sequence[Call], side: int, step: int, is_good: Callable[[Sides], bool]) -> int | None:
    """Return the nearest image size that is good, above (step 1) or below (-1), None where none is near."""
    for size in range(side + step, side + step * FARTHEST, step):
        if size < 1 or (sides := _sides(calls, size)) is None:
            return None
        if is_good(sides):
            return size
    return None


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
