"""conf/augmentation → albumentations, its chance a pure function of (seed, epoch, sample).

albumentations 2.0.8 draws the same numbers in every worker and every epoch, so nothing is left to its own state."""

import os
import random

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # its import asks the network for news, 10 s where none answers

import albumentations as A
import numpy as np
from numpy.typing import NDArray

from pipeline.config.build import build
from pipeline.config.schema import Augmentation


class Augment:
    """Transforms uint8 images (H, W, C) to others of the same shape; with a side, to random squares of it."""

    def __init__(self, config: Augmentation, seed: int, side: int | None = None) -> None:
        chosen = {name: node for name, node in config.transforms.items() if node is not None}
        transforms = [build(f"augmentation.transforms.{name}", node, A.BasicTransform) for name, node in chosen.items()]
        if side is not None:
            transforms.insert(0, A.RandomCrop(side, side))
        self.compose = A.Compose(transforms) if transforms else None
        self.seed = seed

    def __call__(self, image: NDArray[np.uint8], epoch: int, sample: int) -> NDArray[np.uint8]:
        """Return the image as this epoch sees this sample, however often and by whomever it is asked."""
        if self.compose is None:
            return image
        state = np.random.SeedSequence([self.seed, epoch, sample])
        chance = random.Random(int(state.generate_state(1, np.uint64)[0]))  # noqa: S311
        self.compose.set_random_state(np.random.default_rng(state), chance)
        return self.compose(image=image)["image"]
