"""What a training would be, before it begins: python -m pipeline.command.check model=vgg16 resize.size=64 …

Takes every override that a training takes. The run's folder gets the table, layers.txt, and the figure, network.png."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

from pipeline.config.entry import entry
from pipeline.config.places import Places
from pipeline.config.schema import Config

IMAGES = 10_000  # of an epoch, where there are no prepared images


@dataclass(frozen=True)
class Data:
    """What is known of the images."""

    classes: int
    train: int  # images
    validation: int
    note: str  # what is assumed, "" where nothing is


@entry
def main(cfg: Config, places: Places) -> None:
    """Print the network layer by layer, what its sizes bring with them, and what memory and time a training takes."""
    import torch
    from torch import nn

    from pipeline.analysis.figures.network import network_figure
    from pipeline.analysis.layer_table import layer_table
    from pipeline.config.build import build
    from pipeline.config.checks.shortcuts import without_compiler
    from pipeline.training.processor import set_up_processor
    from pipeline.training.speed import estimate, measured
    from pipeline.training.summary import summary_of
    from pipeline.weights.freezing import freeze

    set_up_processor(cfg.training.threads)
    torch.manual_seed(cfg.seed)
    data = data_of(cfg, places)
    channels, side = cfg.dataset.channels, cfg.training.input or cfg.resize.size

    def make(size: int) -> nn.Module:
        return build("model", cfg.model, nn.Module, in_channels=channels, num_classes=data.classes, image_size=size)

    network = make(side)
    freeze(network, cfg.weights.freeze)
    with without_compiler():
        summary = summary_of(network, make, cfg.optimizer, channels, side)
        table = layer_table(summary, cfg.training.batch_size)
        print(table + data.note, flush=True)
        for line in estimate(cfg, measured(cfg, network, data.classes), data.train, data.validation):
            print(line)
    folder = cast(Path, places.live)  # DVC runs stages alone
    (folder / "layers.txt").write_text(table)
    network_figure(folder / "network.png", cfg.model["name"], summary)
    print(f"the network as a figure: {places.show(folder / 'network.png')}")


def data_of(cfg: Config, places: Places) -> Data:
    """Return what the prepared images say; where there are none for this config, what is likely."""
    from pipeline.config.checks.trial import tried_classes
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


if __name__ == "__main__":
    main()
