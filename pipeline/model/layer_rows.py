"""The layer table of a network, one row per layer, and its totals: plain values without torch, to be stored as JSON."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

FLATTENING = "flattening"
RENAMED = {"kept": "saved_bytes", "remembered": "optimizer_slots", "remarks": "warnings"}  # fields in event logs of earlier versions
BYTES = 4  # of a weight, a gradient or an activation in single precision


@dataclass(frozen=True)
class Row:
    """One layer, for one image."""

    name: str  # dotted name in the network
    kind: str  # in words
    output: tuple[int, ...]  # (C, H, W), or (features,)
    window: str  # of a convolution or pooling, "3×3 stride 2 padding 1"; else empty
    weights: int
    biases: int
    macs: int  # multiply-accumulates
    field: int  # receptive field: pixels, height = width
    step: int  # pixels between the receptive fields of neighbours
    sources: tuple[int, ...]  # indices of the rows that produced its inputs; -1: the image
    side: int | None  # of the window, in pixels of the input maps

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        return self.weights + self.biases


@dataclass(frozen=True)
class Memory:
    """Bytes that a training step needs, without temporary workspace."""

    weights: int  # and buffers, such as the statistics of batch norm
    gradients: int  # of the trained weights
    optimizer: int  # its state
    activations: int  # of the batch, saved for the backward pass, and the largest one's gradient

    @property
    def total(self) -> int:
        """Their sum, in bytes."""
        return self.weights + self.gradients + self.optimizer + self.activations


@dataclass(frozen=True)
class Summary:
    """A network's layers and totals."""

    image: tuple[int, int, int]  # channels, height, width
    rows: tuple[Row, ...]  # in order of computation
    groups: dict[str, str]  # dotted name of a block of layers → its kind, in words
    parameters: int
    trainable: int  # of these
    buffers: int  # values without gradient: running statistics, LeNet-5's bitmaps
    macs: int  # multiply-accumulates, for one image
    saved_bytes: int  # of one image's activations, for the backward pass
    optimizer_slots: float  # optimizer state per weight: SGD 0, with momentum 1, Adam 2
    notes: tuple[str, ...]
    warnings: tuple[str, ...]  # about its sizes

    def memory(self, batch_size: int) -> Memory:
        """Return the memory that a training step needs."""
        weights = BYTES * (self.parameters + self.buffers)
        gradients = BYTES * self.trainable
        return Memory(weights, gradients, round(self.optimizer_slots * gradients), self.saved_bytes * batch_size)

    @classmethod
    def from_dict(cls, tree: dict[str, Any]) -> "Summary":
        """Inverse of `dataclasses.asdict`, also after JSON."""
        tree = {RENAMED.get(key, key): value for key, value in tree.items()}
        rows = tuple(Row(**{**row, "output": tuple(row["output"]), "sources": tuple(row["sources"])}) for row in tree["rows"])
        texts = {key: tuple(tree[key]) for key in ("image", "notes", "warnings")}
        return cls(**{**tree, **texts, "rows": rows})


def shared_prefix(names: Iterable[str]) -> str:
    """Return the prefix that dotted names share, without their last parts: "layers." for layers.conv1 and layers.pool1."""
    levels = zip(*(name.split(".")[:-1] for name in names), strict=False)
    return "".join(f"{level[0]}." for level in takewhile(lambda level: len(set(level)) == 1, levels))
