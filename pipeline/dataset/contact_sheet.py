"""Prepared images at a glance: the first training images of every class, a row each."""

from pathlib import Path

import numpy as np
from PIL import Image

COLUMNS = 10  # images per class
SMALLEST = 64  # pixels that an image is at least shown at
ROWS = 100  # classes: a picture of a thousand takes a gigabyte, and nobody looks through it


def contact_sheet(prepared: Path, classes: list[str]) -> Image.Image:
    """Draw the first training images of every class, or of the first ROWS, a row each."""
    images = np.load(prepared / "train.npy", mmap_mode="r")  # (N, H, W, C)
    labels = np.load(prepared / "train_labels.npy")
    size, channels, zoom = images.shape[1], images.shape[3], max(1, SMALLEST // images.shape[1])
    rows = min(ROWS, len(classes))
    sheet = np.full((rows, size + 2, COLUMNS, size + 2, channels), 255, np.uint8)
    for row in range(rows):
        for column, index in enumerate(np.flatnonzero(labels == row)[:COLUMNS]):
            sheet[row, 1:-1, column, 1:-1] = images[index]
    flat = sheet.reshape(rows * (size + 2), COLUMNS * (size + 2), channels)
    picture = Image.fromarray(flat[:, :, 0] if channels == 1 else flat)
    return picture.resize((picture.width * zoom, picture.height * zoom), Image.Resampling.NEAREST)
