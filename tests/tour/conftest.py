from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from tests.samples import CONF
from tour.material import Lesson, Material, prepared_lesson, prepared_photo


@pytest.fixture(scope="session")
def lesson(prepared: Path) -> Lesson:
    """The 21 images of train and validation: 17 to train on, 4 held out; 8x8, three classes."""
    return prepared_lesson(prepared, seed=0)


@pytest.fixture(scope="session")
def digits() -> Lesson:
    """scikit-learn's digits as they come, 8x8."""
    images, labels = load_digits(return_X_y=True)
    pixels = (images.reshape(-1, 8, 8, 1) * 15).astype(np.uint8)  # 0..16
    inputs = torch.from_numpy((images.reshape(-1, 1, 8, 8) - images.mean()) / images.std()).float()
    targets = torch.from_numpy(labels)
    names = [str(digit) for digit in range(10)]
    scale = torch.tensor([images.mean() * 15 / 255]), torch.tensor([images.std() * 15 / 255])
    return Lesson(pixels[:1400], inputs[:1400], targets[:1400], inputs[1400:], targets[1400:], *scale, names, "digits", "")


@pytest.fixture(scope="session")
def material(prepared: Path, lesson: Lesson) -> Material:
    return Material(prepared_photo(prepared), lesson, 0, CONF)
