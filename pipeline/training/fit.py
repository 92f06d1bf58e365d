"""Train the configured network on the prepared images with Lightning; keep the weights of the best epoch."""

import logging
import warnings
from dataclasses import dataclass
from pathlib import Path

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader

from pipeline.config.build import build
from pipeline.config.errors import ConfigError
from pipeline.config.places import Places
from pipeline.config.rank import rank_of, ranks_of
from pipeline.config.schema import Config
from pipeline.dataset.augmentation import Augment
from pipeline.dataset.loaders import Batch, PackedImages, loader
from pipeline.dataset.manifest import Manifest
from pipeline.model.airbench import Airbench
from pipeline.training.budget import Budget
from pipeline.training.callbacks import BestEpoch, FilterHistorian, Follower, Historian, Progress
from pipeline.training.checkpoints import Checkpoints
from pipeline.training.classifier import Classifier
from pipeline.training.course import Course
from pipeline.training.mixing import Mixing
from pipeline.training.optimizers import parameter_groups
from pipeline.training.processor import laid_out
from pipeline.training.ranks import OwnSignals, Ranks, Tell, has_batch_norm, plugins
from pipeline.training.saver import Saver
from pipeline.training.watching import Watcher

MEASURED = 5_000  # training images from which a network takes its first values, as airbench does


@dataclass(frozen=True)
class Fitted:
    history: list[dict[str, float]]  # one row an epoch
    best: dict[str, float]  # the row whose weights were kept
    filters: NDArray[np.float32] | None  # (epochs + 1, out, in, kh, kw): the first convolution's, before training and after each epoch


def fit(cfg: Config, network: nn.Module, manifest: Manifest, prepared: Path, checkpoints: Checkpoints, follower: Follower) -> Fitted:
    """Train `network` in place; it ends with the weights of the epoch that cfg.training.monitor selects.

    checkpoints: of this training; it goes on where they end, to the same bits as one that was never stopped.
    follower: is told each epoch's metrics and first-layer filters as they come.
    Raises DivergedError, ConfigError for what this device can't do, and DataError for an empty split."""
    training = cfg.training
    images = train_images(cfg, prepared)
    batches = train_batches(cfg, images)
    validation = PackedImages(prepared, "validation", side=training.input)
    budget = Budget(training.budget) if training.budget else None
    classifier = classifier_of(cfg, network, manifest, budget)
    historian = Historian(follower)
    best = BestEpoch(historian, training.monitor, training.patience)
    progress = Progress(len(images), budget)
    parts: list[Callback] = [OwnSignals(), historian, best, progress, Watcher(follower)]
    if first := next((layer for layer in network.modules() if isinstance(layer, nn.Conv2d)), None):
        parts.append(filters := FilterHistorian(first, follower))
    parts += [*([budget] if budget else []), Saver(checkpoints, cfg.machine.checkpoint)]
    trainer = trainer_of(cfg, [Course(parts)], checkpoints, follower.fail)
    if ranks_of(training) > 1 and not torch.cuda.is_available() and has_batch_norm(network):
        print("note: batch norm measures the images of each process by themselves here: only GPUs measure the whole batch", flush=True)
    if (start := checkpoints.latest()) is None:
        if not cfg.weights.source:
            start_from_images(network, classifier, images)
    else:
        print(f"goes on from {Places(None).show(start)}; remove its folder to start from the beginning", flush=True)
    trainer.fit(classifier, batches, validation_batches(cfg, validation), ckpt_path=start, weights_only=True)
    laid_out(network.cpu(), "contiguous").load_state_dict(best.weights)
    return Fitted(historian.rows, best.row, np.stack(filters.kept) if first else None)


def start_from_images(network: nn.Module, classifier: Classifier, images: PackedImages) -> None:
    """Let a network whose first values depend on the data see some of it."""
    if isinstance(network, Airbench):
        network.start_from(classifier.prepared(images.spread(MEASURED)))


