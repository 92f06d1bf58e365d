"""Which split each image goes to, and which images are left out: refused ones, and twins of images that judge the network."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pipeline.config.schema import Config
from pipeline.dataset.audit import NONE, Twins, find_twins
from pipeline.dataset.items import ALL, NO_CLASS, Item
from pipeline.dataset.manifest import SPLITS
from pipeline.dataset.split import assign


@dataclass(frozen=True)
class Pair:
    """Two twins, by their places in the list of items."""

    one: int
    other: int
    is_exact: bool  # the same bytes
    correlation: float  # of their miniatures


@dataclass(frozen=True)
class Placement:
    """All lists have an entry for each item, in their order."""

    items: list[Item]
    records: NDArray[np.void]
    reasons: list[str]  # why it is not used, or ""
    splits: NDArray[np.int64]  # index into SPLITS where it is used, else NONE
    drawn: NDArray[np.int64]  # likewise, before twins were left out
    pairs: list[Pair]  # the most alike first; those with a left-out image too

    def status(self, i: int) -> str:
        if self.items[i].label == NO_CLASS:
            return "left out"
        if not self.records["used"][i]:
            return "refused"
        return "used" if self.splits[i] != NONE else "left out"

    def split_name(self, i: int) -> str:
        return SPLITS[self.splits[i]] if self.splits[i] != NONE else ""

    def drawn_name(self, i: int) -> str:
        return SPLITS[self.drawn[i]] if self.drawn[i] != NONE else ""

    @cached_property
    def left_out(self) -> list[int]:
        """Images that could be used, but for a twin."""
        return np.flatnonzero(self.drawn != self.splits).tolist()

    @cached_property
    def refused(self) -> list[int]:
        """Images of a class that can't be used."""
        return [i for i in np.flatnonzero(~self.records["used"]).tolist() if self.items[i].label != NO_CLASS]

    @cached_property
    def conflicts(self) -> list[Pair]:
        """Twins of two labels."""
        return [pair for pair in self.pairs if self._is_conflict(pair)]

    @cached_property
    def across(self) -> list[Pair]:
        """Twins that were drawn into two splits."""
        return [pair for pair in self.pairs if self._is_across(pair)]

    @cached_property
    def within(self) -> list[Pair]:
        """Twins of one label that were drawn into one split."""
        return [pair for pair in self.pairs if not self._is_conflict(pair) and not self._is_across(pair)]

    def _is_conflict(self, pair: Pair) -> bool:
        return self.items[pair.one].label != self.items[pair.other].label

    def _is_across(self, pair: Pair) -> bool:
        return bool(self.drawn[pair.one] != self.drawn[pair.other])


def place(items: list[Item], records: NDArray[np.void], reasons: list[str], cfg: Config) -> Placement:
    """Give every image that can be used a split, by its own bytes; leave out twins of images of a later split."""
    used = np.flatnonzero(records["used"])
    official = {item.part for item in items} - {ALL}
    drawn = np.full(len(items), NONE)
    for i in used:
        drawn[i] = SPLITS.index(assign(records["sha256"][i].decode(), items[i].part, official, cfg.dataset.split))
    twins = find_twins(records[used], drawn[used], cfg.dataset.twins.correlation)
    splits, reasons = drawn.copy(), list(reasons)
    if cfg.dataset.twins.across == "leave_out":
        for i, twin in zip(used, twins.left_out_for(), strict=True):
            if twin != NONE:
                splits[i] = NONE
                reasons[i] = f"twin of {items[used[twin]].path}, which is in {SPLITS[drawn[used[twin]]]}"
    return Placement(items, records, reasons, splits, drawn, _pairs(twins, used, records))


def _pairs(twins: Twins, used: NDArray[np.int64], records: NDArray[np.void]) -> list[Pair]:
    places = [(int(used[one]), int(used[other]), correlation) for one, other, correlation in twins.pairs()]
    return [Pair(one, other, bool(records["sha256"][one] == records["sha256"][other]), found) for one, other, found in places]
