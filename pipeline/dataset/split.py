"""Which split an image belongs to: by its rank among its class's images, in the order of their hashes under the split's seed.

A class's order is cut into the blocks test | train | validation, each as long as its share rounds to, and an image long at least.
With split.folds it is test | fold 0 | fold 1 | …, of which one fold is the validation split and the others are train.

Of one image more, each cut moves one other image at most. For n images grow to n + 1, and then a cut's rank grows by 0 or 1: test
by its rounded share of n; validation's cuts by theirs of what is not test, which grows just where test does not. An image before
the cut leaves its side only where the newcomer comes before the cut too and the rank stays: the last one before it. One behind the
cut leaves only where the newcomer comes behind it too and the rank grows: the first one. So at most one other image goes into or
out of test, and one out of or into validation; docs/decisions/0014 proves that no order can promise one for both together."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.config.schema import Split
from pipeline.dataset.items import ALL
from pipeline.dataset.manifest import SPLITS

TRAIN, VALIDATION, TEST = range(len(SPLITS))
DIGITS = 16  # of the hash, hexadecimal: as many as 64 bits hold


def draw(sha256: NDArray[np.bytes_], labels: Sequence[str], parts: Sequence[str], official: set[str], split: Split) -> NDArray[np.int64]:
    """Return (images,) indices into SPLITS. Equal bytes of a class count as one image and stay together.

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
    """Return how many different images of a class it takes for one in every split that is drawn, and in every fold."""
    judged = 0 if "validation" in official else split.folds or 2
    return judged if official else judged + 1


def cut(hashes: NDArray[np.uint64], into_test: bool, split: Split) -> NDArray[np.int64]:
    """Return (images,) indices into SPLITS for one class. into_test: whether its test images are drawn too."""
    different, rank = np.unique(hashes, return_inverse=True)
    judged = split.folds or 2  # parts that what is not test falls into
    test = _share(split.test, len(different), judged) if into_test else 0
    if split.folds:
        each, more = divmod(len(different) - test, split.folds)
        first, last = (test + each * fold + min(fold, more) for fold in (split.fold, split.fold + 1))
    else:
        first, last = len(different) - _share(split.validation, len(different) - test, 1), len(different)
    return np.where(rank < test, TEST, np.where((first <= rank) & (rank < last), VALIDATION, TRAIN))


def _share(share: float, images: int, others: int) -> int:
    """Return how many images a share is, rounded; one at least where that leaves the other parts one each."""
    return max(0, min(max(1, int(share * images + 0.5)), images - others))


def _hashes(sha256: NDArray[np.bytes_], seed: int) -> NDArray[np.uint64]:
    return np.array([int(hashlib.sha256(b"%d:%s" % (seed, one)).hexdigest()[:DIGITS], 16) for one in sha256.tolist()], np.uint64)
