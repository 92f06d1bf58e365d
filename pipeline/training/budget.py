"""A training that ends, annealed, when its time is over: the schedule follows the clock instead of the steps."""

import time
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from torch.optim.lr_scheduler import LRScheduler

from pipeline.config.errors import ConfigError
from pipeline.training.schedules import OfShare

UNITS = {"s": 1, "m": 60, "h": 3600}  # seconds


class Budget(Callback):
    """Stops the training after its time. time: 90s, 30m or 2h of training and validation, all starts of a resumed one together."""

    def __init__(self, budget: str) -> None:
        self.seconds = float(budget[:-1]) * UNITS[budget[-1]]
        self.before = 0.0  # seconds that earlier starts have used
        self.start = time.monotonic()
        self.over = 0.0  # share of the time, as all ranks have it

    def share(self) -> float:
        """Return the share of the time that was over after the last step, 0..1."""
        return self.over

    def drive(self, scheduler: LRScheduler) -> None:
        """Let a schedule follow the clock. Raises ConfigError for one that can't."""
        if not isinstance(scheduler, OfShare):
            raise ConfigError(
                f"training.budget needs a schedule that is a function of the share that is done, and {type(scheduler).__name__} is one "
                "of the epochs; choose scheduler=warmup_cosine, one_cycle or triangle",
                "training.budget",
            )
        scheduler.clock = self.share

    def state_dict(self) -> dict[str, Any]:
        return {"used": self.before + time.monotonic() - self.start}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.before = state["used"]
        self.over = min(1.0, self.before / self.seconds)

    def on_fit_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.start = time.monotonic()
        self._stop_in_time(trainer)

    def on_train_batch_end(self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, batch_index: int) -> None:
        self._stop_in_time(trainer)

    def _stop_in_time(self, trainer: L.Trainer) -> None:
        over = min(1.0, (self.before + time.monotonic() - self.start) / self.seconds)
        self.over = trainer.strategy.broadcast(over)  # rank 0's clock counts
        if self.over >= 1:
            trainer.should_stop = True
