"""Resize geometry: bring a decoded image to the stored size by stretch, letterbox or crop."""

import cv2
import numpy as np
from numpy.typing import NDArray

Extent = tuple[float, float]  # height and width in pixels; fractional for a reduced JPEG, whose last row and column cover less


def fit(image: NDArray[np.uint8], size: int, method: str, extent: Extent | None = None) -> NDArray[np.uint8]:
    """Resize (H, W, C) to (size, size, C) by stretch, letterbox (black bars) or crop (central square).

    extent: of the image, if its last row and column are fractions of a pixel."""
    height, width = extent or (float(image.shape[0]), float(image.shape[1]))
    if method == "crop":
        return _cropped(image, size, (height, width))
    if method == "letterbox":
        scale = size / max(height, width)
        inner = scaled(image, max(1, round(height * scale)), max(1, round(width * scale)), (height, width))
        canvas = np.zeros((size, size, image.shape[2]), np.uint8)
        top, left = (size - inner.shape[0]) // 2, (size - inner.shape[1]) // 2
        canvas[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
        return canvas
    return scaled(image, size, size, (height, width))


def _cropped(image: NDArray[np.uint8], size: int, extent: Extent) -> NDArray[np.uint8]:
    """Crop the central square: after shrinking, for sub-pixel accuracy; before enlarging, which would blend in pixels outside it."""
    if min(extent) > size:
        scale = size / min(extent)
        image = scaled(image, max(size, round(extent[0] * scale)), max(size, round(extent[1] * scale)), extent)
    side = min(image.shape[:2])
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    return scaled(image[top : top + side, left : left + side], size, size, (side, side))


def scaled(image: NDArray[np.uint8], height: int, width: int, extent: Extent) -> NDArray[np.uint8]:
    """Resize (H, W, C) to (height, width, C) without aliasing."""
    # Area averaging for a side that shrinks, as bilinear skips pixels and aliases; bilinear for one that grows, as area gives blocks.
    fy, fx = min(1.0, height / extent[0]), min(1.0, width / extent[1])
    changed = cv2.resize(image, None, fx=fx, fy=fy, interpolation=cv2.INTER_AREA) if min(fy, fx) < 1 else image
    if changed.shape[:2] != (height, width):
        changed = cv2.resize(changed, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(changed, np.uint8).reshape(height, width, image.shape[2])


def fitted(pixels: NDArray[np.uint8], extent: Extent, longest: int) -> NDArray[np.uint8]:
    """Resize (H, W, C) to a longer side of `longest` pixels, keeping proportions; enlarge a smaller image by a whole factor."""
    longer = max(extent)
    if longer > longest:
        height, width = (max(1, round(side * longest / longer)) for side in extent)
        return scaled(pixels, height, width, extent)
    factor = longest // max(pixels.shape[:2])
    return pixels.repeat(factor, axis=0).repeat(factor, axis=1)
