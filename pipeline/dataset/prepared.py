"""One source image, decoded and resized: a record of fixed size (350 bytes), and its pixels."""

import hashlib
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.config.schema import Decode
from pipeline.dataset.decode import Decoded
from pipeline.dataset.items import NO_CLASS, File, Item
from pipeline.dataset.reading import digest, size_of
from pipeline.dataset.refused import Refused
from pipeline.dataset.square import fit, scaled
from pipeline.dataset.stored import stored

FEW_BYTES = 2**20  # of a file that is read once for its digest and its pixels; a chunk's are held together
SIGNATURE = 16  # pixels, height = width, of the gray miniature by which pictures are compared

RECORD = np.dtype(
    [
        ("sha256", "S64"),  # of the file's bytes, or of the pixels in a packed file
        ("width", np.int32),  # of the upright source, in pixels; 0 where it was refused
        ("height", np.int32),
        ("frames", np.int32),  # pictures in the file; the first is used
        ("format", "S8"),  # by the content; empty for pixels from a packed file
        ("used", np.bool_),
        ("signature", np.uint8, (SIGNATURE, SIGNATURE)),
        ("tint", np.uint8, 2),  # the mean colour's Cb and Cr (ITU-R 601); 128 is gray
    ]
)


@dataclass(frozen=True, slots=True)
class Loaded:
    """An item as it was read."""

    sha256: str = ""  # of what its pixels are made of; empty where that can't be read
    data: bytes | None = None  # its file's bytes, where they are few enough to keep for the decoder
    why: str = ""  # it can't be read


def load(item: Item) -> Loaded:
    content = item.content
    if isinstance(content, np.ndarray):
        return Loaded(hashlib.sha256(content.tobytes()).hexdigest())
    try:
        if isinstance(content, File) and size_of(content.path()) > FEW_BYTES:
            return Loaded(digest(content.path()))  # never whole in memory: a table of all images is listed too
        data = content.read_bytes()
    except Refused as reason:
        return Loaded(why=str(reason))
    return Loaded(hashlib.sha256(data).hexdigest(), data if len(data) <= FEW_BYTES else None)


def prepare(
    item: Item, loaded: Loaded, how: Decode, channels: int, size: int, method: str
) -> tuple[NDArray[np.void], NDArray[np.uint8] | str]:
    """Return the record () of one image, and its pixels (size, size, channels) or the reason why it can't be used."""
    record = np.zeros((), RECORD)
    record["sha256"] = loaded.sha256.encode()
    if item.label == NO_CLASS or loaded.why:
        return record, item.why or loaded.why
    try:
        image, found = _stored(item, loaded.data, how, channels, size, method)
    except Refused as reason:
        return record, str(reason)
    # Bars would make strangers alike, so letterboxes are compared without them.
    compared = fit(found.pixels, size, "stretch", found.extent) if method == "letterbox" else image
    record["used"], record["signature"], record["tint"] = True, signature(compared), tint(compared)
    record["height"], record["width"] = found.height, found.width
    record["frames"], record["format"] = found.frames, found.format
    return record, image


def _stored(item: Item, data: bytes | None, how: Decode, channels: int, size: int, method: str) -> tuple[NDArray[np.uint8], Decoded]:
    """Return the item's square and the picture that it was made of, decoded or as it stands in a packed file. Raises Refused."""
    if not isinstance(item.content, np.ndarray):
        return stored(item.content.read_bytes() if data is None else data, channels, how, size, method)
    height, width = item.content.shape[:2]
    pixels = _in_channels(item.content.reshape(height, width, -1), channels)
    return fit(pixels, size, method), Decoded(pixels, width, height, 1, "", 1)


def signature(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the gray miniature of (H, W, C) that re-encoding, resizing or a shift by a pixel hardly change."""
    return scaled(_in_channels(image, 1), SIGNATURE, SIGNATURE, image.shape[:2])[..., 0]


def tint(image: NDArray[np.uint8]) -> list[int]:
    """Return how far the mean colour of (H, W, C) is from gray, towards blue and towards red: the same pattern in two colours differs."""
    if image.shape[2] == 1:
        return [128, 128]
    mean = np.round(cv2.mean(image)[:3]).astype(np.uint8)  # forty times faster than numpy's
    _, red, blue = cv2.cvtColor(mean[None, None], cv2.COLOR_RGB2YCrCb)[0, 0]
    return [int(blue), int(red)]


def _in_channels(pixels: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """Return pixels (H, W, 1 or 3) with as many channels as asked for, as decode() gives them."""
    if pixels.shape[2] == channels:
        return pixels
    if channels == 3:
        return np.repeat(pixels, 3, axis=2)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)[..., None]  # luma of ITU-R 601
