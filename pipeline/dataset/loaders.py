"""data/prepared → batches of uint8 images and labels, gathered at once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from pipeline.dataset.augmentation import Augment

Batch = tuple[Tensor, Tensor]  # uint8 (B, H, W, C), int64 (B,)
Key = tuple[int, int]  # (epoch, sample)


class PackedImages(Dataset[Batch]):
    """One split of data/prepared, read by memory map."""

    def __init__(self, prepared: Path, split: str, augment: Augment | None = None) -> None:
        self.images = np.load(prepared / f"{split}.npy", mmap_mode="r")  # (N, H, W, C)
        self.labels = np.load(prepared / f"{split}_labels.npy")  # (N,)
        self.augment = augment

    def __len__(self) -> int:
        return len(self.labels)

    def __getitems__(self, keys: list[Key]) -> Batch:
        """Gather a whole batch: the loader's hook for batched reading."""
        samples = [sample for _, sample in keys]
        images = self.images[samples]  # (B, H, W, C), a copy
        if self.augment:
            for i, (epoch, sample) in enumerate(keys):
                images[i] = self.augment(images[i], epoch, sample)
        return torch.from_numpy(images), torch.from_numpy(self.labels[samples])


class EpochOrder(Sampler[Key]):
    """Yields (epoch, sample) in an order that is a function of (seed, epoch) alone; Lightning calls set_epoch."""

    def __init__(self, samples: int, seed: int | None) -> None:
        self.samples = samples
        self.seed = seed  # None: as stored
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.samples

    def __iter__(self) -> Iterator[Key]:
        order = np.arange(self.samples)
        if self.seed is not None:
            order = np.random.default_rng([self.seed, self.epoch]).permutation(self.samples)
        yield from ((self.epoch, int(sample)) for sample in order)


def loader(images: PackedImages, batch_size: int, seed: int | None = None, workers: int = 0) -> DataLoader[Batch]:
    """Return batches of a split; seed: shuffle anew in every epoch, or None to keep the stored order."""
    cv2.setNumThreads(0)  # OpenCV's threads and torch's fight for the cores
    return DataLoader(
        images,
        batch_size=batch_size,
        sampler=EpochOrder(len(images), seed),
        collate_fn=_as_gathered,
        num_workers=workers,
        worker_init_fn=_one_thread,
        persistent_workers=workers > 0,
        drop_last=seed is not None
        and len(images) > batch_size
        and len(images) % batch_size == 1,  # batch norm of one image has no variance
    )


def _as_gathered(batch: Any) -> Batch:
    return batch


def _one_thread(_worker: int) -> None:
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
