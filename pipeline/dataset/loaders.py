"""Load batches of uint8 images and labels from data/prepared, each gathered in one operation."""

import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from pipeline.config.errors import DataError
from pipeline.config.parent import end_with
from pipeline.config.wording import counted
from pipeline.dataset.augmentation import Augment
from pipeline.dataset.normalise import middle

Batch = tuple[Tensor, Tensor]  # uint8 (B, H, W, C), int64 (B,)
Key = tuple[int, NDArray[np.int64]]  # epoch, samples (B,)


class PackedImages(Dataset[Batch]):
    """One split of data/prepared, memory-mapped: the page cache is shared by all loader processes.

    side: pixels, height = width, of the centre crop of images that are not augmented; None: whole images.
    count: images, drawn by seed from all classes alike; None: all."""

    def __init__(
        self, prepared: Path, split: str, augment: Augment | None = None, side: int | None = None, count: int | None = None, seed: int = 0
    ) -> None:
        self.images = np.asarray(np.load(prepared / f"{split}.npy", mmap_mode="r"))  # (N, H, W, C)
        self.labels = np.load(prepared / f"{split}_labels.npy")  # (N,)
        self.augment = augment
        self.side = side
        self._read_from = prepared, split, augment, side, count, seed
        if count is not None:
            chosen = balanced_sample(self.labels, count, seed)
            self.images, self.labels = self.images[chosen], self.labels[chosen]

    def __reduce__(self) -> tuple[Any, ...]:
        return PackedImages, self._read_from  # a worker that is not forked maps the file too, instead of receiving all images

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, key: Key) -> Batch:
        """Return the images (B, H, W, C) and labels (B,) of a whole batch."""
        epoch, samples = key
        images = self.images.take(samples, axis=0)  # (B, H, W, C), a copy
        images = self.augment(images, epoch, samples) if self.augment else np.ascontiguousarray(middle(images, self.side))
        return torch.from_numpy(images), torch.from_numpy(self.labels[samples])

    def spread(self, most: int) -> Tensor:
        """Return up to `most` images without augmentation, (B, H, W, C), evenly spaced over the split, which may be sorted by class."""
        places = np.linspace(0, len(self) - 1, min(most, len(self))).round().astype(np.int64)
        side = self.augment.side if self.augment else self.side
        return torch.from_numpy(np.ascontiguousarray(middle(self.images.take(places, axis=0), side)))


class EpochOrder(Sampler[Key]):
    """Yields (epoch, samples of a batch), in an order that is a function of (seed, epoch); call set_epoch before each epoch.

    The order is cut into batches of batch_size * ranks, of which each rank gets an equal part: together the ranks see what one
    process with such batches sees, in equally many steps. In training (with a seed) the last batch gives all ranks equally many
    images: up to ranks - 1 are dropped, others in each epoch. So is a last batch of one image per rank, for which batch norm has
    no variance. Without a seed every image comes once.

    chances: probability of each sample, sum 1; samples are then drawn with replacement. limit: batches of an epoch; None: all.
    Raises DataError for an empty split and for fewer images than ranks."""

    def __init__(
        self,
        samples: int,
        batch_size: int,
        seed: int | None,
        chances: NDArray[np.float64] | None = None,
        rank: int = 0,
        ranks: int = 1,
        limit: int | None = None,
    ) -> None:
        if samples == 0:
            raise DataError("there is no image to train or validate on: the split is empty, see reports/data.html")
        if samples < ranks:
            raise DataError(
                f"{counted(samples, 'image')} can't be shared out to {ranks} devices: set training.devices and training.nodes lower"
            )
        self.samples = samples
        self.seed = seed  # None: as stored
        self.chances = chances
        self.rank = rank
        self.ranks = ranks
        self.epoch = 0
        together = batch_size * ranks
        whole, rest = divmod(samples, together)
        self.ends = [together * (batch + 1) for batch in range(whole)]  # of the ranks' joint batches, in the order
        if seed is None and rest:
            if rest < ranks:
                self.ends.pop()  # too few for all ranks: the batch before takes them
            self.ends.append(samples)
        elif rest >= 2 * ranks or (rest >= ranks and not whole):
            self.ends.append(samples - rest % ranks)
        self.ends = self.ends[:limit]

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order the next iteration yields."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.ends)

    def __iter__(self) -> Iterator[Key]:
        order = np.arange(self.samples)
        if self.seed is not None:
            chance = np.random.default_rng([self.seed, self.epoch])
            order = chance.permutation(self.samples) if self.chances is None else chance.choice(order, self.samples, p=self.chances)
        for batch in np.split(order, self.ends)[: len(self.ends)]:
            yield self.epoch, np.array_split(batch, self.ranks)[self.rank]


class Loader(DataLoader[Batch]):
    """A DataLoader without state: epochs need none, as checkpoints are written at their ends."""

    sampler: EpochOrder


def loader(
    images: PackedImages,
    batch_size: int,
    seed: int | None = None,
    workers: int = 0,
    is_balanced: bool = False,
    rank: int = 0,
    ranks: int = 1,
    limit: int | None = None,
) -> Loader:
    """Return a loader of a split's batches: images uint8 (B, H, W, C), labels int64 (B,).

    batch_size: of this rank. seed: of the shuffling, anew in every epoch; None: as stored. workers: loader processes, which change
    nothing but the speed. is_balanced: draw all classes equally often, images of small ones several times per epoch.
    limit: batches of an epoch; None: all."""
    chances = even_chances(images.labels) if is_balanced else None
    cv2.setNumThreads(0)  # OpenCV's threads and torch's fight for the cores
    return Loader(
        images,
        batch_size=None,  # the sampler makes whole batches
        sampler=EpochOrder(len(images), batch_size, seed, chances, rank, ranks, limit),
        collate_fn=_as_gathered,
        num_workers=workers,
        worker_init_fn=partial(_begin_worker, os.getpid()),
        persistent_workers=workers > 0,
        pin_memory=torch.accelerator.is_available(),
    )


def even_chances(labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return each image's probability of being drawn, (N,), that gives all classes the same. labels: (N,)."""
    of_class = np.bincount(labels).astype(np.float64)
    chances = 1 / of_class[labels]
    return chances / chances.sum()


def balanced_sample(labels: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """Return the places of `count` images, as many of each class as of any other where there are enough; all, where there are fewer."""
    order = np.random.default_rng(seed).permutation(len(labels))
    turn = np.empty_like(order)  # of each image within its class
    for label in np.unique(labels):
        members = order[labels[order] == label]
        turn[members] = np.arange(len(members))
    return np.sort(order[np.argsort(turn[order], kind="stable")][:count])


def _as_gathered(batch: Any) -> Batch:
    return batch


def _begin_worker(parent: int, _worker: int) -> None:
    """Limit a worker to one thread, and end it with the training: it has inherited locks, which torch's own watchdog would hold for
    5 s after a kill. Ctrl-C reaches workers too, but is handled by the training."""
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with(parent)
