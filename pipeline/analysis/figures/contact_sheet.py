"""Contact sheet of prepared images: a row of the first training images per class, with its name."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.analysis.figures.style import label, page, save
from pipeline.dataset.geometry import fitted
from pipeline.dataset.manifest import Manifest
from pipeline.dataset.names import shown

COLUMNS = 10  # images of a class
ROWS = 60  # classes: nobody looks at a thousand
SIDE, FRAME = 72, 4  # pixels, of an image at most, and of its white frame
CELL = 0.75  # inches of a framed image, at about one pixel per screen pixel
NAMES = 2.2  # inches for the names; longer ones make the images smaller


def contact_sheet(path: Path, manifest: Manifest, prepared: Path) -> None:
    """Draw the first training images of every class, or of the first ROWS."""
    images = np.load(prepared / "train.npy", mmap_mode="r")  # (N, H, W, C)
    labels = np.load(prepared / "train_labels.npy")
    classes = manifest.classes[:ROWS]
    few = f", the first {ROWS} of {len(manifest.classes):,} classes" if len(manifest.classes) > ROWS else ""
    title = f"{shown(manifest.dataset)}: training images, {manifest.size}×{manifest.size} pixels{few}"
    figure = page(NAMES + CELL * COLUMNS, 0.6 + CELL * len(classes), title)
    axes = figure.subplots()
    sheet = np.concatenate([_row(images[np.flatnonzero(labels == number)[:COLUMNS]]) for number in range(len(classes))])
    axes.imshow(sheet)
    high = len(sheet) / len(classes)
    axes.set_yticks((np.arange(len(classes)) + 0.5) * high - 0.5, [label(name) for name in classes], fontsize=10)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    save(figure, path)


def _row(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return (n, S, S, C) in their frames side by side, COLUMNS wide, in colours."""
    small = np.stack([fitted(image, image.shape[:2], SIDE) for image in images])
    framed = np.pad(small, ((0, COLUMNS - len(small)), (FRAME, FRAME), (FRAME, FRAME), (0, 0)), constant_values=255)
    row = np.concatenate(framed, axis=1)
    return np.broadcast_to(row, (*row.shape[:2], 3))
