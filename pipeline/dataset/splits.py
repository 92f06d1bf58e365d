"""Assign each image a split, by its rank among the images of its class in the order of their seeded hashes.

A class's order is cut into the blocks test | train | validation, each of its rounded share, but at least one image.
With split.folds it is cut into test | fold 0 | fold 1 | …, of which one fold is the validation split and the others are train.

A new image moves at most one other image across each cut. As n images grow to n + 1, the rank of a cut grows by 0 or 1: that of
test with its rounded share of n, those of validation with their share of the rest, which grows just when test does not. An image
before the cut changes sides only if the new one is before it too and the rank stays: the last one before the cut. An image after
the cut does only if the new one is after it too and the rank grows: the first one. So at most one other image enters or leaves
test, and one validation; docs/decisions/0014 proves that no order can promise one for both together."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pipeline.config.errors import ConfigError, DataError
from pipeline.config.schema import Config, Split
from pipeline.config.splits import ALL, SPLITS
from pipeline.config.wording import counted
from pipeline.dataset.names import shown
from pipeline.dataset.near_duplicates import NONE, find_near_duplicates
from pipeline.dataset.records import NO_CLASS, NOT_TAKEN, PHOTOS, Sample

TRAIN, VALIDATION, TEST = range(len(SPLITS))
DIGITS = 16  # hexadecimal, of the hash: 64 bits


@dataclass(frozen=True)
class Splits:
    """The split of each sample; refused files and near-duplicates of images in a later split have none.

    All lists and arrays but `pairs` have one entry per sample, in the samples' order."""

    samples: list[Sample]
    records: NDArray[np.void]
    reasons: list[str]  # why it can't be used, or empty
    drawn: NDArray[np.int64]  # index into SPLITS, or NONE if it can't be used
    left_out_for: NDArray[np.int64]  # the near-duplicate in a later split for which it is left out, or NONE
    pairs: NDArray[np.void]  # of PAIR, the most similar first, including those of left-out images

    def status(self, i: int) -> str:
        """Return "used", "refused" or "left out"."""
        if self.samples[i].label == NO_CLASS:
            return "left out"
        if not self.records["used"][i]:
            return "refused"
        return "used" if self.assigned[i] != NONE else "left out"

    def split_name(self, i: int) -> str:
        """Return the split that a sample is used in, or an empty string."""
        return SPLITS[self.assigned[i]] if self.assigned[i] != NONE else ""

    def drawn_name(self, i: int) -> str:
        """Return the split that a sample was drawn into, even if it is left out, or an empty string."""
        return SPLITS[self.drawn[i]] if self.drawn[i] != NONE else ""

    def reason(self, i: int) -> str:
        """Return why a sample is not used, or an empty string."""
        other = self.left_out_for[i]
        if other == NONE:
            return self.reasons[i]
        return f"near-duplicate of {self.samples[other].path}, which was drawn into {self.drawn_name(other)}"

    def is_exact(self, pair: np.void) -> bool:
        """Return whether two near-duplicates have the same bytes."""
        return bool(self.records["sha256"][pair["one"]] == self.records["sha256"][pair["other"]])

    @cached_property
    def assigned(self) -> NDArray[np.int64]:
        """(samples,) index into SPLITS, or NONE if a sample is not used."""
        return np.where(self.left_out_for == NONE, self.drawn, NONE)

    @cached_property
    def left_out(self) -> NDArray[np.int64]:
        """Samples left out for a near-duplicate."""
        return np.flatnonzero(self.left_out_for != NONE)

    @cached_property
    def refused(self) -> list[int]:
        """Samples of a class that can't be used."""
        return [i for i in np.flatnonzero(~self.records["used"]).tolist() if self.samples[i].label != NO_CLASS]

    @cached_property
    def stray(self) -> list[Sample]:
        """Files outside all classes that look like photos by their names; those of classes not in dataset.take are none."""
        classless = (sample for sample in self.samples if sample.label == NO_CLASS and not sample.why.endswith(NOT_TAKEN))
        return [sample for sample in classless if sample.path.lower().endswith(PHOTOS)]

    @cached_property
    def conflicts(self) -> NDArray[np.void]:
        """Pairs with two labels."""
        return self.pairs[self._are_conflicts]

    @cached_property
    def across(self) -> NDArray[np.void]:
        """Pairs drawn into two splits."""
        return self.pairs[self._are_across]

    @cached_property
    def within(self) -> NDArray[np.void]:
        """Pairs with one label, drawn into one split."""
        return self.pairs[~self._are_conflicts & ~self._are_across]

    @cached_property
    def _are_conflicts(self) -> NDArray[np.bool_]:
        both = zip(self.pairs["one"], self.pairs["other"], strict=True)
        return np.fromiter((self.samples[one].label != self.samples[other].label for one, other in both), bool, len(self.pairs))

    @cached_property
    def _are_across(self) -> NDArray[np.bool_]:
        return self.drawn[self.pairs["one"]] != self.drawn[self.pairs["other"]]


