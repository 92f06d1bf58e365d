"""Which split each image goes to, and which images are left out: refused ones, and twins of images that judge the network."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pipeline.config.errors import ConfigError
from pipeline.config.schema import Config
from pipeline.dataset.audit import NONE, find_twins
from pipeline.dataset.items import ALL, NO_CLASS, NOT_TAKEN, PHOTOS, Item
from pipeline.dataset.manifest import SPLITS
from pipeline.dataset.split import draw


@dataclass(frozen=True)
class Placement:
    """All lists and arrays but pairs have an entry for each item, in their order."""

    items: list[Item]
    records: NDArray[np.void]
    reasons: list[str]  # why it can't be used, or ""
    drawn: NDArray[np.int64]  # index into SPLITS where it can be used, else NONE
    left_out_for: NDArray[np.int64]  # the item whose twin it is and for which it is left out, or NONE
    pairs: NDArray[np.void]  # of PAIR, the most alike first; those with a left-out image too

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

    def reason(self, i: int) -> str:
        """Return why an item is not used, or ""."""
        twin = self.left_out_for[i]
        return self.reasons[i] if twin == NONE else f"twin of {self.items[twin].path}, which was drawn into {self.drawn_name(twin)}"

    def is_exact(self, pair: np.void) -> bool:
        """Tell whether two twins have the same bytes."""
        return bool(self.records["sha256"][pair["one"]] == self.records["sha256"][pair["other"]])

    @cached_property
    def splits(self) -> NDArray[np.int64]:
        """Index into SPLITS where an item is used, else NONE."""
        return np.where(self.left_out_for == NONE, self.drawn, NONE)

    @cached_property
    def left_out(self) -> NDArray[np.int64]:
        """Images that could be used, but for a twin."""
        return np.flatnonzero(self.left_out_for != NONE)

    @cached_property
    def refused(self) -> list[int]:
        """Images of a class that can't be used."""
        return [i for i in np.flatnonzero(~self.records["used"]).tolist() if self.items[i].label != NO_CLASS]

    @cached_property
    def stray(self) -> list[Item]:
        """Photos that are in no class, by their names, but for those of classes that are not taken."""
        classless = (item for item in self.items if item.label == NO_CLASS and not item.why.endswith(NOT_TAKEN))
        return [item for item in classless if item.path.lower().endswith(PHOTOS)]

    @cached_property
    def conflicts(self) -> NDArray[np.void]:
        """Twins of two labels."""
        return self.pairs[self._are_conflicts]

    @cached_property
    def across(self) -> NDArray[np.void]:
        """Twins that were drawn into two splits."""
        return self.pairs[self._are_across]

    @cached_property
    def within(self) -> NDArray[np.void]:
        """Twins of one label that were drawn into one split."""
        return self.pairs[~self._are_conflicts & ~self._are_across]

    @cached_property
    def _are_conflicts(self) -> NDArray[np.bool_]:
        both = zip(self.pairs["one"], self.pairs["other"], strict=True)
        return np.fromiter((self.items[one].label != self.items[other].label for one, other in both), bool, len(self.pairs))

    @cached_property
    def _are_across(self) -> NDArray[np.bool_]:
        return self.drawn[self.pairs["one"]] != self.drawn[self.pairs["other"]]


def place(items: list[Item], records: NDArray[np.void], reasons: list[str], cfg: Config) -> Placement:
    """Give every image that can be used a split, within its class; leave out twins of images of a later split.

    Raises ConfigError for folds of data that names its validation images."""
    official = {item.part for item in items} - {ALL}
    if cfg.dataset.split.folds and "validation" in official:
        told = "dataset.split.folds is set, but the data names its validation images itself: leave one of the two out"
        raise ConfigError(told, "dataset.split.folds")
    drawn, used = np.full(len(items), NONE), np.flatnonzero(records["used"])
    labels, parts = [items[i].label for i in used], [items[i].part for i in used]
    drawn[used] = draw(records["sha256"][used], labels, parts, official, cfg.dataset.split)
    twins = find_twins(records, drawn, cfg.dataset.twins.correlation)
    is_strict = cfg.dataset.twins.across == "leave_out"
    return Placement(items, records, reasons, drawn, twins.left_out_for() if is_strict else np.full(len(items), NONE), twins.pairs())
