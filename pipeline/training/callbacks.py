"""The callbacks of a training (hooks: loop.Callback): history, best epoch, time budget, progress, checkpoints."""

import math
import sys
import time
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler

from pipeline.config.errors import ConfigError
from pipeline.dataset.progress import duration
from pipeline.training.checkpoints import Checkpoints
from pipeline.training.loop import Callback, Loop
from pipeline.training.schedules import OfShare

Filters = NDArray[np.float32]  # (out, in, kh, kw)
Row = dict[str, float]  # metric -> value

UNITS = {"s": 1, "m": 60, "h": 3600}  # seconds
MOST_FAILURES = 3  # checkpoints in a row that can't be written: by then the disk will stay full


class Logger(Protocol):
    """Where a training is logged while it runs. What is logged twice for the same step counts once."""

    def log_metrics(self, metrics: dict[str, float], step: int) -> None: ...

    def log_filters(self, weight: Filters, step: int) -> None: ...

    def log_file(self, file: Path, folder: str | None = None) -> None: ...

    def fail(self, reason: str) -> None: ...  # before this process is ended


class History(Callback):
    """Keeps every epoch's metrics for the bundle, and logs them together with times.

    The times stay out of the bundle: equal work gives equal bytes."""

    def __init__(self, logger: Logger) -> None:
        self.rows: list[Row] = []
        self.logger = logger

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.rows = state["rows"]
        for row in self.rows:  # a killed process may not have logged all that its checkpoint holds
            self.logger.log_metrics({name: value for name, value in row.items() if name != "epoch"}, int(row["epoch"]))

    def on_epoch_end(self, loop: Loop) -> None:
        metrics = {**loop.metrics, "learning_rate": loop.lr}
        self.rows.append({"epoch": loop.epoch, **metrics})
        times = {
            "epoch_seconds": time.perf_counter() - loop.epoch_start,  # validation included
            "images_per_second": loop.images / (loop.training_end - loop.epoch_start),
        }
        self.logger.log_metrics(metrics | times, loop.epoch)


