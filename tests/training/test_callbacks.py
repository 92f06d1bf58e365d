"""What follows a training, on trainings of one step an epoch whose losses are known before."""

import math
import re
import time
from typing import Any

import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from pipeline.config.errors import Settled
from pipeline.config.schema import Config
from pipeline.dataset.manifest import Manifest
from pipeline.training.callbacks import BestEpoch, Budget, History, Progress
from pipeline.training.loop import Callback, Loop
from pipeline.training.pruning import Pruning
from tests.training.test_classifier import classifier, train_on

IMAGES = (torch.zeros(4, 8, 8, 1, dtype=torch.uint8), torch.zeros(4, dtype=torch.int64))  # all of the first class of three
LOSS = 1.5  # in training


class Foretold(nn.Module):
    """Has the loss LOSS in training, and in the validation of its n-th epoch the n-th of these."""

    def __init__(self, *losses: float) -> None:
        super().__init__()
        self.losses = losses
        self.zero = nn.Parameter(torch.zeros(1))  # an optimizer wants something to learn
        self.register_buffer("steps", torch.zeros(1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.steps += 1
        loss = LOSS if self.training else self.losses[int(self.steps) - 1]
        score = -math.log((math.exp(loss) - 1) / 2)  # of the first class, where the cross-entropy is to be the loss
        return torch.tensor([score, 0, 0]).expand(len(images), 3) + 0 * self.zero


class Told:
    def __init__(self) -> None:
        self.metrics: list[tuple[dict[str, float], int]] = []

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        self.metrics.append((metrics, step))

    def log_filters(self, weight: NDArray, step: int) -> None:
        raise AssertionError("the history tells no filters")

    def fail(self, reason: str) -> None:
        raise AssertionError(reason)


class Watched:
    """A training with its history, the best epoch of it, and who is told."""

    def __init__(self, cfg: Config, manifest: Manifest, network: nn.Module, patience: int | None = None, monitor: str = "loss") -> None:
        self.module = classifier(manifest, cfg.training, network)
        self.told = Told()
        self.history = History(self.told)
        self.best = BestEpoch(self.history, f"validation/{monitor}", patience)

    def train(self, epochs: int, checkpoint: dict[str, Any] | None = None) -> "Watched":
        self.loop = train_on(self.module, [IMAGES], epochs, self.history, self.best, checkpoint=checkpoint)
        return self


def test_the_history_has_a_row_for_each_epoch_with_the_rate_that_it_used(cfg: Config, manifest: Manifest) -> None:
    watched = Watched(cfg, manifest, Foretold(0.5, 1.25, 0.25)).train(3)
    losses, accuracies, rates = (0.5, 1.25, 0.25), (1, 0, 1), (0.1, 0.1, 0.01)  # StepLR: a tenth after every second epoch
    assert len(watched.history.rows) == 3
    for epoch, row in enumerate(watched.history.rows):
        assert row == pytest.approx(
            {
                "epoch": epoch + 1,
                "train/accuracy": 0,
                "train/loss": LOSS,
                "validation/accuracy": accuracies[epoch],
                "validation/loss": losses[epoch],
                "learning_rate": rates[epoch],
            }
        )


class Slow(Foretold):
    TRAINING, VALIDATION = 0.05, 0.4  # seconds

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        time.sleep(self.TRAINING if self.training else self.VALIDATION)
        return super().forward(images)


def test_each_epoch_is_told_with_its_seconds_and_the_images_in_those_of_them_that_trained(cfg: Config, manifest: Manifest) -> None:
    start = time.perf_counter()
    watched = Watched(cfg, manifest, Slow(0.5, 0.4)).train(2)
    elapsed = time.perf_counter() - start
    assert [step for _, step in watched.told.metrics] == [1, 2]
    for (metrics, _), row in zip(watched.told.metrics, watched.history.rows, strict=True):
        assert metrics == {
            **{name: value for name, value in row.items() if name != "epoch"},
            "epoch_seconds": metrics["epoch_seconds"],
            "images_per_second": metrics["images_per_second"],
        }
        trained = len(IMAGES[1]) / metrics["images_per_second"]
        assert trained >= Slow.TRAINING
        assert metrics["epoch_seconds"] >= trained + Slow.VALIDATION
    assert sum(metrics["epoch_seconds"] for metrics, _ in watched.told.metrics) <= elapsed


@pytest.mark.parametrize(
    ("monitor", "losses"),
    [("loss", (0.5, 0.3, 0.3, 0.4)), ("accuracy", (1.25, 0.6, 0.5, 1.3))],  # above log 3 the first class is not the likeliest
)
def test_the_weights_of_the_best_epoch_are_kept_the_first_of_equal_ones(
    monitor: str, losses: tuple[float, ...], cfg: Config, manifest: Manifest
) -> None:
    watched = Watched(cfg, manifest, Foretold(*losses), monitor=monitor).train(4)
    assert watched.best.row["epoch"] == 2
    assert watched.best.weights["steps"].item() == 2


@pytest.mark.parametrize(
    ("losses", "patience", "epochs"),
    [
        ((0.5, 0.6, 0.6, 0.1), 2, 3),
        ((0.5, 0.5, 0.1), 1, 2),
        ((0.5, 0.6, 0.4, 0.5, 0.1), 2, 5),
        ((0.5, 0.6, 0.6, 0.6), None, 4),
    ],
)
def test_patience_ends_after_its_epochs_without_a_better_one(
    losses: tuple[float, ...], patience: int | None, epochs: int, cfg: Config, manifest: Manifest
) -> None:
    watched = Watched(cfg, manifest, Foretold(*losses), patience).train(len(losses))
    assert len(watched.history.rows) == epochs


def test_a_training_that_was_killed_when_patience_had_ended_trains_no_more(cfg: Config, manifest: Manifest) -> None:
    losses = (0.5, 0.6, 0.6, 0.1, 0.1)
    killed = Watched(cfg, manifest, Foretold(*losses), patience=2).train(5)
    again = Watched(cfg, manifest, Foretold(*losses), patience=2).train(5, killed.loop.state_dict())
    assert (len(again.history.rows), again.best.row["epoch"]) == (3, 1)


def test_what_a_checkpoint_holds_is_logged_again_as_the_logger_may_have_missed_it(cfg: Config, manifest: Manifest) -> None:
    first = Watched(cfg, manifest, Foretold(0.5, 0.3, 0.4)).train(2)
    again = Watched(cfg, manifest, Foretold(0.5, 0.3, 0.4)).train(3, first.loop.state_dict())
    timeless = [({name: metrics[name] for name in metrics if "second" not in name}, step) for metrics, step in first.told.metrics]
    assert again.told.metrics[:2] == timeless
    assert [step for _, step in again.told.metrics] == [1, 2, 3] == [row["epoch"] for row in again.history.rows]


METRICS = r"train loss 1\.5000 accuracy 0\.0000  validation loss 0\.5000 accuracy 1\.0000"
TEN = 10 * [tuple(values[:1] for values in IMAGES)]  # batches of one image
SHARE = 10_400  # images of an epoch, so that rates are not at the edge of another number


class Later(Callback):
    """Half an hour later, so a progress is told, when the sixth of ten batches of the second epoch is over."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress

    def on_step_end(self, loop: Loop) -> None:
        if (loop.epoch, loop.batches_done) == (2, 6):
            self.progress.start -= 1800
            self.progress.printed -= 1800


def said(
    progress: Progress,
    cfg: Config,
    manifest: Manifest,
    capsys: pytest.CaptureFixture[str],
    checkpoint: dict[str, Any] | None = None,
) -> str:
    """Train with that progress; return what it printed of the second epoch."""
    module = classifier(manifest, cfg.training, Foretold(*40 * [0.5]))
    train_on(module, TEN, 4, Later(progress), progress, checkpoint=checkpoint)
    return "\n".join(re.findall(r"^epoch   2.*", capsys.readouterr().out, re.MULTILINE))


def test_an_epoch_s_line_has_losses_accuracies_rate_and_time_left_and_a_long_epoch_one_every_few_seconds(
    cfg: Config, manifest: Manifest, capsys: pytest.CaptureFixture[str]
) -> None:
    found = said(Progress(SHARE), cfg, manifest, capsys)
    under_way = r"epoch   2/4   60% of the epoch  9 images/s  45:0\d left"  # 1.6 of 4 epochs in 30 minutes
    assert re.fullmatch(rf"{under_way}\nepoch   2/4  {METRICS}  12 images/s  30:0\d left", found), found


def test_on_a_terminal_the_line_of_an_epoch_under_way_is_written_over(
    cfg: Config, manifest: Manifest, capsys: pytest.CaptureFixture[str]
) -> None:
    progress = Progress(SHARE)
    progress.is_terminal = True
    found = said(progress, cfg, manifest, capsys)
    lines = found.split("\033[K")
    assert re.fullmatch(r"epoch   2/4   60% of the epoch  9 images/s  45:0\d left", lines[0]), found
    assert lines[1].startswith("\repoch   2/4  train loss"), found


def test_with_a_budget_its_time_is_what_is_left(cfg: Config, manifest: Manifest, capsys: pytest.CaptureFixture[str]) -> None:
    found = said(Progress(SHARE, Budget("2h")), cfg, manifest, capsys)
    assert re.search(rf"^epoch   2  {METRICS}  12 images/s  1:(30:00|29:5\d) left$", found, re.MULTILINE), found


def test_with_a_budget_the_time_of_earlier_starts_is_over_too(cfg: Config, manifest: Manifest, capsys: pytest.CaptureFixture[str]) -> None:
    budget = Budget("2h")
    budget.load_state_dict({"used": 3600.0})
    found = said(Progress(SHARE, budget), cfg, manifest, capsys)
    assert re.search(rf"^epoch   2  {METRICS}  12 images/s  (30:00|29:5\d) left$", found, re.MULTILINE), found


def test_a_training_that_goes_on_counts_rate_and_time_from_there(
    cfg: Config, manifest: Manifest, capsys: pytest.CaptureFixture[str]
) -> None:
    killed = Progress(SHARE)
    loop = train_on(classifier(manifest, cfg.training, Foretold(*40 * [0.5])), TEN, 1, Later(killed), killed)
    found = said(Progress(SHARE), cfg, manifest, capsys, loop.state_dict())
    assert re.search(rf"^epoch   2/4  {METRICS}  6 images/s  1:00:[01]\d left$", found, re.MULTILINE), found  # an epoch in half an hour


class Asked:
    """A trial that is given up after its second epoch."""

    def __init__(self) -> None:
        self.told: list[tuple[int, float]] = []

    def claim(self, key: str) -> None:
        raise AssertionError("the stage claims")

    def report(self, epoch: int, value: float) -> None:
        self.told.append((epoch, value))
        if epoch == 2:
            raise Settled("pruned after epoch 2")


def test_a_sweep_is_told_the_monitor_of_each_epoch_and_may_end_the_training(cfg: Config, manifest: Manifest) -> None:
    trial = Asked()
    module = classifier(manifest, cfg.training, Foretold(0.5, 1.25, 0.25))
    with pytest.raises(Settled, match="pruned after epoch 2"):
        train_on(module, [IMAGES], 3, Pruning(trial, "validation/loss"))
    assert trial.told == [(1, pytest.approx(0.5)), (2, pytest.approx(1.25))]
