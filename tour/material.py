"""What the tour is made on: one image to look at, and a few prepared images for its small trainings."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.dataset.geometry import fit
from pipeline.dataset.manifest import Manifest
from pipeline.dataset.normalise import normalised

SIDE = 16  # pixels, height = width, of what the small trainings see: each takes seconds
IMAGES = 1500  # for the small trainings, at most
HELD_OUT = 0.2  # share of them, on which their accuracy is measured


@dataclass(frozen=True)
class Photo:
    image: NDArray[np.uint8]  # (H, W, 1 or 3)
    about: str  # what it is and where it is from

    @property
    def gray(self) -> NDArray[np.float64]:
        """(H, W), 0..255: luma of ITU-R 601, not rounded."""
        return luma(self.image) if self.image.shape[2] == 3 else self.image[..., 0].astype(np.float64)


@dataclass(frozen=True, eq=False)
class Lesson:
    """Images for small trainings. Never of the test split: what is looked at again and again gets to be tuned for."""

    pixels: NDArray[np.uint8]  # (N, H, W, C), as they are stored, of `images`
    images: Tensor  # (N, C, H, W), normalised; trained on
    labels: Tensor  # (N,)
    held_out: Tensor  # (M, C, H, W), likewise; measured on
    held_out_labels: Tensor  # (M,)
    mean: Tensor  # (C,), of pixels of 0..1, by which images are normalised
    std: Tensor  # (C,), likewise
    classes: list[str]
    about: str  # what is trained on, within a sentence
    measured: str  # what accuracy is measured on, a sentence

    @property
    def channels(self) -> int:
        return self.images.shape[1]

    @property
    def side(self) -> int:
        return self.images.shape[2]


@dataclass(frozen=True)
class Material:
    photo: Photo
    lesson: Lesson
    seed: int
    conf: Path  # the folder of the options, for the table of the networks


def luma(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return (..., 3) as (...): 0.299 R + 0.587 G + 0.114 B (ITU-R 601)."""
    return image @ np.array([0.299, 0.587, 0.114])


def prepared_photo(prepared: Path) -> Photo:
    """Return the first training image."""
    manifest = Manifest.read(prepared)
    name = manifest.classes[int(np.load(prepared / "train_labels.npy")[0])]
    image = np.array(np.load(prepared / "train.npy", mmap_mode="r")[0])
    return Photo(image, f"The image is the first training image of {manifest.dataset}, of class {name}.")


def prepared_lesson(prepared: Path, seed: int) -> Lesson:
    """Return some images of the train and validation splits, no larger than SIDE or than their files are."""
    manifest = Manifest.read(prepared)
    chance = np.random.default_rng(seed)
    side = min(SIDE, manifest.size, _file_side(prepared))
    found = [_some(prepared, split, manifest, chance) for split in ("train", "validation")]
    images, labels = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = chance.permutation(len(labels))
    small = np.stack([fit(images[place], side, "stretch") for place in order])
    mean, std = torch.tensor(manifest.mean), torch.tensor(manifest.std)
    inputs = normalised(torch.from_numpy(small), mean, std).contiguous()
    targets = torch.from_numpy(labels[order])
    kept = round(len(order) * (1 - HELD_OUT))
    about = f"{kept:,} images of {manifest.dataset} at {side}x{side} pixels, {len(manifest.classes)} classes"
    measured = (
        f"Accuracy is that on {len(order) - kept:,} others; none of them are test images. On another kind of processor the last digits "
        f"differ."
    )
    held_out = inputs[kept:], targets[kept:]
    return Lesson(small[:kept], inputs[:kept], targets[:kept], *held_out, mean, std, manifest.classes, about, measured)


def _some(prepared: Path, split: str, manifest: Manifest, chance: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return images of a split and their labels, as many as the split's part in the two that are used."""
    images, labels = np.load(prepared / f"{split}.npy", mmap_mode="r"), np.load(prepared / f"{split}_labels.npy")
    both = manifest.images("train") + manifest.images("validation")
    places = np.sort(chance.choice(len(labels), min(len(labels), IMAGES * len(labels) // both), replace=False))
    return images[places], labels[places]


def _file_side(prepared: Path) -> int:
    """Return the shorter side, in pixels, of the first image as it came."""
    with (prepared / "images.csv").open(newline="") as table:
        first = next(row for row in csv.DictReader(table) if row["status"] == "used")
    return min(int(first["width"]), int(first["height"]))
