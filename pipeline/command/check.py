"""Inspect a training before it begins: python -m pipeline.command.check model=vgg16 resize.size=64 …

Takes the overrides of a training. Writes the layer table, layers.txt, and a figure, network.png, to the run's folder."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pipeline.config.cli import entry
from pipeline.config.paths import Places
from pipeline.config.schema import Config

if TYPE_CHECKING:  # torch takes seconds to import
    from torch.nn import Module

IMAGES = 10_000  # assumed per epoch where no images are prepared


@dataclass(frozen=True)
class Data:
    """Numbers of the images to train on, prepared or assumed."""

    classes: int
    train: int  # images
    validation: int
    note: str  # on what is assumed; "" if nothing is


@entry
def main(cfg: Config, places: Places) -> None:
    """Print the network layer by layer with warnings about its sizes, and the memory and time of a training."""
    from functools import partial

    from pipeline.analysis.figures.network import network_figure
    from pipeline.analysis.layer_table import layer_table
    from pipeline.bundle import summary_of
    from pipeline.training.device import set_up_processor
    from pipeline.training.speed import estimate, measured

    set_up_processor(cfg.training.threads)
    data = data_of(cfg, places)
    network = network_of(cfg, data.classes)
    summary = summary_of(network, partial(_made, cfg, data.classes), cfg.optimizer, cfg.dataset.channels, _side(cfg))
    table = layer_table(summary, cfg.training.batch_size)
    print(table + data.note, flush=True)
    for line in estimate(cfg, measured(cfg, network, data.classes), data.train, data.validation):
        print(line)
    folder = cast(Path, places.live)  # DVC runs stages alone
    (folder / "layers.txt").write_text(table)
    network_figure(folder / "network.png", cfg.model["name"], summary)
    print(f"the network as a figure: {places.show(folder / 'network.png')}")


def data_of(cfg: Config, places: Places) -> Data:
    """Return the numbers of the prepared images, or assumed ones if none are prepared for this config."""
    from pipeline.config.dry_run import tried_classes
    from pipeline.config.errors import DataError
    from pipeline.dataset.manifest import Manifest

    try:
        manifest = Manifest.read(places.source("prepared"))
        manifest.require(cfg, places.typed)
    except DataError:
        named = cfg.dataset.classes
        classes = len(named) if named else tried_classes(asdict(cfg))
        assumed = f"{IMAGES:,} images are assumed" if named else f"{classes} classes and {IMAGES:,} images are assumed"
        return Data(classes, IMAGES, 0, f"note: no images are prepared for this config; {assumed}\n")
    return Data(len(manifest.classes), manifest.images("train"), manifest.images("validation"), "")


def network_of(cfg: Config, classes: int) -> "Module":
    """Return the configured network, freshly initialised, with the layers of `weights.freeze` frozen."""
    import torch

    from pipeline.weights.freezing import freeze

    torch.manual_seed(cfg.seed)
    network = _made(cfg, classes, _side(cfg))
    freeze(network, cfg.weights.freeze)
    return network


def _made(cfg: Config, classes: int, side: int) -> "Module":
    from torch.nn import Module

    from pipeline.config.build import build

    return build("model", cfg.model, Module, in_channels=cfg.dataset.channels, num_classes=classes, image_size=side)


def _side(cfg: Config) -> int:
    """Return the height and width of the images that the network sees, in pixels."""
    return cfg.training.input or cfg.resize.size


if __name__ == "__main__":
    main()