def assign_splits(samples: list[Sample], records: NDArray[np.void], reasons: list[str], cfg: Config) -> Splits:
    """Draw a split for every usable image, stratified by class; leave out near-duplicates of images in a later split.

    records: (samples,) of RECORD. Raises ConfigError for folds of data that names its own validation images."""
    official = {sample.part for sample in samples} - {ALL}
    if cfg.dataset.split.folds and "validation" in official:
        told = "dataset.split.folds is set, but the data names its own validation images: remove one of the two"
        raise ConfigError(told, "dataset.split.folds")
    drawn, used = np.full(len(samples), NONE), np.flatnonzero(records["used"])
    labels, parts = [samples[i].label for i in used], [samples[i].part for i in used]
    drawn[used] = draw(records["sha256"][used], labels, parts, official, cfg.dataset.split)
    near = find_near_duplicates(records, drawn, cfg.dataset.twins.correlation)
    is_strict = cfg.dataset.twins.across == "leave_out"
    return Splits(samples, records, reasons, drawn, near.left_out_for() if is_strict else np.full(len(samples), NONE), near.pairs())


def draw(sha256: NDArray[np.bytes_], labels: Sequence[str], parts: Sequence[str], official: set[str], split: Split) -> NDArray[np.int64]:
    """Return (images,) indices into SPLITS. Within a class, equal bytes count as one image and stay together.

    sha256: of each image's bytes. labels: its class. parts: its official split, or ALL. official: the splits that the data names."""
    drawn = np.array([TRAIN if part == ALL else SPLITS.index(part) for part in parts], np.int64)
    strata: dict[tuple[str, str], list[int]] = {}
    for i, stratum in enumerate(zip(labels, parts, strict=True)):
        strata.setdefault(stratum, []).append(i)
    for (_, part), images in strata.items():
        if part == ALL or (part == "train" and "validation" not in official):
            drawn[images] = cut(_hashes(sha256[images], split.seed), part == ALL, split)
    return drawn


def needed(official: set[str], split: Split) -> int:
    """Return how many distinct images a class needs for one in every split that is drawn, and in every fold."""
    judged = 0 if "validation" in official else split.folds or 2
    return judged if official else judged + 1


def cut(hashes: NDArray[np.uint64], into_test: bool, split: Split) -> NDArray[np.int64]:
    """Return (images,) indices into SPLITS for one class. into_test: whether to draw test images too."""
    different, rank = np.unique(hashes, return_inverse=True)
    judged = split.folds or 2  # parts that the rest is divided into
    test = _share(split.test, len(different), judged) if into_test else 0
    if split.folds:
        each, more = divmod(len(different) - test, split.folds)
        first, last = (test + each * fold + min(fold, more) for fold in (split.fold, split.fold + 1))
    else:
        first, last = len(different) - _share(split.validation, len(different) - test, 1), len(different)
    return np.where(rank < test, TEST, np.where((first <= rank) & (rank < last), VALIDATION, TRAIN))


