"""What can still be shown of a file that decode() refuses. To look at only; never to train on."""

import io
import warnings

from PIL import Image, ImageFile

LARGEST = 50_000_000  # pixels, from the header


def remains(data: bytes, side: int) -> Image.Image | None:
    """Return a picture of at most side x side pixels, a truncated one filled up with gray; None where there is nothing to see."""
    strict, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")) as image:
                image.draft("RGB", (side, side))
                if image.width * image.height > LARGEST:
                    return None
                image.thumbnail((side, side))
                return image.convert("RGB")
    except Exception:  # damaged in whatever way
        return None
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = strict
