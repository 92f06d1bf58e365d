"""CONTRACT 2: a trained network that can be used anywhere: weights.safetensors, bundle.json, history.csv, filters.npy.

A function of (config, data, code) alone: equal work has equal bytes, so no time, run id or path stands in it."""

import csv
import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pipeline.config.build import build
from pipeline.config.errors import DataError
from pipeline.config.schema import Decode
from pipeline.dataset.files import sha256
from pipeline.dataset.manifest import Manifest
from pipeline.dataset.normalise import middle, normalised

# The config nodes that a training depends on, beside what made the data (which the manifest holds).
TRAINED_WITH = ("seed", "model", "weights", "augmentation", "optimizer", "scheduler", "loss", "training")

FILES = ("bundle.json", "weights.safetensors", "history.csv", "filters.npy")

History = list[dict[str, float]]  # one row an epoch: metric -> value
Filters = NDArray[np.float32]  # (epochs + 1, out, in, kh, kw): the first convolution's, before training and after each epoch


def make_network(model: dict[str, Any], manifest: Manifest, side: int | None) -> nn.Module:
    """Build the configured network for this data: (B, C, H, W) -> (B, classes). Raises ConfigError.

    side: height and width of what it sees, in pixels; None: the whole image."""
    return build(
        "model",
        model,
        nn.Module,
        in_channels=manifest.channels,
        num_classes=len(manifest.classes),
        image_size=side or manifest.size,
    )


class Predictor(nn.Module):
    """A network with its preprocessing: (B, H, W, C) pixel values of 0..255 -> (B, classes) probabilities.

    side: height and width of the middle square that the network sees, in pixels; None: the whole image."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, manifest: Manifest, side: int | None) -> None:
        super().__init__()
        self.network = network
        self.side = side
        self.register_buffer("mean", torch.tensor(manifest.mean))
        self.register_buffer("std", torch.tensor(manifest.std))

    def scores(self, images: Tensor) -> Tensor:
        """Return the scores before the softmax, (B, classes)."""
        return self.network(normalised(middle(images, self.side), self.mean, self.std))

    def forward(self, images: Tensor) -> Tensor:
        return self.scores(images).softmax(dim=1)


@dataclass(frozen=True)
class Bundle:
    network: nn.Module  # in evaluation mode
    manifest: Manifest
    config: dict[str, Any]  # what it was trained with
    validation: dict[str, float]  # of the kept epoch
    history: History
    filters: Filters | None  # None: the network has no convolution
    digest: str  # sha256 of weights and description: the name of this piece of work

    @property
    def parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.network.parameters())

    @property
    def best_epoch(self) -> int:
        """The epoch whose weights were kept, from 1."""
        return int(self.validation["epoch"])

    def predictor(self) -> Predictor:
        return Predictor(self.network, self.manifest, self.config["training"]["input"]).eval()

    def decoding(self) -> Decode:
        """Return how the photos of the training were decoded. Raises DataError for a bundle that does not say."""
        found, expected = self.manifest.made_from.get("decode", {}), [field.name for field in fields(Decode)]
        if set(found) != set(expected):
            raise DataError(
                "the bundle was made before this version of the project and does not say how photos were decoded for it: made_from.decode "
                f"in bundle.json has {', '.join(found) or 'nothing'}, expected {', '.join(expected)}; train again with `dvc repro`"
            )
        return Decode(**found)

    def require(self, manifest: Manifest) -> None:
        """Raise DataError where the prepared images are not those that the network was trained and selected on."""
        if manifest.data_digest != self.manifest.data_digest:
            raise DataError(
                f"the network was trained on {self.manifest.dataset} with data digest {self.manifest.data_digest[:12]}, "
                f"the prepared images are {manifest.dataset} with {manifest.data_digest[:12]}; run `dvc repro`, "
                "or give the run's own folder as hydra.run.dir"
            )

    @classmethod
    def read(cls, folder: Path) -> "Bundle":
        """Load a bundle without running code from it; raises DataError when there is none or it is damaged."""
        description, weights, table, pictured = (folder / name for name in FILES)
        for path in (description, weights, table):
            if not path.exists():
                raise DataError(f"there is no trained network in {folder}: {path.name} is missing; train one with `dvc repro`")
        tree = json.loads(description.read_text())
        if (found := sha256(weights)) != tree["weights_sha256"]:
            raise DataError(f"{weights} is damaged: sha256 {found}, expected {tree['weights_sha256']}; restore it with `dvc checkout`")
        manifest = Manifest.from_dict(tree["manifest"])
        network = make_network(tree["config"]["model"], manifest, tree["config"]["training"]["input"])
        network.load_state_dict(load_file(weights))
        with table.open() as stream:
            history = [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(stream)]
        filters = np.load(pictured, allow_pickle=False) if pictured.exists() else None
        return cls(network.eval(), manifest, tree["config"], tree["validation"], history, filters, sha256(description))


def write_bundle(
    folder: Path,
    network: nn.Module,
    manifest: Manifest,
    config: dict[str, Any],
    validation: dict[str, float],
    history: History,
    filters: Filters | None,
) -> str:
    """Write a bundle; return its digest."""
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, folder / "weights.safetensors")
    tree = {
        "weights_sha256": sha256(folder / "weights.safetensors"),
        "config": config,
        "validation": validation,
        "manifest": manifest.to_dict(),
    }
    (folder / "bundle.json").write_text(json.dumps(tree, indent=2) + "\n")
    with (folder / "history.csv").open("w", newline="") as stream:
        table = csv.DictWriter(stream, list(dict.fromkeys(key for row in history for key in row)), lineterminator="\n")
        table.writeheader()
        table.writerows(history)
    if filters is not None:
        np.save(folder / "filters.npy", filters)
    return sha256(folder / "bundle.json")
