"""Train the configured network on the prepared images; keep the weights of the best epoch."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from lightning.fabric import Fabric
from lightning.fabric.utilities.rank_zero import rank_zero_module
from lightning.pytorch.plugins import TorchSyncBatchNorm
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from pipeline.config.build import build
from pipeline.config.errors import ConfigError
from pipeline.config.paths import Places
from pipeline.config.ranks import rank_of, ranks_of
from pipeline.config.schema import Config, Training
from pipeline.dataset.augmentation import Augment
from pipeline.dataset.loaders import Loader, PackedImages, loader
from pipeline.dataset.manifest import Manifest
from pipeline.model.airbench import Airbench
from pipeline.training.callbacks import BestEpoch, Budget, Checkpointing, History, Logger, Progress
from pipeline.training.checkpoints import Checkpoints
from pipeline.training.classifier import Classifier
from pipeline.training.device import laid_out
from pipeline.training.distributed import has_batch_norm, rank_failures
from pipeline.training.filter_history import FilterHistory, LayerFilters
from pipeline.training.health import SAMPLE, Health
from pipeline.training.loop import Callback, Loop
from pipeline.training.mixup import Mixing
from pipeline.training.optimizers import parameter_groups
from pipeline.training.pruning import Pruning, Trial

START_IMAGES = 5_000  # training images from which Airbench takes its first filters, as many as the original


@dataclass(frozen=True)
class Fitted:
    """What a training leaves behind beside the network."""

    history: list[dict[str, float]]  # one row per epoch
    best: dict[str, float]  # the row whose weights were kept
    filters: NDArray[np.float32] | None  # (epochs + 1, out, in, kh, kw): the first convolution's, before training and after each epoch
    layer_filters: dict[int, dict[str, Tensor]]  # epoch -> layer -> a part of a later convolution's, (filters, channels, kh, kw)


def fit(
    cfg: Config,
    network: nn.Module,
    manifest: Manifest,
    prepared: Path,
    checkpoints: Checkpoints,
    logger: Logger,
    trial: Trial | None = None,
) -> Fitted:
    """Train `network` in place; it ends with the weights of the epoch that cfg.training.monitor selects.

    checkpoints: of this training; it resumes from the last, to the same bits as one that was never stopped.
    logger: is given each epoch's metrics and first-layer filters as they come.
    trial: of a sweep, which may end the training by Settled.
    Raises DivergedError, ConfigError for what this device can't do, and DataError for an empty split."""
    training = cfg.training
    images, validation_set = train_images(cfg, prepared), validation_images(cfg, prepared)
    train, validation = train_batches(cfg, images), validation_batches(cfg, validation_set)
    budget = Budget(training.budget) if training.budget else None
    classifier = classifier_of(cfg, network, manifest, budget)
    convolution = next((layer for layer in network.modules() if isinstance(layer, nn.Conv2d)), None)
    filters = FilterHistory(convolution, logger) if convolution else None
    later = LayerFilters(network, training.filters)
    history = History(logger)
    best = BestEpoch(history, training.monitor, training.patience)
    callbacks = [  # called in this order: `best` reads history's newest row, and a checkpoint holds the state of all
        history,
        best,
        Progress(train.sampler.ends[-1], budget),
        Health(logger, validation_set.spread(SAMPLE)),
        filters,
        later,
        budget,
        profiler(training, logger),
        Pruning(trial, training.monitor) if trial else None,
        Checkpointing(checkpoints, cfg.machine.checkpoint),
    ]
    start = checkpoints.latest()
    if start is None and not cfg.weights.source:
        start_from_images(network, classifier, images)
    if start:
        print(f"resumes from {Places(None).show(start)}; remove its folder to start from the beginning", flush=True)
    epochs = None if budget else training.epochs
    steps = epochs * len(train) if epochs else sys.maxsize  # with a budget, schedules go by the clock
    with rank_failures(training, logger.fail), shared_batch_norms(network, training):
        loop = Loop(fabric_of(training), classifier, steps, [callback for callback in callbacks if callback])
        loop.fit(train, validation, epochs, checkpoints.load(start) if start else None)
    laid_out(network.cpu(), "contiguous").load_state_dict(best.weights)  # as a bundle has it, whatever trained it
    return Fitted(history.rows, best.row, np.stack(filters.kept) if filters else None, later.kept)


@contextmanager
def shared_batch_norms(network: nn.Module, training: Training) -> Iterator[None]:
    """Let batch norms measure the images of all processes together, which torch does on GPUs alone; elsewhere print a note."""
    if ranks_of(training) > 1 and torch.cuda.is_available():
        TorchSyncBatchNorm().apply(network)
        yield
        TorchSyncBatchNorm().revert(network)
        return
    if ranks_of(training) > 1 and has_batch_norm(network):
        print("note: each process's batch norm measures its own images only; on GPUs it measures the whole batch", flush=True)
    yield


def start_from_images(network: nn.Module, classifier: Classifier, images: PackedImages) -> None:
    """Set the initial weights that depend on the data, which only Airbench has."""
    if isinstance(network, Airbench):
        network.start_from(classifier.prepared(images.spread(START_IMAGES)))


def profiler(training: Training, logger: Logger) -> Callback | None:
    """Return the callback of training.profile, on rank 0."""
    if training.profile is None or rank_of(training):
        return None
    from pipeline.training.profiler import Profiler  # no result depends on it (command/deps.py)

    return Profiler(training.profile, logger)


