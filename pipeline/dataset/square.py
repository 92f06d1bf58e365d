"""One decoded image → a square of the stored size."""

import cv2
import numpy as np
from numpy.typing import NDArray


def fit(image: NDArray[np.uint8], size: int, method: str) -> NDArray[np.uint8]:
    """Bring (H, W, C) to (size, size, C) by stretch, letterbox (black bars) or crop (middle square)."""
    height, width, channels = image.shape
    if method == "crop":
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        image = image[top : top + side, left : left + side]
        return scaled(image, size, size)
    if method == "letterbox":
        scale = size / max(height, width)
        inner = scaled(image, max(1, round(height * scale)), max(1, round(width * scale)))
        canvas = np.zeros((size, size, channels), np.uint8)
        top, left = (size - inner.shape[0]) // 2, (size - inner.shape[1]) // 2
        canvas[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
        return canvas
    return scaled(image, size, size)


def scaled(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Bring (H, W, C) to (height, width, C) without aliasing."""
    # Area averaging when shrinking: bilinear would skip pixels and alias. Bilinear when growing: area gives blocks.
    shrinks = height * width < image.shape[0] * image.shape[1]
    changed = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return np.asarray(changed, np.uint8).reshape(height, width, image.shape[2])
