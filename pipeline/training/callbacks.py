"""What happens at the end of an epoch beside learning: the history, the best weights, and a line that a person can follow."""

import math
import sys
import time
from typing import Any, Protocol

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.training.budget import Budget
from pipeline.training.classifier import Classifier

Filters = NDArray[np.float32]  # (out, in, kh, kw)
Row = dict[str, float]  # metric -> value


class Follower(Protocol):
    """Whoever tracks a training while it goes on. What is told twice, of the same step, counts once."""

    def log_metrics(self, metrics: dict[str, float], step: int) -> None: ...

    def log_filters(self, weight: Filters, step: int) -> None: ...

    def fail(self, reason: str) -> None: ...  # when this process is about to be ended


class Historian(Callback):
    """Keeps every epoch's metrics, which go into the bundle, and tells them to the follower, with what the clock says of them.

    The times stay out of the bundle: equal work has equal bytes."""

    def __init__(self, follower: Follower) -> None:
        self.rows: list[Row] = []
        self.follower = follower

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.rows = state["rows"]
        for row in self.rows:  # the process that was killed may not have told all that its checkpoint holds
            self.follower.log_metrics({name: value for name, value in row.items() if name != "epoch"}, int(row["epoch"]))

    def on_train_epoch_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.rate = trainer.optimizers[0].param_groups[0]["lr"]  # at the epoch's end it is already the next one's
        self.start = time.perf_counter()

    def on_validation_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.trained = time.perf_counter()

    def on_train_epoch_end(self, trainer: L.Trainer, module: Classifier) -> None:  # type: ignore[override]
        epoch = trainer.current_epoch + 1
        metrics = {**module.epoch_metrics(), "learning_rate": self.rate}
        self.rows.append({"epoch": epoch, **metrics})
        times = {
            "epoch_seconds": time.perf_counter() - self.start,  # validation included
            "images_per_second": module.images_of_epoch / (self.trained - self.start),
        }
        self.follower.log_metrics(metrics | times, epoch)


class FilterHistorian(Callback):
    """Keeps the first layer's filters before training (step 0) and after each epoch, for the bundle and the follower."""

    def __init__(self, layer: nn.Conv2d, follower: Follower) -> None:
        self.layer = layer
        self.follower = follower
        self.kept: list[Filters] = []

    def state_dict(self) -> dict[str, Any]:
        return {"kept": [torch.from_numpy(weight) for weight in self.kept]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.kept = [weight.numpy() for weight in state["kept"]]
        for step, weight in enumerate(self.kept):
            self.follower.log_filters(weight, step)

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if not self.kept:
            self._keep()

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._keep()

    def _keep(self) -> None:
        weight = self.layer.weight.detach().cpu().float().contiguous().numpy().copy()
        self.follower.log_filters(weight, len(self.kept))
        self.kept.append(weight)


class BestEpoch(Callback):
    """Keeps the weights of the epoch whose monitor is best, the first of equal ones; stops when it gets no better.

    patience: epochs without a better one; None: never."""

    def __init__(self, historian: Historian, monitor: str, patience: int | None) -> None:
        self.historian = historian
        self.monitor = monitor
        self.sign = 1 if monitor.endswith("loss") else -1  # small is good, or large
        self.patience = patience
        self.row: Row = {}
        self.weights: dict[str, Tensor] = {}

    def state_dict(self) -> dict[str, Any]:
        return {"row": self.row, "weights": self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.row, self.weights = state["row"], state["weights"]

    def on_fit_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._stop_if_patience_ends(trainer)  # it may have ended just before a kill

    def on_train_epoch_end(self, trainer: L.Trainer, module: Classifier) -> None:  # type: ignore[override]
        row = self.historian.rows[-1]
        if self.sign * row[self.monitor] < self.sign * self.row.get(self.monitor, self.sign * math.inf):
            self.row = row
            self.weights = {name: value.detach().cpu().clone() for name, value in module.kept.state_dict().items()}
        self._stop_if_patience_ends(trainer)

    def _stop_if_patience_ends(self, trainer: L.Trainer) -> None:
        if self.patience and self.row and len(self.historian.rows) - self.row["epoch"] >= self.patience:
            trainer.should_stop = True


class Progress(Callback):
    """Prints a line per epoch with rate and time left; within long epochs every few seconds, on a terminal in one place."""

    EVERY = 10.0  # seconds between two lines within an epoch, in a log
    IN_PLACE = 0.5  # seconds between two of them on a terminal, each over the one before

    def __init__(self, images: int, budget: Budget | None = None) -> None:
        self.images = images  # of an epoch
        self.budget = budget
        self.is_terminal = sys.stdout.isatty()

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.start = self.told = time.monotonic()
        self.first = trainer.current_epoch  # not 0 where a killed training goes on

    def on_train_batch_end(self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, batch_index: int) -> None:
        if time.monotonic() - self.told > (self.IN_PLACE if self.is_terminal else self.EVERY):
            self.told = time.monotonic()
            share = (batch_index + 1) / trainer.num_training_batches
            self._print(trainer, f"{share:4.0%} of the epoch", trainer.current_epoch + share, "\r" if self.is_terminal else "\n")

    def on_train_epoch_end(self, trainer: L.Trainer, module: Classifier) -> None:  # type: ignore[override]
        self.told = time.monotonic()
        metrics = module.epoch_metrics()
        found = "  ".join(
            f"{split} loss {metrics[f'{split}/loss']:.4f} accuracy {metrics[f'{split}/accuracy']:.4f}" for split in ("train", "validation")
        )
        self._print(trainer, found, trainer.current_epoch + 1, "\n")

    def _print(self, trainer: L.Trainer, what: str, done: float, end: str) -> None:
        spent, made = time.monotonic() - self.start, done - self.first
        left = self.budget.seconds - self.budget.before - spent if self.budget else spent / made * ((trainer.max_epochs or 0) - done)
        last = "" if self.budget else f"/{trainer.max_epochs}"
        rate = self.images * made / spent
        line = f"epoch {trainer.current_epoch + 1:3}{last}  {what}  {rate:,.0f} images/s  {duration(max(0.0, left))} left"
        print(f"{line}\033[K" if self.is_terminal else line, end=end, flush=True)


def duration(seconds: float) -> str:
    """Return h:mm:ss, or m:ss below an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
