from types import SimpleNamespace
from typing import Any

import pytest
import torch

from pipeline.training.callbacks import BestEpoch, Historian, Progress, duration


def trainer(epoch: int = 0) -> Any:
    """What the callbacks look at of a trainer."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 0.25)
    return SimpleNamespace(current_epoch=epoch, max_epochs=4, optimizers=[optimizer], num_training_batches=10, should_stop=False)


METRICS = {"train/accuracy": 0.25, "train/loss": 1.5, "validation/accuracy": 0.75, "validation/loss": 0.5}


def module(**metrics: float) -> Any:
    """What they look at of the module after an epoch on 1,000 images."""
    found = METRICS | {name.replace("_", "/"): value for name, value in metrics.items()}
    network = torch.nn.Linear(1, 1)
    return SimpleNamespace(epoch_metrics=lambda: found, images_of_epoch=1000, kept=network)


class Told:
    def __init__(self) -> None:
        self.metrics: list[tuple[dict[str, float], int]] = []

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        self.metrics.append((metrics, step))

    def log_filters(self, weight: Any, step: int) -> None:
        raise AssertionError("the history tells no filters")


def test_the_history_has_a_row_per_epoch_from_1_and_tells_each_at_once_with_its_times(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told()
    historian = Historian(told)
    clock = iter([0.0, 4.0, 5.0, 10.0, 12.0, 12.5])  # seconds: an epoch's start, its validation, its end
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    for epoch in (0, 1):
        historian.on_train_epoch_start(trainer(epoch), module())
        historian.on_validation_start(trainer(epoch), module())
        historian.on_train_epoch_end(trainer(epoch), module())
    metrics = {**METRICS, "learning_rate": 0.25}
    assert told.metrics == [
        ({**metrics, "epoch_seconds": 5.0, "images_per_second": 250.0}, 1),
        ({**metrics, "epoch_seconds": 2.5, "images_per_second": 500.0}, 2),
    ]
    assert historian.rows == [{"epoch": 1, **metrics}, {"epoch": 2, **metrics}]  # without times: equal work has equal bytes


def after(*losses: float, patience: int | None = None) -> tuple[BestEpoch, Any]:
    """Go through epochs of these validation losses; return what was kept, and the trainer of the last epoch."""
    historian = Historian(Told())
    best, last = BestEpoch(historian, "validation/loss", patience), trainer()
    for epoch, loss in enumerate(losses):
        last, at = trainer(epoch), module(validation_loss=loss)
        torch.nn.init.constant_(at.kept.weight, epoch + 1)
        historian.on_train_epoch_start(last, at)
        historian.on_validation_start(last, at)
        historian.on_train_epoch_end(last, at)
        best.on_train_epoch_end(last, at)
    return best, last


def test_the_weights_of_the_best_epoch_are_kept_the_first_of_equal_ones() -> None:
    best, _ = after(0.5, 0.3, 0.3, 0.4)
    assert best.row["epoch"] == 2
    assert best.weights["weight"].item() == 2


@pytest.mark.parametrize(("losses", "stops"), [((0.5, 0.6), False), ((0.5, 0.6, 0.6), True), ((0.5, 0.6, 0.4, 0.5), False)])
def test_patience_ends_after_its_epochs_without_a_better_one(losses: tuple[float, ...], stops: bool) -> None:
    assert after(*losses, patience=2)[1].should_stop is stops
    assert not after(*losses)[1].should_stop


def test_a_training_that_was_killed_when_patience_had_ended_stops_at_once() -> None:
    best, _ = after(0.5, 0.6, 0.6, patience=2)
    again = BestEpoch(best.historian, "validation/loss", 2)
    again.load_state_dict(best.state_dict())
    at = trainer(3)
    again.on_fit_start(at, module())
    assert at.should_stop


def test_what_a_checkpoint_holds_is_told_again_to_a_follower_who_may_have_missed_it() -> None:
    told = Told()
    best, _ = after(0.5, 0.3)
    Historian(told).load_state_dict(best.historian.state_dict())
    assert [(metrics["validation/loss"], step) for metrics, step in told.metrics] == [(0.5, 1), (0.3, 2)]
    assert all("epoch" not in metrics for metrics, _ in told.metrics)


@pytest.fixture
def progress() -> Progress:
    callback = Progress(images=1000)
    callback.on_train_start(trainer(), module())
    callback.start -= 20  # seconds ago
    return callback


def test_an_epoch_s_line_has_losses_accuracies_rate_and_time_left(progress: Progress, capsys: pytest.CaptureFixture[str]) -> None:
    progress.on_train_epoch_end(trainer(1), module())
    assert capsys.readouterr().out == (
        "epoch   2/4  train loss 1.5000 accuracy 0.2500  validation loss 0.5000 accuracy 0.7500  100 images/s  0:20 left\n"
    )


def test_a_training_that_goes_on_counts_rate_and_time_from_there(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(images=1000)
    progress.on_train_start(trainer(1), module())
    progress.start -= 20  # seconds ago
    progress.on_train_epoch_end(trainer(2), module())
    assert capsys.readouterr().out.endswith("  100 images/s  0:10 left\n")


def test_on_a_terminal_the_line_of_an_epoch_under_way_is_written_over(progress: Progress, capsys: pytest.CaptureFixture[str]) -> None:
    progress.is_terminal = True
    progress.told -= 1
    progress.on_train_batch_end(trainer(1), module(), None, None, 4)
    assert capsys.readouterr().out == "epoch   2/4   50% of the epoch  75 images/s  0:33 left\033[K\r"


def test_with_a_budget_its_time_is_what_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(images=1000, budget=60)
    progress.on_train_start(trainer(), module())
    progress.start -= 20  # seconds ago
    progress.on_train_epoch_end(trainer(1), module())
    assert capsys.readouterr().out.startswith("epoch   2  train loss")


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
