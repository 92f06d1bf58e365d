"""Explain answers for photos: python -m pipeline.command.explain PHOTO… [--bundle FOLDER] [--class NAME] [--to FOLDER]"""

import argparse
from pathlib import Path

from pipeline.analysis.figures.file_names import stem_of
from pipeline.config.errors import DataError
from pipeline.config.paths import OUTS, WORKSPACE
from pipeline.config.process import parser_of, run_command
from pipeline.config.wording import did_you_mean
from pipeline.dataset.files import Refused
from pipeline.dataset.names import on_one_line, shown

FOLDER = WORKSPACE / "runs" / "explained"


def main() -> None:
    """Draw for each photo what speaks for a class in it (Grad-CAM, guided backprop, saliency, integrated gradients, occlusion), each with
    what it shows and what it can't, beside the probabilities; and on a second page its feature maps through the layers.

    A file that is no readable image gets a line with the reason; it is an error only when none can be read."""
    arguments = parse()
    from pipeline.bundle import Bundle
    from pipeline.photo_explanation import explain_photo
    from pipeline.prediction import read_photo

    bundle = Bundle.read(arguments.bundle)
    require_class(arguments.target, bundle.manifest.classes)
    arguments.to.mkdir(parents=True, exist_ok=True)
    explained = 0
    for number, path in enumerate(arguments.photo, start=1):
        try:
            image = read_photo(bundle, path)
        except Refused as reason:
            print(f"{on_one_line(str(path))}  not read: {reason}")
            continue
        stem = f"{number}-{stem_of(path.stem)}"
        files = explain_photo(bundle, image, path.name, arguments.target, arguments.to, stem)
        print(f"{on_one_line(str(path))}  {', '.join(str(file) for file in files)}")
        explained += 1
    if not explained:
        several = f"none of {len(arguments.photo)} files is a readable image"
        raise DataError(several if len(arguments.photo) > 1 else f"{shown(str(arguments.photo[0]))} is no readable image")


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = parser_of(main)
    parser.add_argument("photo", nargs="+", type=Path, help="photos")
    parser.add_argument("--bundle", type=Path, default=WORKSPACE / OUTS["bundle"], help="folder of a trained network (default: bundle/)")
    parser.add_argument("--class", dest="target", help="class to ask about (default: the most probable of each photo)")
    parser.add_argument("--to", type=Path, default=FOLDER, help="folder of the pictures (default: runs/explained/)")
    return parser.parse_args()


def require_class(name: str | None, classes: list[str]) -> None:
    """Raise DataError for a class that the network does not know."""
    if name is not None and name not in classes:
        several = ", ".join(shown(each) for each in classes[:20]) + ", …" * (len(classes) > 20)
        raise DataError(f"--class is {shown(name)!r}, expected one of the network's classes {several}{did_you_mean(name, classes)}")


if __name__ == "__main__":
    run_command("explain", main)
