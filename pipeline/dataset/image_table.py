"""What became of every source image, as tables: images.csv, a row each, and twins.csv, a row for each pair."""

from pathlib import Path

import numpy as np

from pipeline.dataset.csv_file import write_csv
from pipeline.dataset.placement import Placement

IMAGES = ["path", "sha256", "width", "height", "frames", "format", "class", "split", "status", "reason"]
TWINS = ["path", "class", "split", "status", "twin", "twin_class", "twin_split", "twin_status", "same", "correlation"]


def write_tables(prepared: Path, placement: Placement) -> None:
    write_csv(prepared / "images.csv", IMAGES, (_row(placement, i) for i in range(len(placement.items))))
    write_csv(prepared / "twins.csv", TWINS, (_pair(placement, pair) for pair in placement.pairs))


def _row(placement: Placement, i: int) -> list[object]:
    item, record = placement.items[i], placement.records[i]
    made = [record["width"], record["height"], record["frames"], record["format"].decode()]
    placed = [item.label, placement.split_name(i), placement.status(i), placement.reason(i)]
    return [item.path, record["sha256"].decode(), *made, *placed]


def _pair(placement: Placement, pair: np.void) -> list[object]:
    both = [
        [placement.items[i].path, placement.items[i].label, placement.drawn_name(i), placement.status(i)]
        for i in (pair["one"], pair["other"])
    ]
    return [*both[0], *both[1], "bytes" if placement.is_exact(pair) else "picture", f"{pair['correlation']:.4f}"]
