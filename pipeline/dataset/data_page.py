"""The data report, reports/data.html: what a data set holds, what was refused and why, and near-duplicates, in one HTML file."""

import base64
import io
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment
from numpy.typing import NDArray
from PIL import Image, ImageFile

from pipeline.config.schema import Config, Decode
from pipeline.config.splits import ALL, SPLITS
from pipeline.config.wording import counted
from pipeline.dataset.decode import decode, orientation_of, turned
from pipeline.dataset.files import Refused
from pipeline.dataset.geometry import fitted
from pipeline.dataset.manifest import Manifest, doubt
from pipeline.dataset.names import first_of
from pipeline.dataset.records import Sample
from pipeline.dataset.splits import Splits

IMBALANCE = 10  # largest class over smallest, from which on there is a note
SAMPLES = 4  # images per class and split: three splits fit into 1,250 pixels
MOST_CLASSES, MOST_REFUSED, MOST_PAIRS = 60, 200, 60  # shown; no browser opens a page of thousands
SIDE = 96  # pixels, the longer side of a thumbnail
GAP = 4  # white pixels between the images of a strip
LARGEST = 50_000_000  # pixels of a refused file that is still shown, from its header
REMAINING = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")  # formats of which parts can be shown


@dataclass(frozen=True)
class Shown:
    """A picture with its caption."""

    picture: str | None  # data URI
    lines: list[str]


def write_data_report(page: Path, cfg: Config, manifest: Manifest, splits: Splits, prepared: Path) -> None:
    """Write the page of freshly prepared data."""
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(Path(__file__).with_suffix(".html").read_text())
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(template.render(_content(cfg, manifest, splits, prepared)), encoding="utf-8", errors="backslashreplace")


def _content(cfg: Config, manifest: Manifest, splits: Splits, prepared: Path) -> dict[str, Any]:
    kinds = {
        "Two labels for one picture": splits.conflicts,
        "Near-duplicates across splits": splits.across,
        "Near-duplicates within a split": splits.within,
    }
    return {
        "manifest": manifest,
        "counted": counted,
        "splits": SPLITS,
        "shares": list(_shares(cfg, manifest, {sample.part for sample in splits.samples} - {ALL})),
        "notes": list(notes(cfg, manifest, splits)),
        "samples": _samples(manifest, prepared),
        "more_classes": max(0, len(manifest.classes) - MOST_CLASSES),
        "sizes": _sizes(splits),
        "formats": Counter(name.decode() or "packed" for name in splits.records["format"][splits.records["used"]]).most_common(),
        "refused": [_refused(splits, i) for i in splits.refused[:MOST_REFUSED]],
        "pairs": {
            kind: (len(found), [_both(splits, pair, cfg) for pair in found[:MOST_PAIRS]]) for kind, found in kinds.items() if len(found)
        },
    }


def notes(cfg: Config, manifest: Manifest, splits: Splits) -> Iterator[str]:
    """Yield what to know before training on these images."""
    sizes = {name: sum(manifest.counts[split][name] for split in SPLITS) for name in manifest.classes}
    largest, smallest = max(sizes, key=sizes.__getitem__), min(sizes, key=sizes.__getitem__)
    if sizes[largest] >= IMBALANCE * sizes[smallest]:
        yield (
            f"class {largest} has {counted(sizes[largest], 'image')}, class {smallest} only {sizes[smallest]:,}: a network "
            f"that always predicts {largest} looks good. training.balance evens that out"
        )
    if len(splits.conflicts):
        carry = counted(len(splits.conflicts), "pair of near-duplicates carries", "pairs of near-duplicates carry")
        yield f"{carry} two labels; one of each is wrong"
    if len(splits.left_out):
        left = counted(len(splits.left_out), "image was left out, as it has", "images were left out, as each has")
        yield f"{left} a near-duplicate in a later split (dataset.twins.across)"
    if cfg.dataset.twins.across == "keep":
        yield from _leaks(splits)
    if len(splits.refused):
        yield f"{counted(len(splits.refused), 'file')} could not be used"
    if splits.stray:
        yield stray(splits)
    if uncertain := doubt(manifest):
        yield uncertain


def _leaks(splits: Splits) -> Iterator[str]:
    """Yield which split's metrics are inflated by near-duplicates across splits."""
    drawn = np.sort(splits.drawn[np.stack([splits.across["one"], splits.across["other"]], axis=1)], axis=1)
    for (first, second), number in sorted(Counter(map(tuple, drawn.tolist())).items()):
        stand = counted(number, "pair of near-duplicates stands", "pairs of near-duplicates stand")
        trained = SPLITS[first] == "train"
        why = "the network has seen its images in training" if trained else "its images helped to choose the epoch"
        yield f"{stand} in {SPLITS[first]} and {SPLITS[second]}: {SPLITS[second]} is too good, as {why}"


def stray(splits: Splits) -> str:
    """Describe which photos are in no class, and why."""
    found = splits.stray
    are = counted(len(found), "photo is in no class and was", "photos are in no class and were")
    return f"{are} left out ({found[0].why}): {first_of([sample.path for sample in found])}"


