"""Name what is on photos: python -m pipeline.command.predict PATH… [--bundle FOLDER] [--views plain] [--top K] [--csv]"""

import argparse
import csv
import sys
from collections.abc import Iterator
from pathlib import Path

from pipeline.analysis.views import PLAIN, VIEWS
from pipeline.config.arguments import parser_of, positive
from pipeline.config.entry import run_command
from pipeline.config.errors import DataError
from pipeline.config.places import OUTS, WORKSPACE
from pipeline.dataset.files import visible_files
from pipeline.dataset.names import shown

BATCH = 64  # photos in memory at once
TOP = 10  # classes: what a line of a terminal holds


def main() -> None:
    """Print class, probability and all probabilities for photos, and for every photo in folders.

    A file that is no readable image gets a line with its reason; it is an error only when none can be read."""
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
    for found in predict(bundle, paths, BATCH, arguments.views):
        readable += isinstance(found, Prediction)
        if arguments.csv:
            table.writerow(found.row(classes))
        else:
            print(found.line(classes, arguments.top))
    if not readable:
        raise DataError(
            f"none of {len(paths)} files is a readable image" if len(paths) > 1 else f"{shown(str(paths[0]))} is no readable image"
        )


def parse() -> argparse.Namespace:
    parser = parser_of(main)
    parser.add_argument("path", nargs="+", type=Path, help="photos, or folders of photos")
    parser.add_argument("--bundle", type=Path, default=WORKSPACE / OUTS["bundle"], help="folder of a trained network (default: bundle/)")
    parser.add_argument("--views", choices=VIEWS, default=PLAIN, help="of each photo, whose scores are averaged (default: plain)")
    parser.add_argument("--top", type=positive, default=TOP, help=f"most probable classes in a line, where there are more (default: {TOP})")
    parser.add_argument(
        "--csv", action="store_true", help="a table for other programs: path, class, probability, that of each class, reason"
    )
    return parser.parse_args()


def photos(paths: list[Path]) -> Iterator[Path]:
    """Yield files as given, whether they can be read or not, and the files below folders, hidden ones excepted; or a folder without any."""
    for path in paths:
        yield from (visible_files(path) if path.is_dir() else []) or [path]


if __name__ == "__main__":
    run_command("predict", main)
