"""Assemble loaders, module, callbacks and Fabric from the config, train, and keep the weights of the best epoch."""

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
from pipeline.training.device import to_memory_format
from pipeline.training.distributed import has_batch_norm, rank_failures
from pipeline.training.filter_history import FilterHistory, LayerFilters
from pipeline.training.health import SAMPLE, Health
from pipeline.training.loop import Callback, Loop
from pipeline.training.mixup import Mixing
from pipeline.training.optimizers import parameter_groups
from pipeline.training.pruning import Pruning, Trial

WHITENING_IMAGES = 5_000  # training images from which Airbench computes its whitening filters, as many as the original


@dataclass(frozen=True)
class FitResult:
    """What a training returns besides the network, which it trains in place."""

    history: list[dict[str, float]]  # one row per epoch
    best: dict[str, float]  # the row of the epoch whose weights were kept
    filters: NDArray[np.float32] | None  # (epochs + 1, out, in, kh, kw): the first convolution's, before training and after each epoch
    layer_filters: dict[int, dict[str, Tensor]]  # epoch -> layer -> some weights of a later convolution, (filters, channels, kh, kw)


def fit(
    cfg: Config,
    network: nn.Module,
    manifest: Manifest,
    prepared: Path,
    checkpoints: Checkpoints,
    logger: Logger,
    trial: Trial | None = None,
) -> FitResult:
    """Train `network` in place; leave it on the CPU with the weights of the epoch that cfg.training.monitor selects.

    checkpoints: of this training; it resumes from the latest, bit for bit as if it had never stopped.
    logger: receives each epoch's metrics and first-layer filters as they come.
    trial: of a sweep, which may stop the training early by raising Settled.
    Raises DivergedError, ConfigError for what this device can't do, DataError for an empty split, and RankError if another rank fails."""
    training = cfg.training
    train_set, validation_set = train_images(cfg, prepared), validation_images(cfg, prepared)
    train, validation = train_loader(cfg, train_set), validation_loader(cfg, validation_set)
    budget = Budget(training.budget) if training.budget else None
    classifier = make_classifier(cfg, network, manifest, budget)
    first_conv = next((layer for layer in network.modules() if isinstance(layer, nn.Conv2d)), None)
    filters = FilterHistory(first_conv, logger) if first_conv else None
    layer_filters = LayerFilters(network, training.filters)
    history = History(logger)
    best = BestEpoch(history, training.monitor, training.patience)
    callbacks = [  # in this order: `best` reads history's newest row, and a checkpoint holds the state of all
        history,
        best,
        Progress(train.sampler.ends[-1], budget),
        Health(logger, validation_set.spread(SAMPLE)),
        filters,
        layer_filters,
        budget,
        profiler(training, logger),
        Pruning(trial, training.monitor) if trial else None,
        Checkpointing(checkpoints, cfg.machine.checkpoint),
    ]
    checkpoint = checkpoints.latest()
    if checkpoint:
        print(f"resumes from {Places(None).show(checkpoint)}; remove its folder to start from the beginning", flush=True)
    elif not cfg.weights.source:
        init_from_data(network, classifier, train_set)
    epochs = None if budget else training.epochs
    steps = epochs * len(train) if epochs else sys.maxsize  # with a budget, schedules follow the clock
    with rank_failures(training, logger.fail), synced_batch_norms(network, training):
        loop = Loop(launch_fabric(training), classifier, steps, [callback for callback in callbacks if callback])
        loop.fit(train, validation, epochs, checkpoints.load(checkpoint) if checkpoint else None)
    to_memory_format(network.cpu(), "contiguous").load_state_dict(best.weights)  # as bundles store it, whatever the device
    return FitResult(history.rows, best.row, np.stack(filters.kept) if filters else None, layer_filters.kept)


