"""VGG: 3x3 convolutions in blocks, each block ended by a pooling; with batch norm where that is asked for.

Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", arXiv:1409.1556, table 1 (A, B, D, E)."""

import math
from collections.abc import Sequence

from torch import nn

from pipeline.config.counted import counted
from pipeline.model.blocks import fully_connected
from pipeline.model.choices import require_count, require_counts, require_share
from pipeline.model.first_values import he, normal, set_first_values
from pipeline.model.forms import FRAMED, PAPER, chosen_form, frame, frame_note, small_form_note
from pipeline.model.tracing import output_shape

SMALL_CHANGES = "one linear layer on the mean of each map in place of fc6, fc7 and fc8, whose units and dropout count for nothing"


class VGG(nn.Sequential):
    """(B, C, H, W) -> (B, num_classes): convolutions conv1_1, conv1_2 …, poolings pool1 …, fully connected layers fc6, fc7, fc8.

    filters: of each block. convolutions: how many each block has. final_side: pixels that the last maps of the paper's form are averaged
    to, also where they are smaller, as in torchvision; None leaves them. The paper's form has maps of 112, 56, 28, 14, 7 at 224x224;
    the small form ends with the mean of each map and one linear layer; images of 28 to 31 pixels get a border for five poolings.
    First values: the paper copied its deep networks' from a shallow one, as N(0, 0.01) does not train them (section 3.1);
    here convolutions have He's, which do; linear layers N(0, 0.01), biases 0. Raises TooSmallError where maps shrink to nothing."""

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        image_size: int,
        form: str,
        filters: Sequence[int],
        convolutions: Sequence[int],
        batch_norm: bool,
        final_side: int | None,
        units: int,
        dropout: float,
    ) -> None:
        super().__init__()
        require_counts("filters", filters)
        require_counts("convolutions", convolutions)
        if len(filters) != len(convolutions):
            raise ValueError(
                f"filters has {counted(len(filters), 'block')} and convolutions has {len(convolutions)}; they need a number for each block"
            )
        if final_side is not None:
            require_count("final_side", final_side)
        require_count("units", units)
        require_share("dropout", dropout)
        is_paper = chosen_form(form, image_size) == PAPER
        self.notes: list[str] = []
        if image_size in FRAMED:
            self.add_module("frame", frame(image_size))
            self.notes.append(frame_note(image_size))
        channels = in_channels
        for block, (width, count) in enumerate(zip(filters, convolutions, strict=True), 1):
            for number in range(1, count + 1):
                self._add_convolution(f"{block}_{number}", channels, width, batch_norm)
                channels = width
            self.add_module(f"pool{block}", nn.MaxPool2d(2))
        side = output_shape(self, (in_channels, image_size, image_size))[-1]
        if not is_paper:
            self.add_module("average", nn.AdaptiveAvgPool2d(1))
            self.notes.append(small_form_note(image_size, SMALL_CHANGES))
        elif final_side not in (None, side):
            self.add_module("average", nn.AdaptiveAvgPool2d(final_side))
            self.notes.append(f"the last maps of {side}x{side} pixels are averaged to {final_side}x{final_side}, which fc6 is made for")
        set_first_values(self, he)
        inputs = math.prod(output_shape(self, (in_channels, image_size, image_size)))
        head = fully_connected(inputs, units, num_classes, dropout) if is_paper else _small_head(inputs, num_classes)
        for name, layer in head.items():
            set_first_values(layer, normal)
            self.add_module(name, layer)

    def _add_convolution(self, number: str, channels: int, filters: int, batch_norm: bool) -> None:
        self.add_module(f"conv{number}", nn.Conv2d(channels, filters, 3, padding=1))
        if batch_norm:
            self.add_module(f"bn{number}", nn.BatchNorm2d(filters))
        self.add_module(f"relu{number}", nn.ReLU())


def _small_head(inputs: int, num_classes: int) -> dict[str, nn.Module]:
    return {"flatten": nn.Flatten(), "fc": nn.Linear(inputs, num_classes)}
