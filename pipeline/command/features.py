"""Export what the network makes of images: python -m pipeline.command.features PATH… | --split NAME  --csv FILE | --npz FILE"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.config.errors import DataError
from pipeline.config.paths import OUTS, WORKSPACE
from pipeline.config.process import parser_of, run_command
from pipeline.config.splits import SPLITS
from pipeline.config.wording import counted
from pipeline.dataset.files import Refused
from pipeline.dataset.names import on_one_line
from pipeline.dataset.photos import files_of

if TYPE_CHECKING:
    import torch

    from pipeline.bundle import Bundle

BATCH = 256  # images per forward pass


def main() -> None:
    """Write the features that the last layer takes, of photos (and every photo in folders) or of a split of the prepared images.

    A table has a row for each image: path, class (of a split), and a column for each feature. An .npz file has the arrays features,
    (images, features) of float32, paths, and classes (of a split). A photo that can't be read gets a line with the reason and no row."""
    arguments = parse()
    import numpy as np

    from pipeline.bundle import Bundle
    from pipeline.dataset.files import write_csv

    bundle = Bundle.read(arguments.bundle)
    paths, classes, features = (
        of_split(bundle, arguments.prepared, arguments.split) if arguments.split else of_photos(bundle, arguments.path)
    )
    target = arguments.csv or arguments.npz
    target.parent.mkdir(parents=True, exist_ok=True)
    if arguments.csv:
        header = ["path", *(["class"] if classes else []), *(f"f{number}" for number in range(features.shape[1]))]
        labels = [[name] for name in classes] if classes else [[] for _ in paths]
        rows = zip(paths, labels, features.tolist(), strict=True)
        write_csv(target, header, [[path, *label, *(f"{value:.6g}" for value in values)] for path, label, values in rows])
    else:
        with target.open("wb") as stream:
            if classes:
                np.savez(stream, features=features.numpy(), paths=np.array(paths), classes=np.array(classes))
            else:
                np.savez(stream, features=features.numpy(), paths=np.array(paths))
    print(f"{counted(features.shape[1], 'feature')} of {counted(len(paths), 'image')}: {target}")


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = parser_of(main)
    parser.add_argument("path", nargs="*", type=Path, help="photos, or folders of photos")
    parser.add_argument("--split", choices=SPLITS, help="instead of photos: the prepared images of this split")
    parser.add_argument("--bundle", type=Path, default=WORKSPACE / OUTS["bundle"], help="folder of a trained network (default: bundle/)")
    parser.add_argument(
        "--prepared", type=Path, default=WORKSPACE / OUTS["prepared"], help="folder of its images (default: data/prepared/)"
    )
    target = parser.add_mutually_exclusive_group()
    target.add_argument("--csv", type=Path, metavar="FILE", help="write a table")
    target.add_argument("--npz", type=Path, metavar="FILE", help="write NumPy's arrays, ten times faster and smaller")
    arguments = parser.parse_args()
    if bool(arguments.path) == bool(arguments.split):
        parser.error("give photos, or --split with the name of one, and not both")
    if not (arguments.csv or arguments.npz):
        parser.error("give the file to write: --csv FILE or --npz FILE")
    return arguments


def of_split(bundle: "Bundle", prepared: Path, name: str) -> tuple[list[str], list[str], "torch.Tensor"]:
    """Return the files, classes and features of a split. Raises DataError where the images are not those of the network."""
    import torch

    from pipeline.dataset.manifest import Manifest
    from pipeline.similarity import Split, features_of

    bundle.require(Manifest.read(prepared))
    split = Split.read(bundle, prepared, name)
    features = list(features_of(bundle, split.images, BATCH, f"looking at {name}"))
    if not features:
        raise DataError(f"the split {name} has no images; see reports/data.html")
    return split.sources, split.classes, torch.cat(features)


def of_photos(bundle: "Bundle", wanted: list[Path]) -> tuple[list[str], list[str], "torch.Tensor"]:
    """Return the paths and features of the photos that can be read; their classes are not known."""
    import numpy as np
    import torch

    from pipeline.prediction import read_photo
    from pipeline.similarity import features_of

    paths, images = [], []
    for path in files_of(wanted):
        try:
            images.append(read_photo(bundle, path))
            paths.append(str(path))
        except Refused as reason:
            print(f"{on_one_line(str(path))}  not read: {reason}")
    if not images:
        raise DataError("none of these files is a readable image")
    return paths, [], torch.cat(list(features_of(bundle, np.stack(images), BATCH, "looking at photos")))


if __name__ == "__main__":
    run_command("features", main)
