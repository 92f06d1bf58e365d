"""A network in numbers: a row for each layer, and what follows from them. Plain values, without torch, so that they can be stored."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, takewhile
from math import prod
from typing import Any

from pipeline.config.counted import counted

FLATTENING = "flattening"
BYTES = 4  # of a weight, a gradient or an activation in single precision


@dataclass(frozen=True)
class Row:
    """What one layer makes of one image."""

    name: str  # dotted name in the network
    kind: str  # in words
    output: tuple[int, ...]  # (C, H, W), or (features,)
    window: str  # of a convolution or a pooling: "3×3 stride 2 padding 1"; "" for others
    weights: int
    biases: int
    macs: int  # multiplications with additions
    field: int  # pixels, height = width, of the image that a value depends on
    step: int  # pixels between the fields of two neighbours
    sources: tuple[int, ...]  # the rows that made its inputs, by their place; -1: the image
    side: int | None  # pixels, of the window on the maps before it

    @property
    def parameters(self) -> int:
        return self.weights + self.biases


@dataclass(frozen=True)
class Memory:
    """Bytes that a training step needs, without what a layer's function uses while it works."""

    weights: int  # and buffers, such as the statistics of batch norm
    gradients: int  # of the weights that are trained
    optimizer: int  # what it remembers of each weight
    activations: int  # of the whole batch: what the backward pass needs of the forward pass, and one layer's gradient

    @property
    def whole(self) -> int:
        return self.weights + self.gradients + self.optimizer + self.activations


@dataclass(frozen=True)
class Summary:
    image: tuple[int, int, int]  # channels, height, width
    rows: tuple[Row, ...]  # in the order of the computation
    groups: dict[str, str]  # dotted name of what holds layers -> what it is, in words
    parameters: int
    trainable: int  # of these
    buffers: int  # values that are neither trained nor given: running statistics, LeNet-5's drawings
    macs: int  # multiplications with additions for one image
    kept: int  # bytes of an image's activations that the backward pass needs
    remembered: float  # values that the optimizer remembers of each weight: SGD 0, with momentum 1, Adam 2
    notes: tuple[str, ...]  # what the network says of itself
    remarks: tuple[str, ...]  # what its sizes bring with them

    def memory(self, batch_size: int) -> Memory:
        weights = BYTES * (self.parameters + self.buffers)
        gradients = BYTES * self.trainable
        return Memory(weights, gradients, round(self.remembered * gradients), self.kept * batch_size)

    @classmethod
    def from_dict(cls, tree: dict[str, Any]) -> "Summary":
        """Return what `asdict` made a dictionary of, also from JSON."""
        rows = tuple(Row(**{**row, "output": tuple(row["output"]), "sources": tuple(row["sources"])}) for row in tree["rows"])
        texts = {key: tuple(tree[key]) for key in ("image", "notes", "remarks")}
        return cls(**{**tree, **texts, "rows": rows})


@dataclass(frozen=True)
class Part:
    """Rows that are told as one."""

    name: str
    kind: str  # in words
    output: tuple[int, ...]  # of the maps, also where these are flattened for what follows
    parameters: int
    side: int | None = None  # pixels, of the window on the maps before it; None for several layers


def parts(summary: Summary, most: int) -> list[Part]:
    """Return the layers in `most` parts or fewer, where it can be: as deep as each part takes only what the one before it makes.

    What changes no shape and has no window (an activation, a normalisation, dropout) joins the part before it."""
    deepest = max(row.name.count(".") for row in summary.rows) + 1
    found = [_parts(summary, depth) for depth in range(deepest, 0, -1)]
    chains = [cut for cut in found if _is_chain(summary.rows, cut)] or found[-1:]
    return [_part(summary, cut) for cut in next((cut for cut in chains if len(cut) <= most), chains[-1])]


Cut = list[list[int]]  # places of rows, part by part


def _parts(summary: Summary, depth: int) -> Cut:
    found: Cut = []
    for _, run in groupby(range(len(summary.rows)), key=lambda place: _begin(summary.rows[place].name, depth)):
        places = list(run)
        if found and all(_only_changes_values(summary, place) for place in places):
            found[-1] += places
        else:
            found.append(places)
    return found


def _begin(name: str, depth: int) -> list[str]:
    return name.split(".")[:depth]


def _only_changes_values(summary: Summary, place: int) -> bool:
    row = summary.rows[place]
    is_next = row.sources == (place - 1,) and place > 0
    return is_next and row.side is None and row.macs == 0 and prod(summary.rows[place - 1].output) == prod(row.output)


def _is_chain(rows: Sequence[Row], cut: Cut) -> bool:
    before = {-1}
    for places in cut:
        if not {source for place in places for source in rows[place].sources} <= before | set(places):
            return False
        before = set(places)
    return True


def _part(summary: Summary, places: list[int]) -> Part:
    rows = [summary.rows[place] for place in places]
    output = [row.output for row in rows if row.kind != FLATTENING or len(rows) == 1][-1]
    parameters = sum(row.parameters for row in rows)
    main = [row for row in rows if row.macs or row.side] or rows[:1]
    if len(main) > 1:
        name = _shared([row.name for row in main])
        return Part(name, summary.groups.get(name, counted(len(main), "layer")), output, parameters)
    kind = f"{main[0].kind} {main[0].window.partition(' padding')[0]}".strip()
    others = [row.kind for row in rows if row is not main[0] and row.kind != FLATTENING]
    return Part(main[0].name, ", ".join([kind, *others]), output, parameters, main[0].side)


def _shared(names: list[str]) -> str:
    """Return the beginning that dotted names share."""
    paths = [name.split(".") for name in names]
    same = takewhile(lambda level: len(set(level)) == 1, zip(*paths, strict=False))
    return ".".join(level[0] for level in same)
