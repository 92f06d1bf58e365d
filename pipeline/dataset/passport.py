"""reports/data.html: what a data set holds, what was refused and why, which pictures are twins. One file, nothing beside it."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment

from pipeline.config.counted import counted
from pipeline.config.schema import Config
from pipeline.dataset.choice import doubt
from pipeline.dataset.items import ALL
from pipeline.dataset.manifest import SPLITS, Manifest
from pipeline.dataset.names import first_of
from pipeline.dataset.placement import Placement
from pipeline.dataset.thumbnails import strip, thumbnail, thumbnail_of_remains, uri

IMBALANCE = 10  # largest class over smallest, from which on it is told
SAMPLES = 6  # images of a class and split; three splits stand side by side
MOST_CLASSES, MOST_REFUSED, MOST_PAIRS = 60, 200, 60  # shown; a page of thousands opens in no browser


@dataclass(frozen=True)
class Shown:
    """A picture with what stands below it."""

    picture: str | None  # data URI
    lines: list[str]


def write_passport(page: Path, cfg: Config, manifest: Manifest, placement: Placement, prepared: Path) -> None:
    """Write the page of a data set that has just been prepared."""
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(Path(__file__).with_suffix(".html").read_text())
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(template.render(_content(cfg, manifest, placement, prepared)), encoding="utf-8", errors="backslashreplace")


def _content(cfg: Config, manifest: Manifest, placement: Placement, prepared: Path) -> dict[str, Any]:
    kinds = {
        "Two labels for one picture": placement.conflicts,
        "Twins across splits": placement.across,
        "Twins within a split": placement.within,
    }
    return {
        "manifest": manifest,
        "counted": counted,
        "splits": SPLITS,
        "shares": list(_shares(cfg, manifest, {item.part for item in placement.items} - {ALL})),
        "notes": list(notes(cfg, manifest, placement)),
        "samples": _samples(manifest, prepared),
        "more_classes": max(0, len(manifest.classes) - MOST_CLASSES),
        "sizes": _sizes(placement),
        "formats": Counter(name.decode() or "packed" for name in placement.records["format"][placement.records["used"]]).most_common(),
        "refused": [_refused(placement, i) for i in placement.refused[:MOST_REFUSED]],
        "pairs": {
            kind: (len(found), [_both(placement, pair, cfg) for pair in found[:MOST_PAIRS]]) for kind, found in kinds.items() if len(found)
        },
    }


def notes(cfg: Config, manifest: Manifest, placement: Placement) -> Iterator[str]:
    """Yield what somebody should know before training on these images."""
    sizes = {name: sum(manifest.counts[split][name] for split in SPLITS) for name in manifest.classes}
    largest, smallest = max(sizes, key=sizes.__getitem__), min(sizes, key=sizes.__getitem__)
    if sizes[largest] >= IMBALANCE * sizes[smallest]:
        yield (
            f"class {largest} has {counted(sizes[largest], 'image')}, class {smallest} only {sizes[smallest]:,}: a network "
            f"that always says {largest} looks good. training.balance evens that out"
        )
    if len(placement.conflicts):
        yield f"{counted(len(placement.conflicts), 'pair of twins carries', 'pairs of twins carry')} two labels; one of each is wrong"
    if len(placement.left_out):
        left = counted(len(placement.left_out), "image was left out, as it has", "images were left out, as each has")
        yield f"{left} a twin in a later split (dataset.twins.across)"
    if len(placement.across) and cfg.dataset.twins.across == "keep":
        yield (
            f"{counted(len(placement.across), 'pair of twins stands', 'pairs of twins stand')} in two splits: "
            "the network is tested on pictures that it has seen"
        )
    if len(placement.refused):
        yield f"{counted(len(placement.refused), 'file')} could not be used"
    if placement.stray:
        yield stray(placement)
    if uncertain := doubt(manifest):
        yield uncertain


def stray(placement: Placement) -> str:
    """Return which photos are in no class, and why."""
    found = placement.stray
    are = counted(len(found), "photo is in no class and was", "photos are in no class and were")
    return f"{are} left out ({found[0].why}): {first_of([item.path for item in found])}"


def _shares(cfg: Config, manifest: Manifest, official: set[str]) -> Iterator[tuple[str, str, str]]:
    """Yield split, asked share and share got, where the split was drawn. official: the splits that the data names."""
    drawn = {"test": cfg.dataset.split.test, "validation": _validation(cfg)}
    total = sum(manifest.images(split) for split in SPLITS)
    for split, asked in drawn.items():
        if split in official or (split == "test" and official):
            continue
        whole = total if split == "test" else total - manifest.images("test")
        yield split, f"{asked:.1%} of {'all' if split == 'test' else 'the others'}", f"{manifest.images(split) / whole:.1%}"


def _validation(cfg: Config) -> float:
    return 1 / cfg.dataset.split.folds if cfg.dataset.split.folds else cfg.dataset.split.validation


def _samples(manifest: Manifest, prepared: Path) -> list[tuple[str, dict[str, str]]]:
    """Return class → split → a strip of its first images, as the network gets them."""
    images = {split: np.load(prepared / f"{split}.npy", mmap_mode="r") for split in SPLITS}
    labels = {split: np.load(prepared / f"{split}_labels.npy") for split in SPLITS}
    return [
        (name, {split: uri(strip(images[split][np.flatnonzero(labels[split] == label)[:SAMPLES]])) for split in SPLITS})
        for label, name in enumerate(manifest.classes[:MOST_CLASSES])
    ]


def _sizes(placement: Placement) -> list[tuple[str, int, int]]:
    """Return the source images of the smallest, median and largest area, as (which, width, height)."""
    used, width, height = (placement.records[key] for key in ("used", "width", "height"))
    order = np.flatnonzero(used)[np.argsort((width.astype(np.int64) * height)[used], kind="stable")]
    chosen = {"smallest": order[0], "median": order[len(order) // 2], "largest": order[-1]}
    return [(which, int(width[i]), int(height[i])) for which, i in chosen.items()]


def _refused(placement: Placement, i: int) -> Shown:
    item = placement.items[i]
    rest = thumbnail_of_remains(item)
    return Shown(uri(rest) if rest else None, [item.path, placement.reason(i)])


def _both(placement: Placement, pair: np.void, cfg: Config) -> tuple[str, list[Shown]]:
    same = "the same bytes" if placement.is_exact(pair) else f"correlation {pair['correlation']:.4f}"
    return same, [_one(placement, i, cfg) for i in (pair["one"], pair["other"])]


def _one(placement: Placement, i: int, cfg: Config) -> Shown:
    item = placement.items[i]
    place = placement.drawn_name(i) + (", left out" if placement.status(i) == "left out" else "")
    picture = thumbnail(item, cfg.dataset.channels, cfg.decode)
    return Shown(uri(picture) if picture else None, [item.path, f"{item.label} · {place}"])
