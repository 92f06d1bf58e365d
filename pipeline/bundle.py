"""CONTRACT 2: a trained network that can be used anywhere: weights.safetensors, bundle.json, history.csv, filters.npy,
layer_filters.safetensors.

It is a function of (config, data, code) alone: equal work has equal bytes, so it holds no times, run ids or paths."""

import csv
import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.optim import Optimizer

from pipeline.config.build import build
from pipeline.config.errors import DataError
from pipeline.config.schema import Decode
from pipeline.config.wording import counted
from pipeline.dataset.files import gigabytes, save_array, sha256
from pipeline.dataset.manifest import Manifest
from pipeline.dataset.normalise import middle, normalised
from pipeline.model.layer_rows import Summary
from pipeline.model.summary import summarise

# The config nodes that a training depends on, besides those that made the data (kept in the manifest).
TRAINED_WITH = ("seed", "model", "weights", "augmentation", "optimizer", "scheduler", "loss", "training", "debug")

# Of the node training: limits under which a training is so short that its metrics compare with no other's.
LIMITS = ("limit_batches", "overfit_images", "profile")
NO_DEBUG = "none"  # of conf/debug/

FILES = ("bundle.json", "weights.safetensors", "history.csv", "filters.npy", "layer_filters.safetensors")

LARGEST_DESCRIPTION = 2**26  # bytes of bundle.json: that of 22,000 classes has 4 MB
LARGEST_SIDE = 4096  # pixels, as resize.size
LONGEST_REASON = 300  # characters: torch lists every layer that differs

History = list[dict[str, float]]  # one row per epoch: metric -> value
Filters = NDArray[np.float32]  # (epochs + 1, out, in, kh, kw): the first convolution's, before training and after each epoch
LayerFilters = dict[int, dict[str, Tensor]]  # epoch -> layer -> a part of a later convolution's, (filters, channels, kh, kw)


def debugging(config: Mapping[str, Any]) -> str:
    """Return what makes a training a debug run: the option of debug=, or the limits that were set without one; "" for none."""
    option = config.get("debug", {"name": NO_DEBUG})["name"]  # bundles from before there were any do not say
    limits = [f"{name}={config['training'][name]}" for name in LIMITS if config["training"].get(name)]
    return ", ".join(limits) if option == NO_DEBUG else option


def make_network(model: dict[str, Any], manifest: Manifest, side: int | None) -> nn.Module:
    """Build the configured network for this data: (B, C, H, W) -> (B, classes). Raises ConfigError.

    side: height and width of its input, in pixels; None: the whole image."""
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

    side: height and width of the centre crop that the network sees, in pixels; None: the whole image."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, manifest: Manifest, side: int | None) -> None:
        super().__init__()
        self.network = network
        self.side = side
        self.register_buffer("mean", torch.tensor(manifest.mean))
        self.register_buffer("std", torch.tensor(manifest.std))

    def scores(self, images: Tensor) -> Tensor:
        """Return logits, (B, classes), for pixel values of 0..255, (B, H, W, C)."""
        return self.network(normalised(middle(images, self.side), self.mean, self.std))

    def forward(self, images: Tensor) -> Tensor:
        """Return probabilities, (B, classes), for pixel values of 0..255, (B, H, W, C)."""
        return self.scores(images).softmax(dim=1)


