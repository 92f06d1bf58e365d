"""What can still be shown of a file that decode() refuses. To look at only; never to train on."""

import io
import warnings

import numpy as np
from PIL import Image, ImageFile

from pipeline.dataset.decode import orientation_of, turned

LARGEST = 50_000_000  # pixels, from the header


def remains(data: bytes, side: int) -> Image.Image | None:
    """Return an upright picture of at most side x side pixels, a truncated one filled up with gray; None where there is nothing to see."""
    strict, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")) as image:
                longer, orientation = max(image.size), orientation_of(image)
                width, height = (max(1, round(length * min(1, side / longer))) for length in image.size)
                _, extent = image.draft("RGB", (side, side)) or (None, None)
                if image.width * image.height > LARGEST:
                    return None
                small = image.convert("RGB").resize((width, height), box=extent, reducing_gap=2.0)
                return Image.fromarray(turned(np.asarray(small), orientation))
    except Exception:  # damaged in whatever way
        return None
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = strict