def train_images(cfg: Config, prepared: Path) -> PackedImages:
    return PackedImages(prepared, "train", Augment(cfg.augmentation, cfg.seed, cfg.training.input))


def train_batches(cfg: Config, images: PackedImages) -> DataLoader[Batch]:
    training, ranks = cfg.training, ranks_of(cfg.training)
    is_balanced = training.balance == "sampler"
    return loader(images, training.batch_size // ranks, cfg.seed, cfg.machine.workers, is_balanced, rank_of(training), ranks)


def validation_batches(cfg: Config, images: PackedImages) -> DataLoader[Batch]:
    training, ranks = cfg.training, ranks_of(cfg.training)
    return loader(images, training.batch_size // ranks, rank=rank_of(training), ranks=ranks)


def classifier_of(cfg: Config, network: nn.Module, manifest: Manifest, budget: Budget | None = None) -> Classifier:
    augmentation, training = cfg.augmentation, cfg.training
    mixing = Mixing(augmentation.mixup, augmentation.cutmix, cfg.seed) if augmentation.mixup or augmentation.cutmix else None

    def optimizer(network: nn.Module) -> Optimizer:
        # In one piece it would also undo the scaling of 16-mixed, and clipping comes before that.
        whole = {"fused": False} if training.clip and training.precision == "16-mixed" and "fused" in cfg.optimizer else {}
        return build("optimizer", cfg.optimizer | whole, Optimizer, parameter_groups(network, training.decay))

    def scheduler(optimizer: Optimizer, steps: int) -> LRScheduler:
        found = build("scheduler", cfg.scheduler, LRScheduler, optimizer, steps=steps)
        if budget:
            budget.drive(found)
        return found

    return Classifier(network, manifest, _loss(cfg, manifest), optimizer, scheduler, mixing, training, cfg.seed)


def trainer_of(
    cfg: Config, callbacks: list[Callback], checkpoints: Checkpoints | None = None, tell: Tell = lambda reason: None
) -> L.Trainer:
    """Return what trains as configured. Raises ConfigError for what this device can't do.

    tell: is given the reason where a training on several devices has to be ended at once."""
    _quiet()
    training = cfg.training
    is_gpu = torch.cuda.is_available()
    if training.precision == "16-mixed" and not is_gpu:
        raise ConfigError("training.precision is 16-mixed, which needs a GPU; choose bf16-mixed or 32-true", "training.precision")
    if is_gpu and training.devices > (gpus := torch.cuda.device_count()):
        raise ConfigError(f"training.devices is {training.devices}, but this machine has {gpus} GPU(s); give no more", "training.devices")
    is_shared = ranks_of(training) > 1
    return L.Trainer(
        max_epochs=-1 if training.budget else training.epochs,
        callbacks=callbacks,
        plugins=[*([checkpoints] if checkpoints else []), *plugins(training)],
        enable_checkpointing=checkpoints is not None,
        accelerator="auto",
        devices=training.devices,
        num_nodes=training.nodes,
        strategy=Ranks(training, tell) if is_shared else "auto",
        sync_batchnorm=is_shared and is_gpu,  # torch's needs GPUs
        precision=training.precision,  # type: ignore[arg-type]  # one of the names in ranges.py
        deterministic=training.deterministic and is_gpu,  # a processor repeats by itself, and would be slower
        use_distributed_sampler=False,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )


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
    for package in ("pytorch", "fabric"):
        logging.getLogger(f"lightning.{package}").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", ".*does not have many workers.*")
    warnings.filterwarnings("ignore", ".*have no `val_dataloader`.*")
    warnings.filterwarnings("ignore", ".*in eval mode at the start of training.*")
    warnings.filterwarnings("ignore", ".*smaller than the logging interval.*")
    warnings.filterwarnings("ignore", ".*treespec, LeafSpec.*")
    warnings.filterwarnings("ignore", ".*`dataloader_iter`.*")  # its limits are met: callbacks take the batch's place from the classifier
