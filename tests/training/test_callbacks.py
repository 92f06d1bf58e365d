from types import SimpleNamespace
from typing import Any

import pytest
import torch

from pipeline.training.callbacks import Historian, Progress, duration


def trainer(epoch: int = 0, **metrics: float) -> Any:
    """What the callbacks look at of a trainer."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 0.25)
    found = {name.replace("_", "/"): torch.tensor(value) for name, value in metrics.items()}
    return SimpleNamespace(current_epoch=epoch, max_epochs=4, callback_metrics=found, optimizers=[optimizer], num_training_batches=10)


METRICS = {"validation_loss": 0.5, "train_loss": 1.5, "train_accuracy": 0.25, "validation_accuracy": 0.75}


class Told:
    def __init__(self) -> None:
        self.metrics: list[tuple[dict[str, float], int]] = []

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        self.metrics.append((metrics, step))

    def log_filters(self, weight: Any, step: int) -> None:
        raise AssertionError("the history tells no filters")


def test_the_history_has_a_row_per_epoch_from_1_and_tells_each_at_once_with_its_times(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told()
    historian = Historian(told, images=1000)
    clock = iter([0.0, 4.0, 5.0, 10.0, 12.0, 12.5])  # seconds: an epoch's start, its validation, its end
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    for epoch in (0, 1):
        historian.on_train_epoch_start(trainer(epoch), None)  # type: ignore[arg-type]
        historian.on_validation_start(trainer(epoch), None)  # type: ignore[arg-type]
        historian.on_train_epoch_end(trainer(epoch, **METRICS), None)  # type: ignore[arg-type]
    metrics = {"train/accuracy": 0.25, "train/loss": 1.5, "validation/accuracy": 0.75, "validation/loss": 0.5, "learning_rate": 0.25}
    assert told.metrics == [
        ({**metrics, "epoch_seconds": 5.0, "images_per_second": 250.0}, 1),
        ({**metrics, "epoch_seconds": 2.5, "images_per_second": 500.0}, 2),
    ]
    assert historian.rows == [{"epoch": 1, **metrics}, {"epoch": 2, **metrics}]  # without times: equal work has equal bytes
    assert list(historian.rows[0]) == ["epoch", *metrics]  # the columns' order does not depend on when a metric came


@pytest.fixture
def progress() -> Progress:
    callback = Progress(images=1000)
    callback.on_train_start(trainer(), None)  # type: ignore[arg-type]
    callback.start -= 20  # seconds ago
    return callback


def test_an_epoch_s_line_has_losses_accuracies_rate_and_time_left(progress: Progress, capsys: pytest.CaptureFixture[str]) -> None:
    progress.on_train_epoch_end(trainer(1, **METRICS), None)  # type: ignore[arg-type]
    assert capsys.readouterr().out == (
        "epoch   2/4  train loss 1.5000 accuracy 0.2500  validation loss 0.5000 accuracy 0.7500  100 images/s  0:20 left\n"
    )


def test_a_long_epoch_gets_a_line_every_few_seconds(progress: Progress, capsys: pytest.CaptureFixture[str]) -> None:
    progress.on_train_batch_end(trainer(1), None, None, None, 4)  # type: ignore[arg-type]
    assert capsys.readouterr().out == ""
    progress.told -= 11
    progress.on_train_batch_end(trainer(1), None, None, None, 4)  # type: ignore[arg-type]
    assert capsys.readouterr().out == "epoch   2/4   50% of the epoch  75 images/s  0:33 left\n"
    progress.on_train_batch_end(trainer(1), None, None, None, 5)  # type: ignore[arg-type]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (61, "1:01"), (3599.4, "59:59"), (3600, "1:00:00"), (7384, "2:03:04")]
)
def test_durations_are_written_as_on_a_clock(seconds: float, text: str) -> None:
    assert duration(seconds) == text
