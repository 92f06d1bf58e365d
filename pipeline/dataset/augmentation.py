"""Augment batches by the albumentations transforms in conf/augmentation, their randomness a function of (seed, epoch, sample).

albumentations 2.0.8 draws the same numbers in every worker and epoch, so its own random state is replaced."""

import os
import random
from typing import Any

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # its import looks for updates online, 10 s without a network

import albumentations as A
import numpy as np
from numpy.typing import NDArray

from pipeline.config.build import build
from pipeline.config.errors import ConfigError
from pipeline.config.schema import Augmentation

OF_ALL_EPOCHS = 2**64 - 1  # in place of an epoch, for draws that depend on the sample alone


class Chance(random.Random):
    """Counter-based random numbers of one sample in one epoch; `numpy` is a generator on the same stream.

    Philox (Salmon et al., SC 2011) is a keyed function of a counter: the key is (seed, epoch), each sample has 2^64 blocks of the
    counter, and seeking to a sample only sets a few integers."""

    def __init__(self, seed: int) -> None:
        philox = np.random.Philox()
        self._counter, self._key = [0, 0, 0, 0], [seed, 0]
        state = {"counter": self._counter, "key": self._key}
        self._begun: Any = philox.state | {"state": state, "buffer": [0, 0, 0, 0]}  # lists: arrays cost 0.6 µs more
        self._philox, self._raw = philox, philox.random_raw
        self.numpy = np.random.Generator(philox)
        super().__init__()

    def begin(self, epoch: int, sample: int) -> None:
        """Seek to the first number of (seed, epoch, sample)."""
        self._counter[1] = sample
        self._key[1] = epoch
        self._philox.state = self._begun
        self.gauss_next = None  # Random draws normal values in pairs and keeps the second

    def random(self) -> float:
        """Return the next number in [0, 1), of 53 random bits."""
        return (self._raw() >> 11) * 2**-53

    def getrandbits(self, k: int, /) -> int:
        """Return the next k random bits."""
        bits = 0
        for _ in range(0, k, 64):
            bits = bits << 64 | self._raw()
        return bits >> -k % 64


class Augment:
    """Augments batches of uint8 images. side: pixels of a random crop before the transforms; None: whole images."""

    def __init__(self, config: Augmentation, seed: int, side: int | None = None) -> None:
        chosen = {name: node for name, node in config.transforms.items() if node is not None}
        self.transforms = [build(f"augmentation.transforms.{name}", node, A.BasicTransform) for name, node in chosen.items()]
        if side is not None:
            self.transforms.insert(0, A.RandomCrop(side, side))
        self._made_of = config, seed, side
        self.side = side
        self.alternating_flip = config.alternating_flip
        self.chance = Chance(seed)
        for transform in self.transforms:
            transform.set_random_state(self.chance.numpy, self.chance)

    def __reduce__(self) -> tuple[Any, ...]:
        return Augment, self._made_of  # transforms of a copy would draw from another stream

    def __call__(self, images: NDArray[np.uint8], epoch: int, samples: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return (B, H, W, C) images augmented for this epoch, the same in every call and process. samples: (B,) indices.

        In place, unless a side is given. Raises ConfigError for transforms that change the size."""
        if self.alternating_flip:
            mirrored = [self._is_mirrored(epoch, int(sample)) for sample in samples]
            images[mirrored] = images[mirrored, :, ::-1]
        if not self.transforms:
            return images
        count, *_, channels = images.shape
        found = images if self.side is None else np.empty((count, self.side, self.side, channels), np.uint8)
        for image, place, sample in zip(images, found, samples.tolist(), strict=True):
            self.chance.begin(epoch, sample)
            seen = {"image": image}
            for transform in self.transforms:
                seen = transform(**seen)
            if seen["image"].shape != place.shape:
                raise _resized(place, seen["image"])
            place[...] = seen["image"]
        return found

    def _is_mirrored(self, epoch: int, sample: int) -> bool:
        """Return whether a sample is mirrored in this epoch: every second one, so that two epochs show both sides of each.

        Alternating flip (Jordan, arXiv:2404.00498, section 3)."""
        self.chance.begin(OF_ALL_EPOCHS, sample)
        return bool((self.chance.getrandbits(1) + epoch) % 2)


def _resized(wanted: NDArray[np.uint8], found: NDArray[np.uint8]) -> ConfigError:
    key = "augmentation.transforms"
    return ConfigError(
        f"{key} must keep the size of images, {wanted.shape}, but made {found.shape}. Follow a Pad by a RandomCrop whose "
        f"height and width are training.input or, if that is null, resize.size",
        key,
    )
