"""What a training tells the sweep whose trial it is, which may end it early."""

from typing import Protocol

from pipeline.training.loop import Callback, Loop


class Trial(Protocol):
    """A trial of a sweep, as the training sees it."""

    @property
    def run(self) -> dict[str, str]: ...  # name and tags of its MLflow run

    def claim(self, key: str) -> None: ...  # Settled where an equal training has ended; waits while one is at work

    def report(self, epoch: int, value: float) -> None: ...  # Settled where the trial is given up


class Pruning(Callback):
    """Tells a sweep each epoch's monitor; the sweep ends a training that is not worth more time."""

    def __init__(self, trial: Trial, monitor: str) -> None:
        self.trial, self.monitor = trial, monitor

    def on_epoch_end(self, loop: Loop) -> None:
        self.trial.report(loop.epoch, loop.metrics[self.monitor])
