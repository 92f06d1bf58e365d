"""What happens at the end of an epoch beside learning: the history, and a line that a person can follow."""

import time
from collections.abc import Callable
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

OnEpoch = Callable[[dict[str, float], int], None]  # (metrics, epoch)


class Historian(Callback):
    """Keeps every epoch's metrics, which go into the bundle, and tells them to whoever tracks the run."""

    def __init__(self, on_epoch: OnEpoch) -> None:
        self.rows: list[dict[str, float]] = []
        self.on_epoch = on_epoch

    def on_train_epoch_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.rate = trainer.optimizers[0].param_groups[0]["lr"]  # at the epoch's end it is already the next one's

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        metrics = {**dict(sorted(metrics.items())), "learning_rate": self.rate}
        self.rows.append({"epoch": trainer.current_epoch + 1, **metrics})
        self.on_epoch(metrics, trainer.current_epoch + 1)


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
