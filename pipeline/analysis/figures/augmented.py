"""What augmentation makes of images: each as it is stored, and as the first epochs see it."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.analysis.figures.style import label, page, save


def augmented(path: Path, title: str, images: NDArray[np.uint8], names: list[str]) -> None:
    """Draw a row for each image.

    images: (rows, 1 + epochs, H, W, C), the stored one first. names: of the rows."""
    rows, columns = images.shape[:2]
    figure = page(1.15 * columns + 1, 0.7 + 1.25 * rows, title)
    grid = figure.subplots(rows, columns, squeeze=False)
    for row, (several, name) in enumerate(zip(images, names, strict=True)):
        grid[row, 0].set_ylabel(label(name), rotation=0, ha="right", va="center")
        for column, (axes, image) in enumerate(zip(grid[row], several, strict=True)):
            axes.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=255)
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_visible(False)
            if row == 0:
                axes.set_title("stored" if column == 0 else f"epoch {column}", loc="center", fontweight="normal", fontsize=8)
    save(figure, path)
