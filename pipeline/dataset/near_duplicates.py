"""Find near-duplicates ("twins") within and across splits: the same image re-encoded, resized or shifted.

Two images are near-duplicates if their gray thumbnails correlate and their mean colours agree; flat images have none. For each image
the nearest of every split is searched in a k-d tree of 4x4 block means, a projection that never increases distances, and then
by the thumbnails themselves."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pipeline.config.splits import SPLITS
from pipeline.dataset.prepare import SIGNATURE

BLOCK = 4  # pixels, height = width, of a thumbnail's blocks
CANDIDATES = 5  # nearest by block means, to be compared by thumbnails
ROWS = 512  # images at a time, to bound memory
FLAT = 4  # of 255: a thumbnail of smaller standard deviation has nothing to compare
TINT = 5  # of 255: largest difference of the mean colours of near-duplicates; encoding changes them by 1 or 2
NONE = -1

# The indices of two near-duplicates, the smaller first, and the correlation of their thumbnails.
PAIR = np.dtype([("one", np.int32), ("other", np.int32), ("correlation", np.float32)])


@dataclass(frozen=True)
class NearDuplicates:
    """Each image's nearest near-duplicate in every split."""

    nearest: NDArray[np.int64]  # (images, splits): index of the most similar image in each split, in SPLITS' order, or NONE
    correlation: NDArray[np.float32]  # (images, splits)
    splits: NDArray[np.int64]  # (images,): index of the split it was drawn into, or NONE

    def left_out_for(self) -> NDArray[np.int64]:
        """Return for each image the near-duplicate in a later split for which it is left out, or NONE.

        Images of train give way to validation, those of validation to test. So no image changes its split because of another, the
        result does not depend on their order, and no network is evaluated on an image that it was trained on."""
        found = np.full(len(self.splits), NONE)
        for split, column in enumerate(self.nearest.T):
            gives_way = (column != NONE) & (self.splits < split)
            found[gives_way] = column[gives_way]
        return found

    def pairs(self) -> NDArray[np.void]:
        """Return each pair once, (pairs,) of PAIR, the most similar first."""
        image, split = np.nonzero(self.nearest != NONE)
        other = self.nearest[image, split]
        both, first = np.unique(np.minimum(image, other) * len(self.splits) + np.maximum(image, other), return_index=True)
        pairs = np.empty(len(both), PAIR)
        pairs["one"], pairs["other"] = np.divmod(both, len(self.splits))
        pairs["correlation"] = self.correlation[image[first], split[first]]
        return pairs[np.argsort(-pairs["correlation"], kind="stable")]


def find_near_duplicates(records: NDArray[np.void], splits: NDArray[np.int64], correlation: float) -> NearDuplicates:
    """Find each image's nearest near-duplicate in every split.

    records: (images,) of RECORD. splits: (images,), indices into SPLITS, or NONE to ignore an image.
    correlation: of thumbnails, from which on two images are near-duplicates."""
    distance = math.sqrt(2 * (1 - correlation))  # root mean square, between thumbnails of mean 0 and variance 1
    known = np.flatnonzero(_have_contrast(records) & (splits != NONE))
    found = [_nearest(records, known, known[splits[known] == split], distance) for split in range(len(SPLITS))]
    nearest, apart = (np.stack(columns, axis=1) for columns in zip(*found, strict=True))
    return NearDuplicates(nearest, (1 - apart**2 / 2).astype(np.float32), splits)


def _have_contrast(records: NDArray[np.void]) -> NDArray[np.bool_]:
    parts = (records["signature"][start : start + ROWS] for start in range(0, len(records), ROWS))
    return np.concatenate([np.zeros(0, bool), *(part.std(axis=(1, 2)) >= FLAT for part in parts)])


def _nearest(
    records: NDArray[np.void], known: NDArray[np.int64], members: NDArray[np.int64], distance: float
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return for each image in `known` the nearest other one in `members` within the distance, or NONE, and its distance."""
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
    """Return the nearest of each image's candidates (images, CANDIDATES), and its distance."""
    apart = np.full(candidates.shape, np.inf, np.float32)
    rows, columns = np.nonzero((candidates != NONE) & (candidates != images[:, None]))
    one, other = images[rows], candidates[rows, columns]
    distance = np.sqrt(((_normal(records["signature"][one]) - _normal(records["signature"][other])) ** 2).mean(axis=(1, 2)))
    agree = np.abs(records["tint"][one].astype(int) - records["tint"][other]).max(axis=1, initial=0) <= TINT
    apart[rows[agree], columns[agree]] = distance[agree]
    best = (np.arange(len(images)), apart.argmin(axis=1))
    return candidates[best], apart[best]


def _normal(signatures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Normalise thumbnails (n, 16, 16) to mean 0 and variance 1, so that brightness and contrast do not matter."""
    values = signatures.astype(np.float32)
    values -= values.mean(axis=(1, 2), keepdims=True)
    return values / np.maximum(values.std(axis=(1, 2), keepdims=True), FLAT)


def _blocks(signatures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return (n, 16) block means, scaled so that their distances never exceed the root mean square between thumbnails."""
    side = SIGNATURE // BLOCK
    means = _normal(signatures).reshape(-1, side, BLOCK, side, BLOCK).mean(axis=(2, 4))
    return means.reshape(len(signatures), -1) / side
