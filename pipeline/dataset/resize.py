"""data/raw → data/prepared: decode and resize every image, split, pack, count.

Images pass through in chunks, so memory does not grow with their number; files are decoded on all cores."""

import csv
import hashlib
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.config.errors import DataError
from pipeline.config.schema import Config
from pipeline.dataset.contact_sheet import contact_sheet
from pipeline.dataset.decode import Refused, decode
from pipeline.dataset.manifest import SPLITS, Manifest, made_from
from pipeline.dataset.pack import Pack
from pipeline.dataset.readers import NO_CLASS, Item, read
from pipeline.dataset.split import assign, require_images

CHUNK = 256  # images handed to a process at a time


@dataclass(frozen=True)
class Prepared:
    """One source image after decoding and resizing."""

    sha256: str  # of the file's bytes, or of the pixels in a packed file
    width: int  # of the source, in pixels
    height: int
    reason: str  # why it was refused, or ""
    pixels: NDArray[np.uint8] | None  # (size, size, C), or None when refused


def resize(cfg: Config, raw: Path, prepared: Path) -> Manifest:
    """Write the packed splits, images.csv, contact sheet and manifest; return the manifest.

    Raises DataError for an empty class, a class missing from a split, or too many unreadable files."""
    items = read(cfg.dataset.reader, raw, cfg.dataset.classes, cfg.dataset.splits)
    classes = cfg.dataset.classes or sorted({item.label for item in items} - {NO_CLASS})
    size, channels = cfg.resize.size, cfg.dataset.channels
    packs = {split: Pack(prepared, split, size, channels) for split in SPLITS}
    counts = {split: dict.fromkeys(classes, 0) for split in SPLITS}
    official = set(cfg.dataset.splits or {})
    rows, refused = [], 0
    for item, image in zip(items, _prepared(items, size, channels, cfg.resize.method), strict=True):
        split = ""
        if image.pixels is not None:
            split = assign(image.sha256, item.part, official, cfg.dataset.split)
            packs[split].append(image.pixels, classes.index(item.label))
            counts[split][item.label] += 1
        refused += image.pixels is None and item.label != NO_CLASS
        rows.append((item, image, split))
    digest = hashlib.sha256("\0".join(classes).encode())
    for pack in packs.values():
        digest.update(pack.close())
    _write_table(prepared / "images.csv", rows)  # before any refusal, for which it gives the reasons
    _refuse_too_many(refused, len(items), cfg.resize.max_refused, rows)
    require_images(counts)
    contact_sheet(prepared, classes).save(prepared / "contact_sheet.png")
    mean, std = packs["train"].statistics()
    manifest = Manifest(
        dataset=cfg.dataset.name,
        classes=classes,
        image_shape=(size, size, channels),
        method=cfg.resize.method,
        mean=mean,
        std=std,
        counts=counts,
        refused=refused,
        data_digest=digest.hexdigest(),
        made_from=made_from(cfg),
    )
    manifest.write(prepared)
    return manifest


def fit(image: NDArray[np.uint8], size: int, method: str) -> NDArray[np.uint8]:
    """Bring (H, W, C) to (size, size, C) by stretch, letterbox (black bars) or crop (middle square)."""
    height, width, channels = image.shape
    if method == "crop":
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        image = image[top : top + side, left : left + side]
        return _scaled(image, size, size)
    if method == "letterbox":
        scale = size / max(height, width)
        inner = _scaled(image, max(1, round(height * scale)), max(1, round(width * scale)))
        canvas = np.zeros((size, size, channels), np.uint8)
        top, left = (size - inner.shape[0]) // 2, (size - inner.shape[1]) // 2
        canvas[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
        return canvas
    return _scaled(image, size, size)


def _scaled(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    # Area averaging when shrinking: bilinear would skip pixels and alias. Bilinear when growing: area gives blocks.
    shrinks = height * width < image.shape[0] * image.shape[1]
    scaled = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return np.asarray(scaled, np.uint8).reshape(height, width, image.shape[2])


def prepare(item: Item, size: int, channels: int, method: str) -> Prepared:
    """Decode and resize one image; a file that can't be used becomes its reason."""
    if isinstance(item.content, np.ndarray):
        pixels = item.content.reshape(*item.content.shape[:2], -1)
        digest = hashlib.sha256(pixels.tobytes()).hexdigest()
        if pixels.shape[2] < channels:  # gray images for a network of colours, as decode() gives them
            pixels = np.repeat(pixels, channels, axis=2)
    else:
        data = item.content.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        if item.label == NO_CLASS:
            return Prepared(digest, 0, 0, "not in a class folder", None)
        try:
            pixels = decode(data, channels)
        except Refused as reason:
            return Prepared(digest, 0, 0, str(reason), None)
    height, width = pixels.shape[:2]
    return Prepared(digest, width, height, "", fit(pixels, size, method))


def _prepared(items: list[Item], size: int, channels: int, method: str) -> Iterator[Prepared]:
    """Yield every item's result in order: files on all cores, arrays here, where handing them over would cost more."""
    progress = Progress(len(items))
    if items and isinstance(items[0].content, np.ndarray):
        for item in items:
            progress.tell(1)
            yield prepare(item, size, channels, method)
        return
    chunks = iter([items[i : i + CHUNK] for i in range(0, len(items), CHUNK)])
    work = partial(_prepare_chunk, size=size, channels=channels, method=method)
    cores = os.cpu_count() or 1
    with ProcessPoolExecutor(cores, mp_context=get_context("forkserver"), initializer=cv2.setNumThreads, initargs=(0,)) as pool:
        waiting = [pool.submit(work, chunk) for chunk in islice(chunks, 2 * cores)]  # no more in memory at once
        while waiting:
            done = waiting.pop(0).result()
            waiting += [pool.submit(work, chunk) for chunk in islice(chunks, 1)]
            progress.tell(len(done))
            yield from done


def _prepare_chunk(items: list[Item], size: int, channels: int, method: str) -> list[Prepared]:
    return [prepare(item, size, channels, method) for item in items]


class Progress:
    """A line every few seconds: images done, rate, time left."""

    def __init__(self, total: int) -> None:
        self.total, self.done = total, 0
        self.start = self.told = time.monotonic()

    def tell(self, images: int) -> None:
        self.done += images
        if time.monotonic() - self.told > 5:
            self.told = time.monotonic()
            rate = self.done / (self.told - self.start)
            left = (self.total - self.done) / rate
            print(f"resizing: {self.done:,} of {self.total:,} images, {rate:,.0f}/s, {left:.0f} s left", flush=True)


def _refuse_too_many(refused: int, total: int, limit: float, rows: list[tuple[Item, Prepared, str]]) -> None:
    if total and refused / total > limit:
        first = next(f"{item.path}: {image.reason}" for item, image, _ in rows if image.reason and item.label != NO_CLASS)
        raise DataError(
            f"{refused} of {total} files can't be used, more than resize.max_refused={limit} allows; the first is {first}. "
            "Remove them, or raise resize.max_refused"
        )


def _write_table(path: Path, rows: list[tuple[Item, Prepared, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as stream:  # names from old archives may be no UTF-8
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(["path", "sha256", "width", "height", "class", "split", "status", "reason"])
        for item, image, split in rows:
            status = "left out" if item.label == NO_CLASS else "refused" if image.pixels is None else "used"
            table.writerow([item.path, image.sha256, image.width, image.height, item.label, split, status, image.reason])
