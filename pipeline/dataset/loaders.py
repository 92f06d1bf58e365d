"""data/prepared → batches of uint8 images and labels, gathered at once."""

import os
import signal
import threading
import time
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

from pipeline.config.counted import counted
from pipeline.config.errors import DataError
from pipeline.dataset.augmentation import Augment
from pipeline.dataset.normalise import middle

Batch = tuple[Tensor, Tensor]  # uint8 (B, H, W, C), int64 (B,)
Key = tuple[int, NDArray[np.int64]]  # epoch, samples (B,)


class PackedImages(Dataset[Batch]):
    """One split of data/prepared, by memory map: what fits into memory is read once, by all loader processes together.

    side: without an augment, the middle square of the images."""

    def __init__(self, prepared: Path, split: str, augment: Augment | None = None, side: int | None = None) -> None:
        self.images = np.asarray(np.load(prepared / f"{split}.npy", mmap_mode="r"))  # (N, H, W, C)
        self.labels = np.load(prepared / f"{split}_labels.npy")  # (N,)
        self.augment = augment
        self.side = side
        self._read_from = prepared, split, augment, side

    def __reduce__(self) -> tuple[Any, ...]:
        return PackedImages, self._read_from  # a worker that is no fork maps the file too, instead of getting all images sent

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, key: Key) -> Batch:
        """Gather a whole batch."""
        epoch, samples = key
        images = self.images.take(samples, axis=0)  # (B, H, W, C), a copy
        images = self.augment(images, epoch, samples) if self.augment else np.ascontiguousarray(middle(images, self.side))
        return torch.from_numpy(images), torch.from_numpy(self.labels[samples])

    def spread(self, most: int) -> Tensor:
        """Return up to `most` images as they are, (B, H, W, C), taken evenly from the whole split: neighbours may be of one class."""
        places = np.linspace(0, len(self) - 1, min(most, len(self))).round().astype(np.int64)
        side = self.augment.side if self.augment else self.side
        return torch.from_numpy(np.ascontiguousarray(middle(self.images.take(places, axis=0), side)))


class EpochOrder(Sampler[Key]):
    """Yields (epoch, samples of a batch) in an order that is a function of (seed, epoch) alone; Lightning calls set_epoch.

    The order is cut into batches of batch_size * ranks, of which each rank gets an equal stretch: what all ranks see in a step is
    what one process with such batches sees. All ranks make the same number of steps. In training (a seed) the last batch gives
    each rank equally many images: the ranks - 1 at most that are left over are dropped, others in each epoch; and so is a last
    batch of one image a rank, for which batch norm has no variance. Without a seed every image comes once.

    chances: of each sample to be drawn, sum 1; some come several times then and some not at all.
    Raises DataError where there are fewer images than ranks."""

    def __init__(
        self,
        samples: int,
        batch_size: int,
        seed: int | None,
        chances: NDArray[np.float64] | None = None,
        rank: int = 0,
        ranks: int = 1,
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
        self.ends = [together * (batch + 1) for batch in range(whole)]  # in the order, of what all ranks see in a step
        if seed is None and rest:
            if rest < ranks:
                self.ends.pop()  # too few for a step of all ranks: the one before takes them
            self.ends.append(samples)
        elif rest >= 2 * ranks or (rest >= ranks and not whole):
            self.ends.append(samples - rest % ranks)

    def set_epoch(self, epoch: int) -> None:
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
    """Begins an epoch when its first batch is asked for: Lightning makes the iterator before it calls set_epoch.

    Has no state: the order of an epoch, and checkpoints at ends of epochs, need none."""

    sampler: EpochOrder

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]  # torch promises an iterator of its own kind, which nobody needs
        yield from super().__iter__()


def loader(
    images: PackedImages,
    batch_size: int,
    seed: int | None = None,
    workers: int = 0,
    is_balanced: bool = False,
    rank: int = 0,
    ranks: int = 1,
) -> Loader:
    """Return batches of a split; seed: shuffle anew in every epoch, or None to keep the stored order.

    batch_size: images of this rank in a step. workers: processes that make batches; they change nothing but the speed.
    is_balanced: draw each class as often as any other, the images of small ones several times in an epoch."""
    cv2.setNumThreads(0)  # OpenCV's threads and torch's fight for the cores
    return Loader(
        images,
        batch_size=None,  # the sampler makes whole batches
        sampler=EpochOrder(len(images), batch_size, seed, even_chances(images.labels) if is_balanced else None, rank, ranks),
        collate_fn=_as_gathered,
        num_workers=workers,
        worker_init_fn=partial(_begin_worker, os.getpid()),
        persistent_workers=workers > 0,
        pin_memory=torch.accelerator.is_available(),
    )


def even_chances(labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the chance of each image to be drawn, such that every class has the same."""
    of_class = np.bincount(labels).astype(np.float64)
    chances = 1 / of_class[labels]
    return chances / chances.sum()


def _as_gathered(batch: Any) -> Batch:
    return batch


def _begin_worker(parent: int, _worker: int) -> None:
    """Give a worker one thread, and no life beyond the training: it has inherited that one's locks, which torch's own watch would
    leave held for 5 s after a kill. Ctrl-C reaches it too, and is the training's to answer."""
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
