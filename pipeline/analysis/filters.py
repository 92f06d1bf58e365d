"""The filters of a network's first layer as images, and how they change in training.

Drawn without matplotlib, in a tenth of its time: the uploader draws a picture after each epoch, beside the training."""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pipeline.config.wording import counted

COLOURS = ((0, 0, 0), (1, 1, 1))  # red, green, blue, evenly spaced from the most negative weight to the largest
READING = "light adds, dark subtracts"  # how to read these colours
LIMIT = 2  # times the largest initial weight: few weights of a first layer exceed it
PIXELS = 512  # of a picture's shorter side, at least; MLflow blurs those below 256


def colour_limit(first: NDArray[np.float32]) -> float:
    """Return the weight shown in full white (negative: full black) in all pictures of a training.

    first: (out, in, kh, kw), the filters before training."""
    return LIMIT * largest(first)


def largest(weight: NDArray[np.float32]) -> float:
    """Return the largest absolute weight in a mosaic, or 1 if all are 0. weight: (out, in, kh, kw)."""
    return float(np.abs(_tiles(weight)).max()) or 1.0


def filter_mosaic(weight: NDArray[np.float32], limit: float) -> NDArray[np.float32]:
    """Return all filters in one near-square picture, (rows, columns) or (rows, columns, 3), in [0, 1].

    weight: (out, in, kh, kw). limit: the weight shown as 1; 0.5 is a weight of 0, so light adds and dark subtracts.
    Filters of three channels are shown in colour, others as the mean over their channels."""
    tiles = np.clip(0.5 + _tiles(weight) / (2 * limit), 0, 1)
    count, height, width, channels = tiles.shape
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    picture = np.ones((rows * (height + 1) + 1, columns * (width + 1) + 1, channels), np.float32)
    for i, tile in enumerate(tiles):
        top, left = (i // columns) * (height + 1) + 1, (i % columns) * (width + 1) + 1
        picture[top : top + height, left : left + width] = tile
    return picture.squeeze(axis=2) if channels == 1 else picture


def in_colours(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Map values in [0, 1], of any shape (…), to red, green and blue in [0, 1], (…, 3), by COLOURS."""
    stops = np.linspace(0, 1, len(COLOURS))
    return np.stack([np.interp(values, stops, channel) for channel in zip(*COLOURS, strict=True)], axis=-1)


def enlarged(picture: NDArray[np.floating], least: int) -> NDArray[np.uint8]:
    """Return a picture in [0, 1] as uint8, enlarged by a whole factor to a shorter side of at least `least` pixels."""
    factor = math.ceil(least / min(picture.shape[:2]))
    return np.rint(255 * picture).astype(np.uint8).repeat(factor, axis=0).repeat(factor, axis=1)


def strip_steps(kept: list[int], wanted: list[int], best: int, last: int) -> list[int]:
    """Return the epochs of a film strip, of those that are kept: the wanted ones, the one with the best weights, and the last."""
    return [epoch for epoch in sorted({*kept, best}) if epoch in wanted or epoch in (best, last)]


def strongest(weight: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return of each filter the channel whose slice is largest by its norm, (out,). weight: (out, in, kh, kw)."""
    found: NDArray[np.int64] = np.linalg.norm(weight.reshape(*weight.shape[:2], -1), axis=2).argmax(axis=1)
    return found


def slices(weight: NDArray[np.float32], channels: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return one slice of each filter, (out, 1, kh, kw). weight: (out, in, kh, kw); channels: (out,)."""
    return weight[np.arange(len(weight)), channels][:, None]


def relative_change(first: NDArray[np.float32], weight: NDArray[np.float32]) -> float:
    """Return ||weight - first|| / ||first||, both (out, in, kh, kw)."""
    return float(np.linalg.norm(weight - first) / (np.linalg.norm(first) or 1))


def _tiles(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (out, kh, kw, 3), or (out, kh, kw, 1) unless there are three channels."""
    return weight.transpose(0, 2, 3, 1) if weight.shape[1] == 3 else weight.mean(axis=1)[..., None]


INK = "#22303c"
LETTERS, SMALL = 24, 18  # pixels, of the title and of the scale's labels; pages show the picture at half its size
MARGIN, TOP, BOTTOM = 12, 52, 72  # pixels around the filters
BAR, THICK = 200, 20  # pixels, of the scale


def first_layer(weight: NDArray[np.float32], limit: float, when: str) -> Image.Image:
    """Draw the filters (out, in, kh, kw) with a caption and the scale. limit: as for `filter_mosaic`."""
    mosaic = filter_mosaic(weight, limit)
    tiles = Image.fromarray(enlarged(in_colours(mosaic) if mosaic.ndim == 2 else mosaic, PIXELS))
    sheet = Image.new("RGB", (tiles.width + 2 * MARGIN, TOP + tiles.height + BOTTOM), "white")
    sheet.paste(tiles, (MARGIN, TOP))
    pen = ImageDraw.Draw(sheet)
    count, _, tall, wide = weight.shape
    title = f"{when}: {counted(count, 'filter')} of {tall}x{wide}"  # Pillow's default font has no multiplication sign
    pen.text((MARGIN, TOP / 2), title, INK, ImageFont.load_default(LETTERS), anchor="lm")
    _draw_scale(sheet, pen, TOP + tiles.height + MARGIN, limit, "weight" if mosaic.ndim == 2 else "weight of each colour")
    return sheet


def step_label(step: int) -> str:
    """Return "after epoch 3", or "before training" for step 0."""
    return f"after epoch {step}" if step else "before training"


def _draw_scale(sheet: Image.Image, pen: ImageDraw.ImageDraw, top: int, limit: float, what: str) -> None:
    ramp = np.tile(in_colours(np.linspace(0, 1, BAR)), (THICK, 1, 1))  # (THICK, BAR, 3)
    sheet.paste(Image.fromarray(np.rint(255 * ramp).astype(np.uint8)), (MARGIN, top))
    pen.rectangle((MARGIN, top, MARGIN + BAR - 1, top + THICK - 1), outline=INK)
    font, below = ImageFont.load_default(SMALL), top + THICK + 4
    for place, anchor, number in ((0, "la", f"-{limit:.2g}"), (BAR / 2, "ma", "0"), (BAR, "ra", f"+{limit:.2g}")):
        pen.text((MARGIN + place, below), number, INK, font, anchor)
    beside = 2 * MARGIN + BAR
    pen.text((beside, top + THICK / 2), what, INK, font, "lm")
    pen.text((beside, below), READING, INK, font, "la")
