"""The first layer's filters at one moment of a training, with what they are and the scale of their weights.

Not by matplotlib: delivery draws one after each epoch while a training goes on, and this takes a tenth of the time."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pipeline.analysis.filters import PIXELS, enlarged, filter_mosaic
from pipeline.config.counted import counted

INK = "#22303c"
LETTERS, SMALL = 24, 18  # pixels, of the title and of what stands beside the scale; a page shows the picture at half its size
MARGIN, TOP, BOTTOM = 12, 52, 72  # pixels around the filters
BAR, THICK = 200, 20  # pixels, of the scale


def first_layer(weight: NDArray[np.float32], limit: float, when: str) -> Image.Image:
    """Draw the filters (out, in, kh, kw). limit: the weight shown in full white or, negative, in full black."""
    mosaic = enlarged(filter_mosaic(weight, limit), PIXELS)
    height, width = mosaic.shape[:2]
    sheet = Image.new("L" if mosaic.ndim == 2 else "RGB", (width + 2 * MARGIN, TOP + height + BOTTOM), "white")
    sheet.paste(Image.fromarray(mosaic), (MARGIN, TOP))
    pen = ImageDraw.Draw(sheet)
    count, _, tall, wide = weight.shape
    title = f"{when}: {counted(count, 'filter')} of {tall}x{wide}"  # the font that Pillow brings along has no multiplication sign
    pen.text((MARGIN, TOP / 2), title, INK, ImageFont.load_default(LETTERS), anchor="lm")
    _draw_scale(sheet, pen, TOP + height + MARGIN, limit)
    return sheet


def moment(step: int) -> str:
    """Return when the weights were such. step: 0 before training, else the epoch."""
    return f"after epoch {step}" if step else "before training"


def _draw_scale(sheet: Image.Image, pen: ImageDraw.ImageDraw, top: int, limit: float) -> None:
    ramp = np.tile(np.linspace(0, 255, BAR).round().astype(np.uint8), (THICK, 1))
    sheet.paste(Image.fromarray(ramp), (MARGIN, top))
    pen.rectangle((MARGIN, top, MARGIN + BAR - 1, top + THICK - 1), outline=INK)
    font, below = ImageFont.load_default(SMALL), top + THICK + 4
    for place, anchor, number in ((0, "la", f"-{limit:.2g}"), (BAR / 2, "ma", "0"), (BAR, "ra", f"+{limit:.2g}")):
        pen.text((MARGIN + place, below), number, INK, font, anchor)
    beside = 2 * MARGIN + BAR
    pen.text((beside, top + THICK / 2), "weight" if sheet.mode == "L" else "weight of each colour", INK, font, "lm")
    pen.text((beside, below), "light adds, dark subtracts", INK, font, "la")
