"""What follows a training, on trainings of one step an epoch whose losses are known before."""

import math
import re
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from numpy.typing import NDArray
from torch import nn

from pipeline.config.schema import Config
from pipeline.dataset.manifest import Manifest
from pipeline.training.budget import Budget
from pipeline.training.callbacks import BestEpoch, Historian, Progress, duration
from tests.training.test_classifier import classifier, fit_to
from tests.training.test_classifier import pytestmark as pytestmark

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


class Course:
    """A training with its history, the best epoch of it, and who is told."""

    def __init__(self, cfg: Config, manifest: Manifest, network: nn.Module, patience: int | None = None, monitor: str = "loss") -> None:
        self.module = classifier(manifest, cfg.training, network)
        self.told = Told()
        self.historian = Historian(self.told)
        self.best = BestEpoch(self.historian, f"validation/{monitor}", patience)

    def train(self, epochs: int, start: Path | None = None) -> "Course":
        fit_to(self.module, [IMAGES], epochs, self.historian, self.best, start=start)
        return self

    def saved(self, path: Path) -> Path:
        self.module.trainer.save_checkpoint(path)
        return path


def test_the_history_has_a_row_for_each_epoch_with_the_rate_that_it_used(cfg: Config, manifest: Manifest) -> None:
    course = Course(cfg, manifest, Foretold(0.5, 1.25, 0.25)).train(3)
    losses, accuracies, rates = (0.5, 1.25, 0.25), (1, 0, 1), (0.1, 0.1, 0.01)  # StepLR: a tenth after every second epoch
    assert len(course.historian.rows) == 3
    for epoch, row in enumerate(course.historian.rows):
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
    course = Course(cfg, manifest, Slow(0.5, 0.4)).train(2)
    elapsed = time.perf_counter() - start
    assert [step for _, step in course.told.metrics] == [1, 2]
    for (metrics, _), row in zip(course.told.metrics, course.historian.rows, strict=True):
        assert metrics == {
            **{name: value for name, value in row.items() if name != "epoch"},
            "epoch_seconds": metrics["epoch_seconds"],
            "images_per_second": metrics["images_per_second"],
        }
        trained = len(IMAGES[1]) / metrics["images_per_second"]
        assert trained >= Slow.TRAINING
        assert metrics["epoch_seconds"] >= trained + Slow.VALIDATION
    assert sum(metrics["epoch_seconds"] for metrics, _ in course.told.metrics) <= elapsed


@pytest.mark.parametrize(
    ("monitor", "losses"),
    [("loss", (0.5, 0.3, 0.3, 0.4)), ("accuracy", (1.25, 0.6, 0.5, 1.3))],  # above log 3 the first class is not the likeliest
)
def test_the_weights_of_the_best_epoch_are_kept_the_first_of_equal_ones(
    monitor: str, losses: tuple[float, ...], cfg: Config, manifest: Manifest
) -> None:
    course = Course(cfg, manifest, Foretold(*losses), monitor=monitor).train(4)
    assert course.best.row["epoch"] == 2
    assert course.best.weights["steps"].item() == 2


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
    course = Course(cfg, manifest, Foretold(*losses), patience).train(len(losses))
    assert len(course.historian.rows) == epochs


def test_a_training_that_was_killed_when_patience_had_ended_trains_no_more(cfg: Config, manifest: Manifest, tmp_path: Path) -> None:
    losses = (0.5, 0.6, 0.6, 0.1, 0.1)
    killed = Course(cfg, manifest, Foretold(*losses), patience=2).train(5).saved(tmp_path / "killed.ckpt")
    again = Course(cfg, manifest, Foretold(*losses), patience=2).train(5, killed)
    assert (len(again.historian.rows), again.best.row["epoch"]) == (3, 1)


def test_what_a_checkpoint_holds_is_told_again_to_a_follower_who_may_have_missed_it(
    cfg: Config, manifest: Manifest, tmp_path: Path
) -> None:
    first = Course(cfg, manifest, Foretold(0.5, 0.3, 0.4)).train(2)
    again = Course(cfg, manifest, Foretold(0.5, 0.3, 0.4)).train(3, first.saved(tmp_path / "first.ckpt"))
    timeless = [({name: metrics[name] for name in metrics if "second" not in name}, step) for metrics, step in first.told.metrics]
    assert again.told.metrics[:2] == timeless
    assert [step for _, step in again.told.metrics] == [1, 2, 3] == [row["epoch"] for row in again.historian.rows]


METRICS = r"train loss 1\.5000 accuracy 0\.0000  validation loss 0\.5000 accuracy 1\.0000"
TEN = 10 * [tuple(values[:1] for values in IMAGES)]  # batches of one image
SHARE = 10_400  # images of an epoch, so that rates are not at the edge of another number


class Later(Callback):
    """Half an hour later, so a progress is told, when the sixth of ten batches of the second epoch is over."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress

    def on_train_batch_end(self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_index: int) -> None:
        if (trainer.current_epoch, module.next_batch) == (1, 6):
            self.progress.start -= 1800
            self.progress.told -= 1800


def said(progress: Progress, cfg: Config, manifest: Manifest, capsys: pytest.CaptureFixture[str], start: Path | None = None) -> str:
    """Train with that progress, one batch a turn; return what it printed of the second epoch."""
    module = classifier(manifest, cfg.training, Foretold(*40 * [0.5]))
    module.turn = 0
    fit_to(module, TEN, 4, Later(progress), progress, start=start)
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
    cfg: Config, manifest: Manifest, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    fit_to(killed := classifier(manifest, cfg.training, Foretold(*40 * [0.5])), TEN, 1)
    killed.trainer.save_checkpoint(tmp_path / "killed.ckpt")
    found = said(Progress(SHARE), cfg, manifest, capsys, start=tmp_path / "killed.ckpt")
    assert re.search(rf"^epoch   2/4  {METRICS}  6 images/s  1:00:[01]\d left$", found, re.MULTILINE), found  # an epoch in half an hour


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (61, "1:01"), (3599.4, "59:59"), (3600, "1:00:00"), (7384, "2:03:04")]
)
def test_durations_are_written_as_on_a_clock(seconds: float, text: str) -> None:
    assert duration(seconds) == text
