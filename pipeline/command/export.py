"""Export a network for other runtimes: python -m pipeline.command.export [BUNDLE] [--to FILE.pt2]"""

import argparse
from pathlib import Path

from pipeline.config.paths import OUTS, WORKSPACE
from pipeline.config.process import parser_of, run_command

FILE = WORKSPACE / "runs" / "network.pt2"


def main() -> None:
    """Write a trained network with its preprocessing as a program of torch.export, which runs without this project.

    It takes pixels of 0..255, uint8 (batch, height, width, channels), and returns probabilities, (batch, classes). Its description.json,
    one of the file's extra files, has the classes and how a photo is decoded and resized. The file is written only if its probabilities
    are those of the network within 1e-5, on a probe of fixed images."""
    arguments = parse()
    from pipeline.bundle import Bundle
    from pipeline.export import export

    bundle = Bundle.read(arguments.bundle)
    difference = export(bundle, arguments.to)
    print(f"{arguments.to}: its probabilities differ from the network's by at most {difference:.1e}")


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = parser_of(main)
    default = WORKSPACE / OUTS["bundle"]
    parser.add_argument("bundle", nargs="?", type=Path, default=default, help="folder of a trained network (default: bundle/)")
    parser.add_argument("--to", type=program, default=FILE, metavar="FILE.pt2", help="the file to write (default: runs/network.pt2)")
    return parser.parse_args()


def program(text: str) -> Path:
    """Parse the name of the file; raises ArgumentTypeError for one that torch.export does not take."""
    if not text.endswith(".pt2"):
        raise argparse.ArgumentTypeError(f"{text!r} does not end in .pt2")
    return Path(text)


if __name__ == "__main__":
    run_command("export", main)