@dataclass(frozen=True)
class Bundle:
    """A trained network with its manifest, config and history."""

    network: nn.Module  # in evaluation mode
    manifest: Manifest
    config: dict[str, Any]  # what it was trained with
    validation: dict[str, float]  # of the kept epoch
    history: History
    filters: Filters | None  # None: the network has no convolution
    layer_filters: LayerFilters  # of some epochs, the last among them; empty: the network has no such layers
    digest: str  # sha256 of bundle.json, which holds that of the weights

    @property
    def parameters(self) -> int:
        """The number of parameters."""
        return sum(parameter.numel() for parameter in self.network.parameters())

    @property
    def best_epoch(self) -> int:
        """The epoch whose weights were kept, from 1."""
        return int(self.validation["epoch"])

    def predictor(self) -> Predictor:
        """Return the network with its preprocessing, in evaluation mode."""
        return Predictor(self.network, self.manifest, self.config["training"]["input"]).eval()

    def decoding(self) -> Decode:
        """Return the decoding options of the training images. Raises DataError for a bundle without them."""
        found, expected = self.manifest.made_from.get("decode", {}), [field.name for field in fields(Decode)]
        if set(found) != set(expected):
            raise DataError(
                "the bundle was made before this version of the project and does not say how photos were decoded for it: made_from.decode "
                f"in bundle.json has {', '.join(found) or 'nothing'}, expected {', '.join(expected)}; train again with `dvc repro`"
            )
        return Decode(**found)

    def require(self, manifest: Manifest) -> None:
        """Raise DataError if the prepared images are not those that the network was trained and selected on."""
        if manifest.data_digest != self.manifest.data_digest:
            raise DataError(
                f"the network was trained on {self.manifest.dataset} with data digest {self.manifest.data_digest[:12]}, "
                f"the prepared images are {manifest.dataset} with {manifest.data_digest[:12]}; run `dvc repro`, "
                "or give the run's own folder as hydra.run.dir"
            )

    @classmethod
    def read(cls, folder: Path) -> "Bundle":
        """Load a bundle without running code from it. Raises DataError if there is none or it is damaged."""
        description, weights, table, pictured, later = (folder / name for name in FILES)
        for path in (description, weights, table):
            if not path.exists():
                raise DataError(f"there is no trained network in {folder}: {path.name} is missing; train one with `dvc repro`")
        with _refused(description, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            if (size := description.stat().st_size) > LARGEST_DESCRIPTION:
                raise ValueError(f"it has {gigabytes(size)}, more than any description")
            tree = json.loads(description.read_text())
            manifest = _sound(Manifest.from_dict(tree["manifest"]))
            expected, config, validation = tree["weights_sha256"], dict(tree["config"]), dict(tree["validation"])
            model, side = _renamed(config["model"]), config["training"]["input"]
        if (found := sha256(weights)) != expected:
            raise DataError(f"{weights} is damaged: sha256 {found}, expected {expected}; restore it with `dvc checkout`")
        network = make_network(model, manifest, side)
        with _refused(weights, SafetensorError, RuntimeError):  # torch's for names and shapes that are not the network's
            network.load_state_dict(load_file(weights))
        with _refused(table, ValueError, csv.Error, TypeError), table.open() as stream:
            history = [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(stream)]
        with _refused(pictured, ValueError, EOFError):
            # Mapped first: np.load would allocate what the header promises, and open an archive.
            filters = np.array(open_memmap(pictured, mode="r")) if pictured.exists() else None
        with _refused(later, SafetensorError, ValueError):
            layer_filters = _by_epoch(load_file(later)) if later.exists() else {}
        config["model"] = model
        return cls(network.eval(), manifest, config, validation, history, filters, layer_filters, sha256(description))


@contextmanager
def _refused(path: Path, *damages: type[Exception]) -> Iterator[None]:
    """Turn what a file of a bundle raises that is damaged or of another kind into a DataError."""
    try:
        yield
    except damages as error:
        said = str(error).strip() or "nothing"
        reason = f"{type(error).__name__}: {said if len(said) <= LONGEST_REASON else said[:LONGEST_REASON] + ' …'}"
        raise DataError(
            f"{path} is not what a bundle of this project holds ({' '.join(reason.split())}); restore it with `dvc checkout`, or train "
            "again with `dvc repro`"
        ) from error


def _sound(manifest: Manifest) -> Manifest:
    """Return a manifest whose values can be used without harm. Raises ValueError for another."""
    height, width, channels = manifest.image_shape
    if channels not in (1, 3) or height != width or not 1 <= height <= LARGEST_SIDE:
        raise ValueError(f"image_shape is {height} x {width} x {channels}, expected n x n x 1 or 3, n at most {LARGEST_SIDE}")
    if not isinstance(manifest.classes, list) or not all(isinstance(name, str) for name in manifest.classes) or not manifest.classes:
        raise ValueError("classes is no list of names")
    for name in ("mean", "std"):
        if len(values := getattr(manifest, name)) != channels or not all(math.isfinite(value) for value in values):
            raise ValueError(f"{name} is {values!r}, expected {counted(channels, 'number')}")
    return manifest


def _by_epoch(tensors: dict[str, Tensor]) -> LayerFilters:
    """Return epoch → layer → filters of a file's epoch/layer → filters."""
    found: LayerFilters = {}
    for key in sorted(tensors, key=lambda key: int(key.partition("/")[0])):
        epoch, _, layer = key.partition("/")
        found.setdefault(int(epoch), {})[layer] = tensors[key]
    return found


def _renamed(node: dict[str, Any]) -> dict[str, Any]:
    """Return a model's config node with today's keys, for bundles from before `form` and `first_values` were renamed."""
    names = {"first_values": "init"} if isinstance(node.get("form"), dict) else {"first_values": "init", "form": "variant"}
    return {names.get(key, key): _renamed(value) if isinstance(value, dict) else value for key, value in node.items()}


def write_bundle(
    folder: Path,
    network: nn.Module,
    manifest: Manifest,
    config: dict[str, Any],
    validation: dict[str, float],
    history: History,
    filters: Filters | None,
    layer_filters: LayerFilters | None = None,
) -> str:
    """Write a bundle; return its digest. Raises OSError."""
    weights = save({name: tensor.contiguous() for name, tensor in network.state_dict().items()})
    (folder / "weights.safetensors").write_bytes(weights)  # save_file raises no OSError where the disk is full
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
        save_array(folder / "filters.npy", filters)
    if parts := {f"{epoch}/{layer}": part for epoch, layers in (layer_filters or {}).items() for layer, part in layers.items()}:
        (folder / "layer_filters.safetensors").write_bytes(save(parts))
    return sha256(folder / "bundle.json")


def summary_of(
    network: nn.Module, make_network: Callable[[int], nn.Module], optimizer: dict[str, Any], channels: int, side: int
) -> Summary:
    """Return the layer table for images of (channels, side, side). optimizer: its config node. make_network: see `summarise`."""
    return summarise(network, make_network, lambda weights: build("optimizer", optimizer, Optimizer, weights), channels, side)
