"""Twins: pictures that are the same, or the same but for re-encoding, resizing or a shift, within a split and across splits.

Two pictures are twins where their gray miniatures correlate and their mean colours agree; a flat one has no twins. Each image
looks for its nearest in every split: among the nearest by the means of 4x4 blocks (a projection, in which no pair is farther
apart than its miniatures are), in a k-d tree."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pipeline.dataset.manifest import SPLITS
from pipeline.dataset.prepared import SIGNATURE

BLOCK = 4  # pixels, height = width, of a miniature's blocks
CANDIDATES = 5  # nearest by block means that are looked at
ROWS = 512  # images at a time: what memory holds
FLAT = 4  # of 255: a miniature of a smaller standard deviation has nothing to be known by
TINT = 5  # of 255: how far apart the mean colours of twins may be; encoding moves them by 1 or 2
NONE = -1

# Two twins by their places in the list of images, the first one first, and the correlation of their miniatures.
PAIR = np.dtype([("one", np.int32), ("other", np.int32), ("correlation", np.float32)])


@dataclass(frozen=True)
class Twins:
    nearest: NDArray[np.int64]  # (images, splits): the most alike image of each split, in SPLITS' order, or NONE
    correlation: NDArray[np.float32]  # (images, splits): with that one
    splits: NDArray[np.int64]  # (images,): where each one was drawn into, or NONE

    def left_out_for(self) -> NDArray[np.int64]:
        """Return for each image the twin in a later split for which it is left out, or NONE.

        train gives way to validation, validation to test. So no image ever changes its split for another's sake, the
        result does not depend on which of two came first, and no network is judged by a picture that it has seen."""
        found = np.full(len(self.splits), NONE)
        for split, column in enumerate(self.nearest.T):
            gives_way = (column != NONE) & (self.splits < split)
            found[gives_way] = column[gives_way]
        return found

    def pairs(self) -> NDArray[np.void]:
        """Return each pair once, (pairs,) of PAIR, the most alike first."""
        image, split = np.nonzero(self.nearest != NONE)
        twin = self.nearest[image, split]
        both, first = np.unique(np.minimum(image, twin) * len(self.splits) + np.maximum(image, twin), return_index=True)
        pairs = np.empty(len(both), PAIR)
        pairs["one"], pairs["other"] = np.divmod(both, len(self.splits))
        pairs["correlation"] = self.correlation[image[first], split[first]]
        return pairs[np.argsort(-pairs["correlation"], kind="stable")]


def find_twins(records: NDArray[np.void], splits: NDArray[np.int64], correlation: float) -> Twins:
    """Find each image's nearest twin in every split.

    records: (images,) of RECORD. splits: (images,), indices into SPLITS, NONE for an image that has no part in it.
    correlation: from which on two miniatures are those of twins."""
    distance = math.sqrt(2 * (1 - correlation))  # root mean square, of miniatures of mean 0 and variance 1
    known = np.flatnonzero(_have_contrast(records) & (splits != NONE))
    found = [_nearest(records, known, known[splits[known] == split], distance) for split in range(len(SPLITS))]
    nearest, apart = (np.stack(columns, axis=1) for columns in zip(*found, strict=True))
    return Twins(nearest, (1 - apart**2 / 2).astype(np.float32), splits)


def _have_contrast(records: NDArray[np.void]) -> NDArray[np.bool_]:
    parts = (records["signature"][start : start + ROWS] for start in range(0, len(records), ROWS))
    return np.concatenate([np.zeros(0, bool), *(part.std(axis=(1, 2)) >= FLAT for part in parts)])


def _nearest(
    records: NDArray[np.void], known: NDArray[np.int64], members: NDArray[np.int64], distance: float
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return for every known image the nearest other one of these members within the distance, or NONE, and how far it is."""
    found, apart = np.full(len(records), NONE), np.full(len(records), np.inf, np.float32)
    if not len(members):
        return found, apart
    tree = _tree(records, members)
    for start in range(0, len(known), ROWS):
        images = known[start : start + ROWS]
        _, near = tree.query(_blocks(records["signature"][images]), CANDIDATES, distance_upper_bound=distance * (1 + 1e-6), workers=-1)
        found[images], apart[images] = _closest(records, images, np.append(members, NONE)[near])
    found[apart > distance] = NONE
    return found, apart


def _tree(records: NDArray[np.void], members: NDArray[np.int64]) -> cKDTree:
    blocks = np.empty((len(members), (SIGNATURE // BLOCK) ** 2))
    for start in range(0, len(members), ROWS):
        blocks[start : start + ROWS] = _blocks(records["signature"][members[start : start + ROWS]])
    return cKDTree(blocks)


def _closest(
    records: NDArray[np.void], images: NDArray[np.int64], candidates: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return for each image the nearest of its candidates (images, CANDIDATES), and how far it is."""
    apart = np.full(candidates.shape, np.inf, np.float32)
    rows, columns = np.nonzero((candidates != NONE) & (candidates != images[:, None]))
    one, other = images[rows], candidates[rows, columns]
    distance = np.sqrt(((_normal(records["signature"][one]) - _normal(records["signature"][other])) ** 2).mean(axis=(1, 2)))
    agree = np.abs(records["tint"][one].astype(int) - records["tint"][other]).max(axis=1, initial=0) <= TINT
    apart[rows[agree], columns[agree]] = distance[agree]
    best = (np.arange(len(images)), apart.argmin(axis=1))
    return candidates[best], apart[best]


def _normal(signatures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Bring miniatures (n, 16, 16) to mean 0 and variance 1, so that brightness and contrast do not matter."""
    values = signatures.astype(np.float32)
    values -= values.mean(axis=(1, 2), keepdims=True)
    return values / np.maximum(values.std(axis=(1, 2), keepdims=True), FLAT)


def _blocks(signatures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return (n, 16) block means, scaled so that distances are no larger than the root mean squares of the miniatures."""
    side = SIGNATURE // BLOCK
    means = _normal(signatures).reshape(-1, side, BLOCK, side, BLOCK).mean(axis=(2, 4))
    return means.reshape(len(signatures), -1) / side
