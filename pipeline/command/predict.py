"""Classify photos: python -m pipeline.command.predict PATH… [--bundle FOLDER] [--tta plain] [--top K] [--csv | --explain]"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.analysis.figures.file_names import stem_of
from pipeline.analysis.tta import PLAIN, TTA
from pipeline.config.errors import DataError
from pipeline.config.paths import OUTS, WORKSPACE
from pipeline.config.process import parser_of, positive, run_command
from pipeline.dataset.files import visible_files
from pipeline.dataset.names import shown

if TYPE_CHECKING:
    from pipeline.bundle import Bundle
    from pipeline.prediction import Prediction

FOLDER = WORKSPACE / "runs" / "explained"
BATCH = 64  # photos in memory at once
TOP = 10  # classes: what a line of a terminal holds


def main() -> None:
    """Print class, probability and all probabilities of photos, and of every photo in folders.

    A file that is no readable image gets a line with the reason; it is an error only when none can be read."""
    arguments = parse()
    from pipeline.bundle import Bundle
    from pipeline.prediction import Prediction, header, predict

    paths = list(photos(arguments.path))
    bundle = Bundle.read(arguments.bundle)
    classes = bundle.manifest.classes
    table = csv.writer(sys.stdout)
    if arguments.csv:
        table.writerow(header(classes))
    readable = 0
    for number, found in enumerate(predict(bundle, paths, BATCH, arguments.tta), start=1):
        readable += isinstance(found, Prediction)
        if arguments.csv:
            table.writerow(found.row(classes))
        else:
            picture = f"  {explained(bundle, found, number)}" if arguments.explain and isinstance(found, Prediction) else ""
            print(found.line(classes, arguments.top) + picture)
    if not readable:
        raise DataError(
            f"none of {len(paths)} files is a readable image" if len(paths) > 1 else f"{shown(str(paths[0]))} is no readable image"
        )


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = parser_of(main)
    parser.add_argument("path", nargs="+", type=Path, help="photos, or folders of photos")
    parser.add_argument("--bundle", type=Path, default=WORKSPACE / OUTS["bundle"], help="folder of a trained network (default: bundle/)")
    tta = "test-time augmentation: views of each photo whose scores are averaged (default: plain)"
    parser.add_argument("--tta", "--views", choices=TTA, default=PLAIN, help=tta)
    parser.add_argument("--top", type=positive, default=TOP, help=f"most probable classes in a line, where there are more (default: {TOP})")
    either = parser.add_mutually_exclusive_group()
    either.add_argument(
        "--csv", action="store_true", help="a table for other programs: path, class, probability, that of each class, reason"
    )
    either.add_argument("--explain", action="store_true", help="draw where each photo shows its class, by Grad-CAM, to runs/explained/")
    return parser.parse_args()


def explained(bundle: Bundle, found: Prediction, number: int) -> str:
    """Draw Grad-CAM of an answer, the photo with this number, and return the picture's path, or say why there is none."""
    from pipeline.photo_explanation import draw_grad_cam
    from pipeline.prediction import read_photo

    FOLDER.mkdir(parents=True, exist_ok=True)
    picture = FOLDER / f"{number}-{stem_of(found.path.stem)}-grad_cam.png"
    drawn = draw_grad_cam(bundle, read_photo(bundle, found.path), found.path.name, found.probabilities, picture)
    return str(picture) if drawn else "no Grad-CAM: the network has no maps"


def photos(paths: list[Path]) -> Iterator[Path]:
    """Yield files as given, readable or not, and the files below folders but hidden ones; or the folder itself, where it has none."""
    for path in paths:
        yield from (visible_files(path) if path.is_dir() else []) or [path]


if __name__ == "__main__":
    run_command("predict", main)
