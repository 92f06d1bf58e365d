"""Where on the image the receptive field of a value in a feature map lies."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from pipeline.model.tracing import Call, trace

Box = tuple[slice, slice]  # rows and columns of an image


@dataclass(frozen=True)
class Reach:
    """The receptive fields of a layer's values along either side of the image, in pixels, parts outside of the image included."""

    first: int = 0  # pixel of the value at 0; may be negative, because of padding
    last: int = 0
    step: int = 1  # from the field of a value to that of the next

    def box(self, place: tuple[int, int], side: int) -> Box:
        """Return the receptive field of the value at (row, column), on an image of side x side pixels."""
        row, column = (self._within(at, side) for at in place)
        return row, column

    def _within(self, at: int, side: int) -> slice:
        # A field within a border that repeats the outermost pixels is those pixels.
        first, last = (min(max(end + at * self.step, 0), side - 1) for end in (self.first, self.last))
        return slice(first, last + 1)


def reaches(network: nn.Module, in_channels: int, side: int) -> dict[str, Reach]:
    """Return layer → the reach of its values, for square images; of a layer that is called several times, that of the last call.

    Of several paths to a value the field includes all. Gaps, as dilation leaves them, count as seen."""
    calls, found = trace(network, in_channels, side), list[Reach]()
    for call in calls:
        found.append(_reach(call, [found[i] if i >= 0 else Reach() for i in call.sources], _size_before(call, calls)))
    return {call.layer: reach for call, reach in zip(calls, found, strict=True)}


def _size_before(call: Call, calls: Sequence[Call]) -> int:
    return max(calls[i].field.size if i >= 0 else 1 for i in call.sources)


def _reach(call: Call, before: Sequence[Reach], size: int) -> Reach:
    """Return the reach of a call's output from those of its inputs. size: of the inputs' largest receptive field."""
    first, last, step = min(part.first for part in before), max(part.last for part in before), max(part.step for part in before)
    if window := call.window:
        outside = window.padding * step
        return Reach(first - outside, last - outside + (window.side - 1) * step, call.field.step)
    if call.function == "pad" and len(call.output) == 3:  # of an odd number the larger part is at the lower right
        outside = (call.output[1] - call.inputs[0][1]) // 2 * step
        return Reach(first - outside, last - outside, call.field.step)
    return Reach(first, last + call.field.size - size, call.field.step)  # adaptive pooling or flattening
