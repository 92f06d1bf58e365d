"""data/prepared → batches of uint8 images and labels, gathered at once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from pipeline.dataset.augmentation import Augment
from pipeline.dataset.normalise import middle

Batch = tuple[Tensor, Tensor]  # uint8 (B, H, W, C), int64 (B,)
Key = tuple[int, int]  # (epoch, sample)


class PackedImages(Dataset[Batch]):
    """One split of data/prepared, read by memory map. side: without an augment, the middle square of the images."""

    def __init__(self, prepared: Path, split: str, augment: Augment | None = None, side: int | None = None) -> None:
        self.images = np.load(prepared / f"{split}.npy", mmap_mode="r")  # (N, H, W, C)
        self.labels = np.load(prepared / f"{split}_labels.npy")  # (N,)
        self.augment = augment
        self.side = side

    def __len__(self) -> int:
        return len(self.labels)

    def __getitems__(self, keys: list[Key]) -> Batch:
        """Gather a whole batch: the loader's hook for batched reading."""
        samples = [sample for _, sample in keys]
        images = self.images[samples]  # (B, H, W, C), a copy
        if self.augment:
            images = np.stack([self.augment(image, epoch, sample) for image, (epoch, sample) in zip(images, keys, strict=True)])
        else:
            images = np.ascontiguousarray(middle(images, self.side))
        return torch.from_numpy(images), torch.from_numpy(self.labels[samples])


class EpochOrder(Sampler[Key]):
    """Yields (epoch, sample) in an order that is a function of (seed, epoch) alone; Lightning calls set_epoch.

    chances: of each sample to be drawn, sum 1; some come several times then and some not at all."""

    def __init__(self, samples: int, seed: int | None, chances: NDArray[np.float64] | None = None) -> None:
        self.samples = samples
        self.seed = seed  # None: as stored
        self.chances = chances
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.samples

    def __iter__(self) -> Iterator[Key]:
        order = np.arange(self.samples)
        if self.seed is not None:
            chance = np.random.default_rng([self.seed, self.epoch])
            order = chance.permutation(self.samples) if self.chances is None else chance.choice(order, self.samples, p=self.chances)
        yield from ((self.epoch, int(sample)) for sample in order)


def loader(
    images: PackedImages, batch_size: int, seed: int | None = None, workers: int = 0, is_balanced: bool = False
) -> DataLoader[Batch]:
    """Return batches of a split; seed: shuffle anew in every epoch, or None to keep the stored order.

    is_balanced: draw each class as often as any other, the images of small ones several times in an epoch."""
    cv2.setNumThreads(0)  # OpenCV's threads and torch's fight for the cores
    return DataLoader(
        images,
        batch_size=batch_size,
        sampler=EpochOrder(len(images), seed, even_chances(images.labels) if is_balanced else None),
        collate_fn=_as_gathered,
        num_workers=workers,
        worker_init_fn=_one_thread,
        persistent_workers=workers > 0,
        drop_last=seed is not None
        and len(images) > batch_size
        and len(images) % batch_size == 1,  # batch norm of one image has no variance
    )


def even_chances(labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the chance of each image to be drawn, such that every class has the same."""
    of_class = np.bincount(labels).astype(np.float64)
    chances = 1 / of_class[labels]
    return chances / chances.sum()


def _as_gathered(batch: Any) -> Batch:
    return batch


def _one_thread(_worker: int) -> None:
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
