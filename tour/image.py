"""Page: an image is an array of numbers."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tour.drawing.panels import Box, Panel, panels
from tour.material import Material, Photo, luma
from tour.page import Block, Page, Picture, Table

# Deshpande's picture of "what computers see"; it is the grid of problem 11 of Project Euler.
BLOCK = """
08 02 22 97 38 15 00 40 00 75 04 05 07 78 52 12 50 77 91 08
49 49 99 40 17 81 18 57 60 87 17 40 98 43 69 48 04 56 62 00
81 49 31 73 55 79 14 29 93 71 40 67 53 88 30 03 49 13 36 65
52 70 95 23 04 60 11 42 69 24 68 56 01 32 56 71 37 02 36 91
22 31 16 71 51 67 63 89 41 92 36 54 22 40 40 28 66 33 13 80
24 47 32 60 99 03 45 02 44 75 33 53 78 36 84 20 35 17 12 50
32 98 81 28 64 23 67 10 26 38 40 67 59 54 70 66 18 38 64 70
67 26 20 68 02 62 12 20 95 63 94 39 63 08 40 91 66 49 94 21
24 55 58 05 66 73 99 26 97 17 78 78 96 83 14 88 34 89 63 72
21 36 23 09 75 00 76 44 20 45 35 14 00 61 33 97 34 31 33 95
78 17 53 28 22 75 31 67 15 94 03 80 04 62 16 14 09 53 56 92
16 39 05 42 96 35 31 47 55 58 88 24 00 17 54 24 36 29 85 57
86 56 00 48 35 71 89 07 05 44 44 37 44 60 21 58 51 54 17 58
19 80 81 68 05 94 47 69 28 73 92 13 86 52 17 77 04 89 55 40
04 52 08 83 97 35 99 16 07 97 57 32 16 26 26 79 33 27 98 66
88 36 68 87 57 62 20 72 03 46 33 67 46 55 12 32 63 93 53 69
04 42 16 73 38 25 39 11 24 94 72 18 08 46 29 32 40 62 76 36
20 69 36 41 72 30 23 88 34 62 99 69 82 67 59 85 74 04 36 16
20 73 35 29 78 31 90 01 74 31 49 71 48 86 81 16 23 57 05 54
01 70 54 71 83 51 54 69 16 92 33 48 61 43 52 01 89 19 67 48
"""
WINDOW = 12  # pixels, height = width, of the part whose numbers are shown
PURE = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "white": (255, 255, 255), "black": (0, 0, 0)}


def block() -> NDArray[np.uint8]:
    """Return the tutorial's (20, 20) numbers."""
    return np.array(BLOCK.split(), np.uint8).reshape(20, 20)


def inverted(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return 255 - x: white becomes black."""
    return 255 - image


def body(material: Material) -> list[Block]:
    photo, numbers = material.photo, block()
    height, width, channels = photo.image.shape
    return [
        f"{photo.about} To a program it is an array: {height} rows, {width} columns, {channels} "
        f"{'channels (red, green, blue)' if channels == 3 else 'channel (gray)'}, so {photo.image.size:,} whole numbers from 0 to 255. "
        "One byte holds each: the type is `uint8`. A network sees nothing else.",
        Picture("numbers", f"A square of {WINDOW}x{WINDOW} pixels and the numbers in it", lambda path: _draw_window(path, photo)),
        Table(
            ("image", "shape", "numbers"),
            [
                (what, "x".join(map(str, shape)), f"{np.prod(shape):,}")
                for what, shape in (("this one", photo.image.shape), ("CIFAR-10's", (32, 32, 3)), ("a colour JPEG", (480, 480, 3)))
            ],
        ),
        f"Deshpande's picture of what a computer sees is a block of {numbers.shape[0]}x{numbers.shape[1]} numbers from {numbers.min()} "
        f"to {numbers.max()}, whose sum is {numbers.sum():,}. It is not a part of the photo beside it: it is the grid of problem 11 of "
        "Project Euler. Drawn as gray values it is noise.",
        Picture("block", "The tutorial's block, as numbers and as gray values", lambda path: _draw_block(path, numbers)),
        "## Gray, and which end is white",
        "A gray image has one channel. Out of a colour image it is made by *luma* (ITU-R 601): 0.299 R + 0.587 G + 0.114 B, because the "
        "eye takes green for brighter than blue.",
        Table(("colour", "R, G, B", "luma"), [(name, rgb, f"{luma(np.array(rgb, np.uint8)):.2f}") for name, rgb in PURE.items()]),
        "**0 is black and 255 is white.** Karn says so; Gupta has it the other way round, 1 for white and 256 for the darkest, and 256 "
        "does not even fit into a byte. Some data sets do store ink as high numbers (MNIST, the digits of scikit-learn): there the "
        "paper is 0. The inverse image, 255 - x, changes one into the other.",
        Picture("channels", "Channels, luma and the inverse; each is one number a pixel", lambda path: _draw_channels(path, photo)),
    ]


def _draw_window(path: Path, photo: Photo) -> None:
    top, left = _busiest(photo.gray)
    side = min(WINDOW, *photo.gray.shape)
    part = np.rint(photo.gray[top : top + side, left : left + side])
    panels(
        path,
        "An image is an array of numbers",
        [
            Panel(photo.image.squeeze(), "the image", boxes=[Box(top, left, side, side)]),
            Panel(part, f"gray values, rows {top} to {top + side - 1}, columns {left} to {left + side - 1}", numbers=".0f"),
        ],
        columns=2,
        size=4.2,
        digits=7.5,
    )


def _busiest(gray: NDArray[np.float64]) -> tuple[int, int]:
    """Return top and left of the window whose values differ most."""
    side = min(WINDOW, *gray.shape)
    windows = np.lib.stride_tricks.sliding_window_view(gray, (side, side)).std(axis=(2, 3))
    top, left = np.unravel_index(windows.argmax(), windows.shape)
    return int(top), int(left)


def _draw_block(path: Path, numbers: NDArray[np.uint8]) -> None:
    shown = [
        Panel(numbers, "as numbers", colours="none", numbers="02d"),
        Panel(numbers, "as gray values", "black: 0, white: 99", limits=(0, 99)),
    ]
    panels(path, "What computers see, after Deshpande", shown, columns=2, size=3.8, digits=6.5)


def _draw_channels(path: Path, photo: Photo) -> None:
    gray = np.rint(photo.gray).astype(np.uint8)
    shown = [Panel(photo.image.squeeze(), "the image")]
    if photo.image.shape[2] == 3:
        shown += [Panel(photo.image[..., channel], name) for channel, name in enumerate(("red", "green", "blue"))]
        shown += [Panel(gray, "luma")]
    panels(path, "One number a pixel", [*shown, Panel(inverted(gray), "inverse, 255 - x")], columns=min(3, len(shown) + 1), size=2.3)


PAGE = Page("image", "An image is numbers", "shape, type, gray, and which end is white", body)