def train_images(cfg: Config, prepared: Path) -> PackedImages:
    """Return the training images, augmented."""
    augment = Augment(cfg.augmentation, cfg.seed, cfg.training.input)
    return PackedImages(prepared, "train", augment, count=cfg.training.overfit_images, seed=cfg.seed)


def validation_images(cfg: Config, prepared: Path) -> PackedImages:
    """Return the validation images, or with training.overfit_images those that are trained on; not augmented."""
    training = cfg.training
    if training.overfit_images:
        return PackedImages(prepared, "train", side=training.input, count=training.overfit_images, seed=cfg.seed)
    return PackedImages(prepared, "validation", side=training.input)


def train_batches(cfg: Config, images: PackedImages) -> Loader:
    training, ranks = cfg.training, ranks_of(cfg.training)
    return loader(
        images,
        training.batch_size // ranks,
        cfg.seed,
        cfg.machine.workers,
        is_balanced=training.balance == "sampler",
        rank=rank_of(training),
        ranks=ranks,
        limit=training.limit_batches,
    )


def validation_batches(cfg: Config, images: PackedImages) -> Loader:
    training, ranks = cfg.training, ranks_of(cfg.training)
    return loader(images, training.batch_size // ranks, rank=rank_of(training), ranks=ranks, limit=training.limit_batches)


def classifier_of(cfg: Config, network: nn.Module, manifest: Manifest, budget: Budget | None = None) -> Classifier:
    """Return the module that trains `network` on the images of a manifest. budget: drives the schedule by the clock."""
    return configured_classifier(cfg, network, manifest.mean, manifest.std, len(manifest.classes), _loss(cfg, manifest), budget)


def configured_classifier(
    cfg: Config, network: nn.Module, mean: list[float], std: list[float], classes: int, loss: nn.Module, budget: Budget | None = None
) -> Classifier:
    """Return the module that trains `network` as configured. mean, std: of the training images, per channel, in [0, 1]."""
    augmentation, training = cfg.augmentation, cfg.training
    mixing = Mixing(augmentation.mixup, augmentation.cutmix, cfg.seed) if augmentation.mixup or augmentation.cutmix else None

    def make_optimizer(network: nn.Module) -> Optimizer:
        # A fused optimizer unscales the gradients of 16-mixed within its step, which is too late for clipping.
        unfused = {"fused": False} if training.clip and training.precision == "16-mixed" and "fused" in cfg.optimizer else {}
        return build("optimizer", cfg.optimizer | unfused, Optimizer, parameter_groups(network, training.decay))

    def make_scheduler(optimizer: Optimizer, steps: int) -> LRScheduler:
        scheduler = build("scheduler", cfg.scheduler, LRScheduler, optimizer, steps=steps)
        if budget:
            budget.drive(scheduler)
        return scheduler

    return Classifier(network, mean, std, classes, loss, make_optimizer, make_scheduler, mixing, training, cfg.seed)


def fabric_of(training: Training) -> Fabric:
    """Return a launched Fabric on the devices of training, as one of its processes. Raises ConfigError for what this machine can't do."""
    is_gpu = torch.cuda.is_available()
    if training.precision == "16-mixed" and not is_gpu:
        raise ConfigError("training.precision is 16-mixed, which needs a GPU; choose bf16-mixed or 32-true", "training.precision")
    if is_gpu and training.devices > (gpus := torch.cuda.device_count()):
        raise ConfigError(
            f"training.devices is {training.devices}, but this machine has {gpus} GPU(s); set it no higher", "training.devices"
        )
    if is_gpu:  # a CPU is deterministic anyway, and would become slower
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
        torch.use_deterministic_algorithms(training.deterministic)
    for logger in (logging.getLogger("lightning.fabric"), rank_zero_module.log):  # they announce each process, and the precision
        logger.setLevel(logging.WARNING)
    fabric = Fabric(
        accelerator="auto",
        devices=training.devices,
        num_nodes=training.nodes,
        strategy="ddp" if ranks_of(training) > 1 else "auto",
        precision=training.precision,  # type: ignore[arg-type]  # one of the names in schema.py
    )
    fabric.launch()
    return fabric


def _loss(cfg: Config, manifest: Manifest) -> nn.Module:
    weight = class_weights(manifest) if cfg.training.balance == "weights" else None
    loss = build("loss", cfg.loss, nn.Module, **({} if weight is None else {"weight": weight}))
    if weight is not None and getattr(loss, "weight", None) is None:
        raise ConfigError(
            f"training.balance is weights, but {cfg.loss['_target_']} takes no class weights; choose sampler, or another loss",
            "training.balance",
        )
    _require_classes(loss, len(manifest.classes))
    return loss


def _require_classes(loss: nn.Module, classes: int) -> None:
    """Raise ConfigError for a loss that can't take so many classes; their number may be unknown before the data is read."""
    try:
        loss(torch.zeros(classes, classes), torch.arange(classes))
    except ValueError as error:
        raise ConfigError(f"loss can't be used here: {error}", "loss") from error


def class_weights(manifest: Manifest) -> Tensor:
    """Return each class's weight in the loss, (classes,), the inverse of its share of the images, so that all count the same."""
    counts = torch.tensor([manifest.counts["train"][name] for name in manifest.classes])
    return counts.sum() / (len(counts) * counts)
