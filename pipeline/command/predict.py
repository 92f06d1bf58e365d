"""Name what is on photos: python -m pipeline.command.predict PATH… [--bundle FOLDER] [--views plain] [--csv]"""

import argparse
import csv
import io
import sys
from collections.abc import Iterator
from pathlib import Path

from pipeline.analysis.views import PLAIN, VIEWS
from pipeline.config.entry import run_command
from pipeline.config.errors import DataError
from pipeline.config.places import OUTS, WORKSPACE
from pipeline.dataset.files import visible_files

BATCH = 64  # photos in memory at once


def main() -> None:
    """Print class, probability and all probabilities for photos, and for every photo in folders.

    A file that is no readable image gets a line with its reason; it is an error only when none can be read."""
    arguments = parse()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names from old archives may be no UTF-8
    from pipeline.bundle import Bundle
    from pipeline.prediction import Prediction, predict

    paths = list(photos(arguments.path))
    bundle = Bundle.read(arguments.bundle)
    classes = bundle.manifest.classes
    width = max(map(len, map(str, paths)), default=0)
    table = csv.writer(sys.stdout)
    if arguments.csv:
        table.writerow(["path", "class", "probability", *classes, "reason"])
    readable = 0
    for found in predict(bundle, paths, BATCH, arguments.views):
        readable += isinstance(found, Prediction)
        if arguments.csv:
            table.writerow(found.row(classes))
        else:
            print(found.line(classes, width))
    if not readable:
        raise DataError(f"none of {len(paths)} files is a readable image")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m pipeline.command.predict", description=main.__doc__)
    parser.add_argument("path", nargs="+", type=Path, help="photos, or folders of photos")
    parser.add_argument("--bundle", type=Path, default=WORKSPACE / OUTS["bundle"], help="folder of a trained network (default: bundle/)")
    parser.add_argument("--views", choices=VIEWS, default=PLAIN, help="of each photo, whose scores are averaged (default: plain)")
    parser.add_argument("--csv", action="store_true", help="a table for other programs: path, class, probability, all probabilities")
    return parser.parse_args()


def photos(paths: list[Path]) -> Iterator[Path]:
    """Yield files as given and the files below folders, hidden ones excepted; raise DataError for what does not exist."""
    for path in paths:
        if not path.exists():
            raise DataError(f"{path} does not exist")
        if path.is_dir():
            found = visible_files(path)
            if not found:
                raise DataError(f"the folder {path} holds no files")
            yield from found
        else:
            yield path


if __name__ == "__main__":
    run_command("predict", main)
