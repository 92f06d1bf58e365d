"""Find training images like a photo: python -m pipeline.command.similar PHOTO… [--nearest N] [--bundle FOLDER] [--to FILE]"""

import argparse
from pathlib import Path

from pipeline.config.errors import DataError
from pipeline.config.paths import OUTS, WORKSPACE
from pipeline.config.process import parser_of, positive, run_command
from pipeline.config.wording import counted
from pipeline.dataset.files import Refused
from pipeline.dataset.names import on_one_line, shown
from pipeline.dataset.photos import files_of

FILE = WORKSPACE / "runs" / "explained" / "similar.png"
BATCH = 256  # images per forward pass
NEAREST = 8  # what a row of a page shows


def main() -> None:
    """Print for each photo the training images that the network finds most similar, with their class and the cosine of the angle between
    the features that the last layer takes (1: the same), and draw a row of them.

    A file that is no readable image gets a line with the reason; it is an error only when none can be read."""
    arguments = parse()
    import numpy as np
    import torch

    from pipeline.analysis.figures.neighbours import Query, neighbours_page
    from pipeline.bundle import Bundle
    from pipeline.dataset.manifest import Manifest
    from pipeline.prediction import read_photo
    from pipeline.similarity import Split, with_neighbours

    bundle = Bundle.read(arguments.bundle)
    bundle.require(Manifest.read(arguments.prepared))
    queries, paths = [], list(files_of(arguments.photo))
    for path in paths:
        try:
            image = read_photo(bundle, path)
        except Refused as reason:
            print(f"{on_one_line(str(path))}  not read: {reason}")
            continue
        with torch.inference_mode():
            probabilities = bundle.predictor()(torch.from_numpy(image)[None])[0].numpy()
        said = bundle.manifest.classes[int(np.argmax(probabilities))]
        queries.append(Query(image, str(path), None, said, float(probabilities.max())))
    if not queries:
        several = f"none of {len(paths)} files is a readable image"
        raise DataError(several if len(paths) > 1 else f"{shown(str(paths[0]))} is no readable image")
    train = Split.read(bundle, arguments.prepared, "train")
    rows = with_neighbours(bundle, train, queries, arguments.nearest, BATCH)
    for query, found in rows:
        print(f"{on_one_line(query.source)}  said {shown(query.predicted)} with {query.probability:.3f}; most similar:")
        for near in found:
            print(f"  {near.cosine:.3f}  {shown(near.actual)}  {on_one_line(near.source)}")
    arguments.to.parent.mkdir(parents=True, exist_ok=True)
    title = f"What the network finds most similar in {counted(len(train.images), 'training image')}"
    neighbours_page(arguments.to, title, rows)
    print(f"look: {arguments.to}")


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = parser_of(main)
    parser.add_argument("photo", nargs="+", type=Path, help="photos, or folders of photos")
    parser.add_argument("--nearest", type=positive, default=NEAREST, help=f"training images for each photo (default: {NEAREST})")
    parser.add_argument("--bundle", type=Path, default=WORKSPACE / OUTS["bundle"], help="folder of a trained network (default: bundle/)")
    parser.add_argument(
        "--prepared", type=Path, default=WORKSPACE / OUTS["prepared"], help="folder of its images (default: data/prepared/)"
    )
    parser.add_argument("--to", type=Path, default=FILE, help="the picture (default: runs/explained/similar.png)")
    return parser.parse_args()


if __name__ == "__main__":
    run_command("similar", main)