def _share(share: float, images: int, others: int) -> int:
    """Return a share in images, rounded; at least one, if that leaves one for each of the other parts."""
    return max(0, min(max(1, int(share * images + 0.5)), images - others))


def _hashes(sha256: NDArray[np.bytes_], seed: int) -> NDArray[np.uint64]:
    return np.array([int(hashlib.sha256(b"%d:%s" % (seed, one)).hexdigest()[:DIGITS], 16) for one in sha256.tolist()], np.uint64)


LISTED = 12  # classes listed in a message


def require_images(splits: Splits, counts: dict[str, dict[str, int]], split: Split) -> None:
    """Raise DataError for fewer than two classes, for a class of too few images, and for one without images in a split.

    counts: split → class → images used."""
    classes = list(counts["train"])
    if not classes:
        raise DataError("no image has a class: the table has no rows, or no folder holds images")
    if len(classes) < 2:
        raise DataError(f"there is only one class, {', '.join(map(shown, classes))}; a network needs two or more to tell apart")
    official = {sample.part for sample in splits.samples} - {ALL}
    _require_enough(splits, classes, official, split)
    for part in SPLITS:
        for name in classes:
            if not counts[part][name]:
                in_all = sum(of_part[name] for of_part in counts.values())
                remedy = _remedy(splits, name, part, official)
                raise DataError(f"class {shown(name)} has no images in the {part} split ({in_all} in all). {remedy}")


def _require_enough(splits: Splits, classes: list[str], official: set[str], split: Split) -> None:
    wanted = needed(official, split)
    found = _different(splits, wanted)
    few = [f"{shown(name)} has {found[name]} ({_first(splits, name)})" for name in classes if found[name] < wanted]
    if few:
        more = f" and {counted(len(few) - LISTED, 'more class', 'more classes')}" if len(few) > LISTED else ""
        raise DataError(
            f"{len(few)} of {len(classes)} classes {'has' if len(few) == 1 else 'have'} too few images: {', '.join(few[:LISTED])}{more}. "
            f"Each needs {wanted} distinct ones, "
            f"one for each of {_wanted_for(official, split)}: add some, or leave the class out with dataset.take"
        )


def _different(splits: Splits, most: int) -> dict[str, int]:
    """Return class → number of distinct images to draw from, counted up to `most`."""
    found: dict[str, set[bytes]] = {sample.label: set() for sample in splits.samples}
    for sample, record in zip(splits.samples, splits.records, strict=True):
        if record["used"] and sample.part in (ALL, "train") and len(found[sample.label]) < most:
            found[sample.label].add(record["sha256"])
    return {name: len(several) for name, several in found.items()}


def _first(splits: Splits, name: str) -> str:
    """Return the path of a class's first image."""
    paths = [sample.path for sample in splits.samples if sample.label == name]
    return f"{shown(paths[0])}{', …' * (len(paths) > 1)}" if paths else "no images"


def _wanted_for(official: set[str], split: Split) -> str:
    judged = f"the dataset.split.folds={split.folds}" if split.folds else "train and validation" if official else "train, validation"
    return judged if official else f"{judged} and test"


def _remedy(splits: Splits, name: str, part: str, official: set[str]) -> str:
    near = sum(splits.samples[i].label == name and splits.drawn_name(i) == part for i in splits.left_out)
    if near:
        are = counted(near, "that it had there is left out, as it has", "that it had there are left out, as each has")
        return (
            f"The {are} a near-duplicate in a later split, see twins.csv: add images that differ more, "
            "or keep near-duplicates with dataset.twins.across=keep"
        )
    if part not in official:  # dataset.splits has both, or was refused before
        return f"The split column names no {part} images: name some, or remove the column so that the splits are drawn"
    return (
        f"The data itself names its {part} images, perhaps the last ones of a list sorted by class: "
        "shuffle them over its splits, or let the splits be drawn (dataset.splits: null, no split column)"
    )
