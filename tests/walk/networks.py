"""Networks for the tests of the walk, with statistics of batch norm as after a training, and their bundles."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from pipeline.bundle import Bundle
from pipeline.dataset.manifest import Manifest
from pipeline.model.cnn import CNN

# A network of every kind of layer that conf/model can name, and of both kinds of blocks.
EVERY_KIND = {
    "even": {"kind": "conv", "filters": 6, "kernel": 4, "padding": "same"},
    "elu": {"kind": "elu"},
    "wide": {"kind": "conv", "filters": 8, "kernel": 3, "padding": "full", "dilation": 2, "groups": 2},
    "norm": {"kind": "batch_norm"},
    "gelu": {"kind": "gelu"},
    "max": {"kind": "max_pool", "kernel": 3, "stride": 2, "padding": 1},
    "lrn": {"kind": "local_response_norm", "neighbours": 5, "alpha": 0.1},
    "block": {
        "kind": "residual",
        "layers": {"conv": {"kind": "conv", "filters": 12, "kernel": 3, "padding": 1, "stride": 2}, "silu": {"kind": "silu"}},
        "shortcut": {"conv": {"kind": "conv", "filters": 12, "kernel": 1, "stride": 2, "bias": False}},
    },
    "groups": {"kind": "group_norm", "groups": 3},
    "branches": {
        "kind": "parallel",
        "branches": {
            "same": {},
            "sum": {"sum": {"kind": "sum_pool", "kernel": 3, "stride": 1, "padding": 1}, "tanh": {"kind": "tanh"}},
            "root": {"root": {"kind": "l2_pool", "kernel": 3, "stride": 1, "padding": 1}},
        },
    },
    "leaky": {"kind": "leaky_relu", "slope": 0.1},
    "average": {"kind": "average_pool", "kernel": 3, "stride": 2, "padding": 1},
    "squashed": {"kind": "scaled_tanh"},
    "largest": {"kind": "global_max_pool"},
    "hidden": {"kind": "linear", "units": 7},
    "features": {"kind": "batch_norm"},
    "sigmoid": {"kind": "sigmoid"},
    "one": {"kind": "linear", "units": 1},
    "two": {"kind": "against_zero"},
}


def every_kind(channels: int, side: int) -> nn.Module:
    return as_trained(CNN(EVERY_KIND, channels, 2, side))


def as_trained(network: nn.Module) -> nn.Module:
    """Give a network's batch norm statistics and scales other than those that it begins with."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d | nn.BatchNorm1d):
            nn.init.uniform_(layer.running_mean, -0.2, 0.2)
            nn.init.uniform_(layer.running_var, 0.5, 1.5)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.uniform_(layer.bias, -0.2, 0.2)
    return network.eval()


def bundle_of(name: str, network: nn.Module, manifest: Manifest, channels: int, classes: int, side: int) -> Bundle:
    """Return a network as a bundle, trained on images like those of `manifest` but for their size and their classes."""
    labels = [f"class {number}" for number in range(classes)]
    found = replace(
        manifest, classes=labels, image_shape=(side, side, channels), mean=[0.3, 0.4, 0.5][:channels], std=[0.2, 0.3, 0.4][:channels]
    )
    config: dict[str, Any] = {"model": {"name": name}, "training": {"input": None}}
    return Bundle(network, found, config, {"epoch": 1, "validation/accuracy": 0.5}, [], None, {}, "")


def images_of(bundle: Bundle, count: int) -> NDArray[np.uint8]:
    manifest = bundle.manifest
    return np.random.default_rng(1).integers(0, 256, (count, *manifest.image_shape), dtype=np.uint8)
