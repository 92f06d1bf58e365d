"""Checkpoints at ends of epochs, and nowhere else: written within one they do not resume to the same bits (docs/decisions/0011)."""

import sys
import time

import lightning as L
from lightning.pytorch.callbacks import Callback

from pipeline.training.checkpoints import Checkpoints

MOST_FAILURES = 3  # in a row: a disk that stays full


class Saver(Callback):
    """Writes a checkpoint after an epoch where the last one is old enough, and after the last epoch; the last part of a course.

    every: seconds between two at least."""

    def __init__(self, checkpoints: Checkpoints, every: float) -> None:
        self.checkpoints = checkpoints
        self.every = every
        self.saved = time.monotonic()
        self.failures = 0

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        done = trainer.current_epoch + 1
        is_last = trainer.should_stop or done == trainer.max_epochs
        is_due = is_last or time.monotonic() - self.saved >= self.every
        if trainer.strategy.broadcast(is_due):  # rank 0's clock counts
            self._save(trainer, done)

    def _save(self, trainer: L.Trainer, done: int) -> None:
        try:
            trainer.save_checkpoint(self.checkpoints.place(done))
        except OSError as error:
            trainer.strategy.barrier()  # where the other ranks are, which write nothing
            self.failures += 1
            if self.failures == MOST_FAILURES:
                raise
            print(f"note: no checkpoint after epoch {done}: {error.strerror}. The one before stays; training goes on", file=sys.stderr)
        else:
            self.failures = 0
            self.saved = time.monotonic()