@contextmanager
def synced_batch_norms(network: nn.Module, training: Training) -> Iterator[None]:
    """Make batch norms use the statistics of all ranks' images, which torch supports on GPUs only; elsewhere print a note."""
    if ranks_of(training) > 1 and torch.cuda.is_available():
        TorchSyncBatchNorm().apply(network)
        yield
        TorchSyncBatchNorm().revert(network)
        return
    if ranks_of(training) > 1 and has_batch_norm(network):
        print("note: each process's batch norm measures its own images only; on GPUs it measures the whole batch", flush=True)
    yield


def init_from_data(network: nn.Module, classifier: Classifier, images: PackedImages) -> None:
    """Set the initial weights that depend on the data: Airbench's whitening filters."""
    if isinstance(network, Airbench):
        network.init_whitening(classifier.prepared(images.spread(WHITENING_IMAGES)))


def profiler(training: Training, logger: Logger) -> Callback | None:
    """Return the callback of training.profile; None: it is not set, or this is not rank 0."""
    if training.profile is None or rank_of(training):
        return None
    from pipeline.training.profiler import Profiler  # loaded only when asked for; no stage depends on it (command/deps.py)

    return Profiler(training.profile, logger)


def train_images(cfg: Config, prepared: Path) -> PackedImages:
    """Return the training images, augmented, or with training.overfit_images a few of them."""
    augment = Augment(cfg.augmentation, cfg.seed, cfg.training.input)
    return PackedImages(prepared, "train", augment, count=cfg.training.overfit_images, seed=cfg.seed)


def validation_images(cfg: Config, prepared: Path) -> PackedImages:
    """Return the validation images, not augmented, or with training.overfit_images those trained on."""
    training = cfg.training
    if training.overfit_images:
        return PackedImages(prepared, "train", side=training.input, count=training.overfit_images, seed=cfg.seed)
    return PackedImages(prepared, "validation", side=training.input)


def train_loader(cfg: Config, images: PackedImages) -> Loader:
    """Return this rank's share of the training batches, shuffled each epoch."""
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


def validation_loader(cfg: Config, images: PackedImages) -> Loader:
    """Return this rank's share of the validation batches, in the order of the images."""
    training, ranks = cfg.training, ranks_of(cfg.training)
    return loader(images, training.batch_size // ranks, rank=rank_of(training), ranks=ranks, limit=training.limit_batches)


def make_classifier(cfg: Config, network: nn.Module, manifest: Manifest, budget: Budget | None = None) -> Classifier:
    """Return the module that trains `network` on the images of a manifest. budget: makes the schedule follow the clock.

    Raises ConfigError for a loss that can't take so many classes, or class weights if training.balance asks for them."""
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


def launch_fabric(training: Training) -> Fabric:
    """Return Fabric, launched in this process as one rank of the training. Raises ConfigError for what this machine can't do."""
    is_gpu = torch.cuda.is_available()
    if training.precision == "16-mixed" and not is_gpu:
        raise ConfigError("training.precision is 16-mixed, which needs a GPU; choose bf16-mixed or 32-true", "training.precision")
    if is_gpu and training.devices > (gpus := torch.cuda.device_count()):
        raise ConfigError(
            f"training.devices is {training.devices}, but this machine has {gpus} GPU(s); set it no higher", "training.devices"
        )
    if is_gpu:  # CPU kernels are deterministic anyway, and the flag would slow them down
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
        torch.use_deterministic_algorithms(training.deterministic)
    for logger in (logging.getLogger("lightning.fabric"), rank_zero_module.log):  # which announce each rank, and the precision
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
    """Raise ConfigError for a loss that can't take so many classes: configure can't check it, as the data may decide their number."""
    try:
        loss(torch.zeros(classes, classes), torch.arange(classes))
    except ValueError as error:
        raise ConfigError(f"loss can't be used here: {error}", "loss") from error


def class_weights(manifest: Manifest) -> Tensor:
    """Return each class's weight in the loss, (classes,): inversely proportional to its number of training images, 1 if balanced."""
    counts = torch.tensor([manifest.counts["train"][name] for name in manifest.classes])
    return counts.sum() / (len(counts) * counts)