def _shares(cfg: Config, manifest: Manifest, official: set[str]) -> Iterator[tuple[str, str, str]]:
    """Yield (split, requested share, actual share) of the splits that were drawn. official: the splits that the data names."""
    drawn = {"test": cfg.dataset.split.test, "validation": _validation(cfg)}
    total = sum(manifest.images(split) for split in SPLITS)
    for split, asked in drawn.items():
        if split in official or (split == "test" and official):
            continue
        whole = total if split == "test" else total - manifest.images("test")
        yield split, f"{asked:.1%} of {'all' if split == 'test' else 'the others'}", f"{manifest.images(split) / whole:.1%}"


def _validation(cfg: Config) -> float:
    return 1 / cfg.dataset.split.folds if cfg.dataset.split.folds else cfg.dataset.split.validation


def _samples(manifest: Manifest, prepared: Path) -> list[tuple[str, dict[str, str | None]]]:
    """Return (class, split → strip of its first images as the network sees them)."""
    images = {split: np.load(prepared / f"{split}.npy", mmap_mode="r") for split in SPLITS}
    labels = {split: np.load(prepared / f"{split}_labels.npy") for split in SPLITS}
    return [
        (name, {split: _uri(strip(images[split][np.flatnonzero(labels[split] == label)[:SAMPLES]])) for split in SPLITS})
        for label, name in enumerate(manifest.classes[:MOST_CLASSES])
    ]


def _sizes(splits: Splits) -> list[tuple[str, int, int]]:
    """Return (which, width, height) of the source images of smallest, median and largest area."""
    used, width, height = (splits.records[key] for key in ("used", "width", "height"))
    order = np.flatnonzero(used)[np.argsort((width.astype(np.int64) * height)[used], kind="stable")]
    chosen = {"smallest": order[0], "median": order[len(order) // 2], "largest": order[-1]}
    return [(which, int(width[i]), int(height[i])) for which, i in chosen.items()]


def _refused(splits: Splits, i: int) -> Shown:
    sample = splits.samples[i]
    return Shown(_uri(thumbnail_of_remains(sample)), [sample.path, splits.reason(i)])


def _both(splits: Splits, pair: np.void, cfg: Config) -> tuple[str, list[Shown]]:
    same = "the same bytes" if splits.is_exact(pair) else f"correlation {pair['correlation']:.4f}"
    return same, [_one(splits, i, cfg) for i in (pair["one"], pair["other"])]


def _one(splits: Splits, i: int, cfg: Config) -> Shown:
    sample = splits.samples[i]
    place = splits.drawn_name(i) + (", left out" if splits.status(i) == "left out" else "")
    return Shown(_uri(thumbnail(sample, cfg.dataset.channels, cfg.decode)), [sample.path, f"{sample.label} · {place}"])


def thumbnail(sample: Sample, channels: int, how: Decode) -> Image.Image | None:
    """Return a sample's image with a longer side of at most SIDE pixels; None if its file is gone."""
    if isinstance(sample.content, np.ndarray):
        pixels = sample.content.reshape(*sample.content.shape[:2], -1)
        return _picture(fitted(pixels, pixels.shape[:2], SIDE))
    try:
        found = decode(sample.content.read_bytes(), channels, how, SIDE)
    except Refused:
        return None
    return _picture(fitted(found.pixels, found.extent, SIDE))


def thumbnail_of_remains(sample: Sample) -> Image.Image | None:
    """Return what is left of a refused file, upright, at most SIDE x SIDE pixels, truncated parts in gray; None if nothing is."""
    if isinstance(sample.content, np.ndarray):
        return None
    strict, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(sample.content.read_bytes()), formats=REMAINING) as image:
                whole = image.size
                _, extent = image.draft("RGB", (SIDE, SIDE)) or (None, None)
                if image.width * image.height > LARGEST:
                    return None
                loaded = image.convert("RGB")  # which turns a TIFF upright, and removes its orientation
                width, height = (max(1, round(length * min(1, SIDE / max(whole)))) for length in (whole if extent else loaded.size))
                small = loaded.resize((width, height), box=extent, reducing_gap=2.0)
                return Image.fromarray(turned(np.asarray(small), orientation_of(image)))
    except Exception:  # unreadable, or damaged in whatever way
        return None
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = strict


def strip(images: NDArray[np.uint8]) -> Image.Image:
    """Return square images (n, S, S, C) side by side, each of about SIDE pixels."""
    shown = [fitted(image, image.shape[:2], SIDE) for image in images]
    framed = [np.pad(image, ((0, 0), (0, GAP), (0, 0)), constant_values=255) for image in shown]
    return _picture(np.concatenate(framed, axis=1)[:, :-GAP])


def _uri(picture: Image.Image | None) -> str | None:
    """Return a picture as a data URI."""
    if picture is None:
        return None
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def _picture(pixels: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(pixels.squeeze(axis=2) if pixels.shape[2] == 1 else pixels)
