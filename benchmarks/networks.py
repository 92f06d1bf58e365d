"""The tutorials' networks trained for real, each once: their output in benchmarks/networks/, a table in benchmarks/README.md.

IMAGE_DATA=FOLDER python -m benchmarks.networks [NAME…]      FOLDER holds mnist, fashion-mnist and cats-dogs; hours for all

A network's table row is read from the run that MLflow keeps of it, so rows made on different days stand together."""

import gzip
import hashlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.line import ROOT, archives, mirrors, run_line
from benchmarks.page import publish
from pipeline.bundle import Bundle
from pipeline.config.compose import compose, parse, resolved
from pipeline.tracking.comparison import listed, with_curves
from pipeline.tracking.store import Store

LOGS = ROOT / "benchmarks" / "networks"
SMALL = "Fashion-MNIST, 10,000 images"
SUBSET = 10_000  # of Fashion-MNIST's 60,000 training images, the first ones
IDX_HEADER = {"train_images": 16, "train_labels": 8}  # bytes before the first image or label
PIXELS = {"train_images": 28 * 28, "train_labels": 1}  # bytes of an image or a label


@dataclass(frozen=True)
class Training:
    data: str
    overrides: tuple[str, ...]
    goal: float | None = None  # test accuracy


def few(*overrides: str) -> Training:
    """Return a training of some epochs on the subset of Fashion-MNIST."""
    return Training(SMALL, ("experiment=fashion_mnist", "augmentation=flip", *overrides))


TRAININGS = {
    "lenet": Training("MNIST", ("experiment=mnist",), 0.990),
    "lenet5": Training("MNIST", ("experiment=mnist_lenet5",), 0.988),
    "classic": Training("Fashion-MNIST", ("experiment=fashion_mnist_classic",), 0.915),
    "keras": Training("cats and dogs", ("experiment=cats_dogs_keras",)),
    "alexnet": few("model=alexnet", "training.epochs=3", "optimizer.lr=0.001"),
    "zfnet": few("model=zfnet", "training.epochs=3", "optimizer.lr=0.001"),
    "vgg11_bn": few("model=vgg11_bn", "training.epochs=5", "optimizer.lr=0.001"),
    "resnet20": few("model=resnet20", "training.epochs=5"),
    # at 32 pixels an epoch of these takes a quarter of an hour and half an hour
    "densenet_bc_100_12": few("model=densenet_bc_100_12", "resize.size=16", "training.epochs=3"),
    "googlenet": few("model=googlenet_bn", "resize.size=16", "training.epochs=2", "optimizer.lr=0.001"),
}


def main() -> None:
    for name in sys.argv[1:] or TRAININGS:
        train(name, TRAININGS[name])
    publish("The tutorials' networks", "IMAGE_DATA=FOLDER python -m benchmarks.networks", "\n".join(table()))


def train(name: str, training: Training) -> None:
    """Run the whole line for one network in runs/networks_NAME."""
    small = subset(archives("Fashion-MNIST"), ROOT / "runs" / "networks_subset") if training.data == SMALL else mirrors(training.data)
    run_line(LOGS / f"{name}.log", f"runs/networks_{name}", training.overrides, list(small))


def subset(full: Path, folder: Path) -> Iterator[str]:
    """Write the first training images as files of their own, beside the official test images."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in full.glob("*.gz"):
        (folder / path.name).write_bytes(path.read_bytes())
    for part, header in IDX_HEADER.items():
        path = folder / f"{part.replace('_', '-')}-idx{3 if 'images' in part else 1}-ubyte.gz"
        content = bytearray(gzip.decompress(path.read_bytes())[: header + SUBSET * PIXELS[part]])
        content[4:8] = SUBSET.to_bytes(4, "big")
        path.write_bytes(gzip.compress(content, mtime=0))
        yield f"dataset.sources.files.{part}.sha256={hashlib.sha256(path.read_bytes()).hexdigest()}"
    yield f"dataset.sources.mirrors=[file://{folder}]"


def table() -> Iterator[str]:
    """Yield a row for each network that has been trained in this working copy, as MLflow has its run."""
    store = Store(parse(resolved(compose(ROOT / "conf"))).tracking, ROOT)
    yield "One seed each; accuracy on the official test images, chosen by the validation images alone; seconds beside other work."
    yield ""
    yield "| network | data | pixels | parameters | epochs | seconds per epoch | test accuracy | goal | MLflow run |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for name, training in TRAININGS.items():
        folder = ROOT / "runs" / f"networks_{name}"
        if not (folder / "reports" / "metrics.json").exists():
            continue
        bundle = Bundle.read(folder / "bundle")
        run = with_curves(store, listed(store, f"tags.bundle = '{bundle.digest}'", 1)[0])
        (accuracy,), seconds = run.curves["test/accuracy"].values(), median(run.curves["epoch_seconds"].values())
        yield (
            f"| {name} | {training.data} | {bundle.manifest.size} | {bundle.parameters:,} | {run.epochs} | {seconds:.0f} "
            f"| {accuracy:.4f} | {f'{training.goal:.3f}' if training.goal else ''} | {run.name} |"
        )


if __name__ == "__main__":
    main()