class BestEpoch(Callback):
    """Keeps the weights of the epoch with the best `monitor`, the first of equal ones; stops when it no longer improves.

    patience: epochs without improvement before stopping; None: never stop."""

    def __init__(self, history: History, monitor: str, patience: int | None) -> None:
        self.history = history
        self.monitor = monitor
        self.sign = 1 if monitor.endswith("loss") else -1  # 1 where lower is better, -1 where higher is
        self.patience = patience
        self.row: Row = {}
        self.weights: dict[str, Tensor] = {}

    def state_dict(self) -> dict[str, Any]:
        return {"row": self.row, "weights": self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.row, self.weights = state["row"], state["weights"]

    def on_train_start(self, loop: Loop) -> None:
        self._stop_if_patience_ends(loop)  # it may have ended just before a kill

    def on_epoch_end(self, loop: Loop) -> None:
        row = self.history.rows[-1]
        if self.sign * row[self.monitor] < self.sign * self.row.get(self.monitor, self.sign * math.inf):
            self.row = row
            self.weights = {name: value.detach().cpu().clone() for name, value in loop.module.kept.state_dict().items()}
        self._stop_if_patience_ends(loop)

    def _stop_if_patience_ends(self, loop: Loop) -> None:
        if self.patience and self.row and len(self.history.rows) - self.row["epoch"] >= self.patience:
            loop.should_stop = True


class Budget(Callback):
    """Ends a training when its time is up, with the rate annealed: the schedule follows the clock instead of the steps.

    limit: 90s, 30m or 2h of training and validation, over all starts of a training that was resumed."""

    def __init__(self, limit: str) -> None:
        self.seconds = float(limit[:-1]) * UNITS[limit[-1]]
        self.before = 0.0  # seconds used by earlier starts
        self.start = time.monotonic()  # again when training starts
        self.share = 0.0  # of the time, used up after the last step; the same on all ranks

    def progress(self) -> float:
        """Return the share of the time that was used up after the last step, 0..1."""
        return self.share

    def drive(self, scheduler: LRScheduler) -> None:
        """Let a schedule follow the clock. Raises ConfigError for one that can't."""
        if not isinstance(scheduler, OfShare):
            raise ConfigError(
                f"training.budget needs a schedule that follows the training's progress, but {type(scheduler).__name__} counts epochs; "
                "choose scheduler=warmup_cosine, one_cycle or triangle",
                "training.budget",
            )
        scheduler.clock = self.progress

    def state_dict(self) -> dict[str, Any]:
        return {"used": self._used()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.before = state["used"]
        self.share = min(1.0, self.before / self.seconds)

    def on_train_start(self, loop: Loop) -> None:
        self.start = time.monotonic()
        self._stop_when_used_up(loop)

    def on_step_end(self, loop: Loop) -> None:
        self._stop_when_used_up(loop)

    def _used(self) -> float:
        """Return the seconds that all starts have used."""
        return self.before + time.monotonic() - self.start

    def _stop_when_used_up(self, loop: Loop) -> None:
        self.share = loop.fabric.broadcast(min(1.0, self._used() / self.seconds))  # rank 0's clock counts
        if self.share >= 1:
            loop.should_stop = True


class Progress(Callback):
    """Prints a line per epoch with speed and time left, and lines within long epochs, which overwrite each other on a terminal.

    images: that an epoch trains on."""

    EVERY = 10.0  # seconds between lines within an epoch, in a log
    EVERY_ON_TERMINAL = 0.5

    def __init__(self, images: int, budget: Budget | None = None) -> None:
        self.images = images
        self.budget = budget
        self.is_terminal = sys.stdout.isatty()
        self.start = self.printed = time.monotonic()  # when training started, and when the last line was printed
        self.epochs_before = 0  # done by earlier starts of a resumed training

    def on_train_start(self, loop: Loop) -> None:
        self.start = self.printed = time.monotonic()
        self.epochs_before = loop.epoch

    def on_step_end(self, loop: Loop) -> None:
        if time.monotonic() - self.printed > (self.EVERY_ON_TERMINAL if self.is_terminal else self.EVERY):
            self.printed = time.monotonic()
            share = loop.batches_done / loop.batches
            self._print(loop, f"{share:4.0%} of the epoch", loop.epoch - 1 + share, "\r" if self.is_terminal else "\n")

    def on_epoch_end(self, loop: Loop) -> None:
        self.printed = time.monotonic()
        metrics = "  ".join(
            f"{split} loss {loop.metrics[f'{split}/loss']:.4f} accuracy {loop.metrics[f'{split}/accuracy']:.4f}"
            for split in ("train", "validation")
        )
        self._print(loop, metrics, loop.epoch, "\n")

    def _print(self, loop: Loop, what: str, epochs: float, end: str) -> None:
        """Print a line after so many epochs, a fraction within one; speed and time left are estimated from this start alone."""
        elapsed, done = time.monotonic() - self.start, epochs - self.epochs_before
        left = self.budget.seconds - self.budget.before - elapsed if self.budget else elapsed / done * ((loop.epochs or 0) - epochs)
        of = "" if self.budget else f"/{loop.epochs}"
        speed = self.images * done / elapsed
        line = f"epoch {loop.epoch:3}{of}  {what}  {speed:,.0f} images/s  {duration(max(0.0, left))} left"
        print(f"{line}\033[K" if self.is_terminal else line, end=end, flush=True)


class Checkpointing(Callback):
    """Writes a checkpoint after an epoch if the last one is old enough, and after the last epoch.

    It has to be the last callback, as it saves the state of all. Within an epoch it writes none: a training would not resume to
    the same bits (docs/decisions/0011). every: the fewest seconds between two."""

    def __init__(self, checkpoints: Checkpoints, every: float) -> None:
        self.checkpoints = checkpoints
        self.every = every
        self.saved = time.monotonic()
        self.failures = 0

    def on_epoch_end(self, loop: Loop) -> None:
        is_last = loop.should_stop or loop.epoch == loop.epochs
        is_due = is_last or time.monotonic() - self.saved >= self.every
        if loop.fabric.broadcast(is_due):  # rank 0's clock counts
            self._save(loop)

    def _save(self, loop: Loop) -> None:
        try:
            if loop.fabric.is_global_zero:
                self.checkpoints.save(loop.state_dict(), self.checkpoints.path_of(loop.epoch))
        except OSError as error:
            self.failures += 1
            if self.failures == MOST_FAILURES:
                raise
            print(
                f"note: no checkpoint after epoch {loop.epoch}: {error.strerror}. The previous one is kept; training continues",
                file=sys.stderr,
            )
        else:
            self.failures = 0
            self.saved = time.monotonic()
