"""Whether each part of an epoch's batches has images enough for batch norm: asked before the training begins."""

import math

import numpy as np
import torch
from torch import nn

from pipeline.config.lone_image import lone_image
from pipeline.config.rank import at_once, ranks_of
from pipeline.config.schema import Training
from pipeline.dataset.loaders import EpochOrder
from pipeline.dataset.manifest import Manifest
from pipeline.model.lone_values import lone_values


def require_variance(network: nn.Module, manifest: Manifest, training: Training) -> None:
    """Raise ConfigError where a batch norm would have to learn from a single value of each channel."""
    if torch.cuda.is_available() and ranks_of(training) > 1:
        return  # there batch norm measures the images of all devices
    smallest, side = smallest_part(manifest.images("train"), training), training.input or manifest.size
    if smallest == 1 and (layers := lone_values(network, manifest.channels, side)):
        where = "each part of a batch" if at_once(training) == 1 else "the last part of an epoch"
        raise lone_image(layers[0], side, training, where)


def smallest_part(images: int, training: Training) -> int:
    """Return how many images the smallest part of an epoch's batches has that a device computes at once."""
    ranks, most = ranks_of(training), at_once(training)
    order = EpochOrder(images, training.batch_size // ranks, seed=0, ranks=ranks)
    of_rank = np.diff([0, *order.ends]) // ranks
    return min(int(batch) // math.ceil(batch / most) for batch in of_rank)
