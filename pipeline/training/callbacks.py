"""What happens at the end of an epoch beside learning: the history, and a line that a person can follow."""

import time
from typing import Any, Protocol

import lightning as L
import numpy as np
from lightning.pytorch.callbacks import Callback
from numpy.typing import NDArray
from torch import nn

Filters = NDArray[np.float32]  # (out, in, kh, kw)


class Follower(Protocol):
    """Whoever tracks a training while it goes on."""

    def log_metrics(self, metrics: dict[str, float], step: int) -> None: ...

    def log_filters(self, weight: Filters, step: int) -> None: ...


class Historian(Callback):
    """Keeps every epoch's metrics, which go into the bundle, and tells them to the follower, with what the clock says of them.

    The times stay out of the bundle: equal work has equal bytes."""

    def __init__(self, follower: Follower, images: int) -> None:
        self.rows: list[dict[str, float]] = []
        self.follower = follower
        self.images = images  # of an epoch

    def on_train_epoch_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.rate = trainer.optimizers[0].param_groups[0]["lr"]  # at the epoch's end it is already the next one's
        self.start = time.perf_counter()

    def on_validation_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.trained = time.perf_counter()

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        epoch = trainer.current_epoch + 1
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        metrics = {**dict(sorted(metrics.items())), "learning_rate": self.rate}
        self.rows.append({"epoch": epoch, **metrics})
        times = {
            "epoch_seconds": time.perf_counter() - self.start,  # validation included
            "images_per_second": self.images / (self.trained - self.start),
        }
        self.follower.log_metrics(metrics | times, epoch)


class FilterHistorian(Callback):
    """Keeps the first layer's filters before training (step 0) and after each epoch, for the bundle and the follower."""

    def __init__(self, layer: nn.Conv2d, follower: Follower) -> None:
        self.layer = layer
        self.follower = follower
        self.kept: list[Filters] = []

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._keep()

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._keep()

    def _keep(self) -> None:
        weight = self.layer.weight.detach().cpu().float().numpy().copy()
        self.follower.log_filters(weight, len(self.kept))
        self.kept.append(weight)


class Progress(Callback):
    """Prints a line per epoch with rate and time left; within long epochs, a line every few seconds."""

    EVERY = 10.0  # seconds between two lines within an epoch

    def __init__(self, images: int) -> None:
        self.images = images  # of an epoch

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.start = self.told = time.monotonic()

    def on_train_epoch_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.epoch_start = time.monotonic()

    def on_train_batch_end(self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, batch_index: int) -> None:
        if time.monotonic() - self.told > self.EVERY:
            self.told = time.monotonic()
            share = (batch_index + 1) / trainer.num_training_batches
            self._print(trainer, f"{share:4.0%} of the epoch", trainer.current_epoch + share)

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.told = time.monotonic()
        metrics = trainer.callback_metrics
        found = "  ".join(
            f"{split} loss {metrics[f'{split}/loss']:.4f} accuracy {metrics[f'{split}/accuracy']:.4f}" for split in ("train", "validation")
        )
        self._print(trainer, found, trainer.current_epoch + 1)

    def _print(self, trainer: L.Trainer, what: str, done: float) -> None:
        spent = time.monotonic() - self.start
        rate = self.images * done / spent
        left = spent / done * ((trainer.max_epochs or 0) - done)
        print(f"epoch {trainer.current_epoch + 1:3}/{trainer.max_epochs}  {what}  {rate:,.0f} images/s  {duration(left)} left", flush=True)


def duration(seconds: float) -> str:
    """Return h:mm:ss, or m:ss below an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
