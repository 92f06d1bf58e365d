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
                whole = image.size
                _, extent = image.draft("RGB", (side, side)) or (None, None)
                if image.width * image.height > LARGEST:
                    return None
                loaded = image.convert("RGB")  # which turns a TIFF by itself, and takes its orientation away
                width, height = (max(1, round(length * min(1, side / max(whole)))) for length in (whole if extent else loaded.size))
                small = loaded.resize((width, height), box=extent, reducing_gap=2.0)
                return Image.fromarray(turned(np.asarray(small), orientation_of(image)))
    except Exception:  # damaged in whatever way
        return None
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = strict
