"""Write the page in which a network runs: python -m pipeline.command.walk [--bundle FOLDER] [--to FILE]"""

import argparse
from pathlib import Path

from pipeline.config.errors import DataError
from pipeline.config.paths import OUTS, WORKSPACE
from pipeline.config.process import parser_of, run_command

PAGE = WORKSPACE / "runs" / "walk.html"
SAMPLES = 30  # validation images to choose from, as in conf/explain/default.yaml


def main() -> None:
    """Write a page in which a trained network runs, of whatever size: draw or choose an image, and look at each of its values and at what
    it is made of. It needs nothing beside it, and no connection.

    Images of validation to choose from are there if the prepared images are those that the network was trained on."""
    arguments = parse()
    from pipeline.bundle import Bundle
    from pipeline.walk.page import lacking, samples_of, write_walk
    from pipeline.walk.steps import UnsupportedError

    bundle = Bundle.read(arguments.bundle)
    samples = samples_of(bundle, arguments.prepared, SAMPLES)
    arguments.to.parent.mkdir(parents=True, exist_ok=True)
    try:
        write_walk(bundle, samples, arguments.to)
    except UnsupportedError as error:
        raise DataError(f"no walk through {bundle.config['model']['name']}: {lacking(error)}") from error
    without = "" if samples else f"; without images to choose from, as {arguments.prepared} does not hold those that it was trained on"
    print(f"{arguments.to} ({arguments.to.stat().st_size / 1e6:.1f} MB){without}")


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = parser_of(main)
    parser.add_argument("--bundle", type=Path, default=WORKSPACE / OUTS["bundle"], help="folder of a trained network (default: bundle/)")
    parser.add_argument("--prepared", type=Path, default=WORKSPACE / OUTS["prepared"], help="prepared images (default: data/prepared/)")
    parser.add_argument("--to", type=Path, default=PAGE, help="file of the page (default: runs/walk.html)")
    return parser.parse_args()


if __name__ == "__main__":
    run_command("walk", main)
