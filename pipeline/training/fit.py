"""Train the configured network on the prepared images with Lightning; keep the weights of the best epoch."""

import logging
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from pipeline.config.build import build
from pipeline.config.errors import ConfigError, DataError
from pipeline.config.schema import Config
from pipeline.dataset.augmentation import Augment
from pipeline.dataset.loaders import PackedImages, loader
from pipeline.dataset.manifest import Manifest
from pipeline.training.callbacks import FilterHistorian, Follower, Historian, Progress
from pipeline.training.classifier import Classifier


@dataclass(frozen=True)
class Fitted:
    history: list[dict[str, float]]  # one row an epoch
    best: dict[str, float]  # the row whose weights were kept
    filters: NDArray[np.float32] | None  # (epochs + 1, out, in, kh, kw): the first convolution's, before training and after each epoch


def fit(cfg: Config, network: nn.Module, manifest: Manifest, prepared: Path, checkpoints: Path, follower: Follower) -> Fitted:
    """Train `network` in place; it ends with the weights of the epoch that cfg.training.monitor selects.

    follower: is told each epoch's metrics and first-layer filters as they come.
    checkpoints: a folder for this training alone, removed at the end; no DVC out, which DVC would delete first.
    Raises DivergedError, and DataError where there is nothing to train on."""
    _quiet()
    training = cfg.training
    classifier = Classifier(
        network,
        manifest,
        _loss(cfg, manifest),
        lambda parameters: build("optimizer", cfg.optimizer, Optimizer, [p for p in parameters if p.requires_grad]),
        lambda optimizer: build("scheduler", cfg.scheduler, LRScheduler, optimizer),
        cfg.seed,
        training.divergence,
    )
    augment = Augment(cfg.augmentation, cfg.seed, training.input)
    batches = loader(
        PackedImages(prepared, "train", augment), training.batch_size, cfg.seed, training.workers, training.balance == "sampler"
    )
    validation = loader(PackedImages(prepared, "validation", side=training.input), training.batch_size)
    mode = "min" if training.monitor.endswith("loss") else "max"
    shutil.rmtree(checkpoints, ignore_errors=True)
    best = ModelCheckpoint(checkpoints, "{epoch}", monitor=training.monitor, mode=mode, auto_insert_metric_name=False)
    historian = Historian(follower, manifest.images("train"))
    callbacks: list[Callback] = [best, historian, Progress(manifest.images("train"))]
    if first := next((layer for layer in network.modules() if isinstance(layer, nn.Conv2d)), None):
        callbacks.append(filters := FilterHistorian(first, follower))
    if training.patience:
        callbacks.append(EarlyStopping(training.monitor, mode=mode, patience=training.patience))
    trainer = L.Trainer(
        max_epochs=training.epochs,
        callbacks=callbacks,
        accelerator="auto",
        devices=1,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(classifier, batches, validation)
    if not trainer.global_step:
        raise DataError(f"no training step was made: {manifest.images('train')} training images in batches of {training.batch_size}")
    state = torch.load(best.best_model_path, weights_only=True)["state_dict"]
    classifier.load_state_dict(state)
    classifier.cpu()
    shutil.rmtree(checkpoints)
    select = min if mode == "min" else max
    kept = np.stack(filters.kept) if first else None
    return Fitted(historian.rows, select(historian.rows, key=lambda row: row[training.monitor]), kept)


def _loss(cfg: Config, manifest: Manifest) -> nn.Module:
    weight = class_weights(manifest) if cfg.training.balance == "weights" else None
    loss = build("loss", cfg.loss, nn.Module, **({} if weight is None else {"weight": weight}))
    if weight is not None and getattr(loss, "weight", None) is None:
        raise ConfigError(
            f"training.balance is weights, but {cfg.loss['_target_']} takes no weight of each class; choose sampler, or another loss",
            "training.balance",
        )
    require_classes(loss, len(manifest.classes))
    return loss


def require_classes(loss: nn.Module, classes: int) -> None:
    """Raise ConfigError where a loss can't compare scores of so many classes; before the data is read their number may be unknown."""
    try:
        loss(torch.zeros(classes, classes), torch.arange(classes))
    except ValueError as error:
        raise ConfigError(f"loss can't be used here: {error}", "loss") from error


def class_weights(manifest: Manifest) -> Tensor:
    """Return (classes,): each class's weight in the loss, the inverse of its share, so that every class counts the same."""
    images = torch.tensor([manifest.counts["train"][name] for name in manifest.classes])
    return images.sum() / (len(images) * images)


def _quiet() -> None:
    """Silence what Lightning says of its own products, and of our few loader workers and frozen layers, which are chosen on purpose."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", ".*does not have many workers.*")
    warnings.filterwarnings("ignore", ".*in eval mode at the start of training.*")
    warnings.filterwarnings("ignore", ".*smaller than the logging interval.*")
    warnings.filterwarnings("ignore", ".*treespec, LeafSpec.*")
