"""Classify photos: python -m pipeline.command.predict PATH… [--bundle FOLDER] [--format table] [--top K] [--explain]"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.analysis.figures.file_names import stem_of
from pipeline.analysis.tta import PLAIN, TTA
from pipeline.config.errors import DataError
from pipeline.config.paths import OUTS, WORKSPACE
from pipeline.config.process import parser_of, positive, run_command
from pipeline.dataset.names import shown

if TYPE_CHECKING:
    from pipeline.answers import Csv, Json, Lines
    from pipeline.bundle import Bundle
    from pipeline.config.schema import Fetch
    from pipeline.dataset.photos import Photo
    from pipeline.prediction import Prediction

FOLDER = WORKSPACE / "runs" / "explained"
BATCH = 64  # photos in memory at once
FORMATS = ("table", "lines", "csv", "json")
NARROWEST, WIDEST = 60, 160  # columns of a table


def main() -> None:
    """Print class, probability and all probabilities of photos.

    A PATH is a photo, a folder, an archive (zip, tar), a pattern in quotes ('photos/**/*.jpg'), or - for a photo or an archive on standard
    input. Where photos lie in sub-folders that are called as the classes are, the accuracy follows, with its 95 % interval and that of
    each class. A file that is no readable image gets a line with the reason; it is an error only when none can be read."""
    arguments = parse()
    from pipeline.bundle import Bundle
    from pipeline.dataset.photos import photos_of

    bundle = Bundle.read(arguments.bundle)
    with tempfile.TemporaryDirectory(prefix="predict-") as scratch:
        photos = list(photos_of(arguments.path, bundle.manifest.classes, limits, Path(scratch)))
        readable = answer(bundle, photos, arguments)
    if not readable:
        raise DataError(
            f"none of {len(photos)} files is a readable image" if len(photos) > 1 else f"{shown(str(photos[0].path))} is no readable image"
        )


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = parser_of(main)
    parser.add_argument("path", nargs="+", help="photos, folders of photos, archives, patterns, or - for standard input")
    parser.add_argument("--bundle", type=Path, default=WORKSPACE / OUTS["bundle"], help="folder of a trained network (default: bundle/)")
    tta = "test-time augmentation: views of each photo whose scores are averaged (default: plain)"
    parser.add_argument("--tta", "--views", choices=TTA, default=PLAIN, help=tta)
    top = "most probable classes in a line (default: 10) or in JSON (default: all); CSV has all"
    parser.add_argument("--top", type=positive, help=top)
    either = parser.add_mutually_exclusive_group()
    either.add_argument(
        "--format",
        choices=FORMATS,
        help="table: as wide as the terminal, its default; lines: the default elsewhere; csv: path, class, probability, that of "
        "each class, reason; json: one document with classes, photos and score",
    )
    either.add_argument("--csv", dest="format", action="store_const", const="csv", help="the same as --format csv")
    either.add_argument("--explain", action="store_true", help="draw where each photo shows its class, by Grad-CAM, to runs/explained/")
    return parser.parse_args()


def limits() -> Fetch:
    """Return how much an archive may hold: conf/fetch."""
    from pipeline.config.compose import compose, parse, resolved

    return parse(resolved(compose(WORKSPACE / "conf"))).fetch


def answer(bundle: Bundle, photos: list[Photo], arguments: argparse.Namespace) -> int:
    """Print the answers, and progress on stderr where they do not pass by on a terminal; return how many photos can be read."""
    from pipeline.answers import Tally
    from pipeline.dataset.progress import IMAGES, Progress
    from pipeline.inference import INTERVAL
    from pipeline.prediction import Prediction, predict

    classes = bundle.manifest.classes
    out, tally = writer(classes, photos, arguments), Tally(classes)
    progress, readable = Progress("classifying", len(photos), IMAGES, INTERVAL), 0
    for number, found in enumerate(predict(bundle, photos, BATCH, arguments.tta), start=1):
        readable += isinstance(found, Prediction)
        out.add(found, explained(bundle, found, number) if arguments.explain and isinstance(found, Prediction) else "")
        tally.add(found)
        if not sys.stdout.isatty():
            with redirect_stdout(sys.stderr):
                progress.add(1)
    out.end(tally)
    return readable


def writer(classes: list[str], photos: Sequence[Photo], arguments: argparse.Namespace) -> Lines | Csv | Json:
    """Return what writes the answers to stdout."""
    from pipeline.answers import Csv, Json, Lines, Table

    form = arguments.format or ("table" if sys.stdout.isatty() and not arguments.explain else "lines")
    if form == "csv":
        return Csv(sys.stdout, sys.stderr, classes)
    if form == "json":
        return Json(sys.stdout, classes, arguments.top)
    if form == "lines":
        return Lines(sys.stdout, classes, arguments.top)
    width = min(max(shutil.get_terminal_size(fallback=(80, 24)).columns, NARROWEST), WIDEST)
    return Table(sys.stdout, classes, arguments.top, photos, width)


def explained(bundle: Bundle, found: Prediction, number: int) -> str:
    """Draw Grad-CAM of an answer, the photo with this number, and return the picture's path, or say why there is none."""
    from pipeline.photo_explanation import draw_grad_cam
    from pipeline.prediction import read_photo

    FOLDER.mkdir(parents=True, exist_ok=True)
    picture = FOLDER / f"{number}-{stem_of(found.photo.path.stem)}-grad_cam.png"
    drawn = draw_grad_cam(bundle, read_photo(bundle, found.photo.file), found.photo.path.name, found.probabilities, picture)
    return str(picture) if drawn else "no Grad-CAM: the network has no maps"


if __name__ == "__main__":
    run_command("predict", main)
