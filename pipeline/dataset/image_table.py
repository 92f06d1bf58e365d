"""What became of every source image, as tables: images.csv, a row each, and twins.csv, a row for each pair."""

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from pipeline.dataset.placement import Placement

IMAGES = ["path", "sha256", "width", "height", "frames", "format", "class", "split", "status", "reason"]
TWINS = ["path", "class", "split", "status", "twin", "twin_class", "twin_split", "twin_status", "same", "correlation"]


def write_tables(prepared: Path, placement: Placement) -> None:
    _write(prepared / "images.csv", IMAGES, (_row(placement, i) for i in range(len(placement.items))))
    _write(prepared / "twins.csv", TWINS, (_pair(placement, pair) for pair in placement.pairs))


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


def _write(path: Path, header: list[str], rows: Iterable[list[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as stream:  # names from old archives may be no UTF-8
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(header)
        table.writerows(rows)
