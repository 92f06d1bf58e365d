"""The LightningModule: one step for training and validation, one line of metrics per epoch."""

import math
from collections.abc import Callable
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from pipeline.config.errors import DivergedError
from pipeline.dataset.loaders import Batch
from pipeline.dataset.manifest import Manifest
from pipeline.dataset.normalise import normalised
from pipeline.model.blocks import constrain
from pipeline.training.losses import whole_loss

MakeOptimizer = Callable[[Any], Optimizer]
MakeScheduler = Callable[[Optimizer], LRScheduler]


class Classifier(L.LightningModule):
    """Trains `network`, (B, C, H, W) -> (B, classes), on batches of uint8 (B, H, W, C) and labels (B,).

    The metrics are of the main scores, also where auxiliary heads take part in training, so that it compares with validation."""

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        manifest: Manifest,
        loss: nn.Module,
        make_optimizer: MakeOptimizer,
        make_scheduler: MakeScheduler,
        seed: int,
        divergence: float,
    ) -> None:
        super().__init__()
        self.network = network
        self.loss = loss
        self.make_optimizer = make_optimizer
        self.make_scheduler = make_scheduler
        self.seed = seed
        self.loss_limit = divergence * math.log(len(manifest.classes))
        self.register_buffer("mean", torch.tensor(manifest.mean))
        self.register_buffer("std", torch.tensor(manifest.std))

    def forward(self, images: Tensor) -> Any:
        return self.network(normalised(images, self.mean, self.std))

    def step(self, batch: Batch, split: str) -> Tensor:
        images, labels = batch  # (B, H, W, C), (B,)
        scores, loss, whole = whole_loss(self.network, self.loss, self(images), labels)
        accuracy = (scores.argmax(dim=1) == labels).float().mean()
        self.log_dict({f"{split}/loss": loss, f"{split}/accuracy": accuracy}, on_step=False, on_epoch=True, batch_size=len(labels))
        return whole

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        torch.manual_seed(self.seed * 1_000_003 + self.global_step)  # dropout draws by (seed, step)
        loss = self.step(batch, "train")
        if not math.isfinite(loss.item()):
            raise DivergedError(self._diverged(f"the loss became {loss.item()} at step {self.global_step}"))
        return loss

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        constrain(self.network)

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        self.step(batch, "validation")

    def on_train_epoch_end(self) -> None:
        loss = float(self.trainer.callback_metrics["train/loss"])
        if loss > self.loss_limit:
            raise DivergedError(
                self._diverged(
                    f"the loss of epoch {self.current_epoch + 1} is {loss:.4g}, guessing would be far below {self.loss_limit:.3g}"
                )
            )

    def configure_optimizers(self) -> Any:
        optimizer = self.make_optimizer(self.network.parameters())
        return {"optimizer": optimizer, "lr_scheduler": self.make_scheduler(optimizer)}

    def _diverged(self, what: str) -> str:
        rate = self.trainer.optimizers[0].param_groups[0]["initial_lr"]  # of the config, before any schedule
        return f"training diverged: {what}. The learning rate was {rate:g}; try optimizer.lr={rate / 10:g}"
