"""What the config can choose of how a network is trained, and that a training goes on where it was stopped."""

import copy
import errno
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.bundle import make_network
from pipeline.config.errors import ConfigError
from pipeline.config.schema import Config
from pipeline.dataset.manifest import Manifest
from pipeline.training.budget import Budget
from pipeline.training.checkpoints import Checkpoints
from pipeline.training.fit import Fitted, fit
from tests.training.test_fit import Told, fresh_checkpoints, weights

Train = Callable[..., tuple[nn.Module, Fitted]]
WARMUP = {"name": "warmup", "_target_": "pipeline.training.schedules.WarmupCosine", "start": 0.2, "peak": 0.3, "end": 0.0}
SGD = {"name": "sgd", "_target_": "torch.optim.SGD", "lr": 0.1, "momentum": 0.9}


@pytest.fixture
def train(manifest: Manifest, prepared: Path, tmp_path: Path) -> Train:
    """Trains a fresh network as the stage does."""

    def trained(cfg: Config, follower: Told | None = None, checkpoints: Checkpoints | None = None) -> tuple[nn.Module, Fitted]:
        torch.manual_seed(cfg.seed)
        network = make_network(cfg.model, manifest, cfg.training.input)
        return network, fit(cfg, network, manifest, prepared, checkpoints or fresh_checkpoints(tmp_path), follower or Told())

    return trained


def distance(one: nn.Module, other: nn.Module) -> float:
    return (weights(one) - weights(other)).abs().max().item()


def without_chance(cfg: Config) -> None:
    cfg.model["layers"]["dropout"] = None
    cfg.optimizer = dict(SGD)


def test_a_batch_in_parts_gives_the_weights_of_the_whole(cfg: Config, train: Train) -> None:
    without_chance(cfg)
    whole = train(cfg)[0]
    cfg.training.accumulate = 2
    assert distance(train(cfg)[0], whole) < 1e-5


def test_clipped_gradients_make_short_steps(cfg: Config, train: Train) -> None:
    without_chance(cfg)
    cfg.optimizer = SGD | {"momentum": 0.0, "lr": 1.0}
    cfg.scheduler = {"name": "constant", "_target_": "torch.optim.lr_scheduler.ConstantLR", "factor": 1.0}
    fresh = copy.deepcopy(cfg)
    fresh.training.clip = 1e-9
    start = train(fresh)[0]
    cfg.training.clip = 1e-3
    moved = weights(train(cfg)[0]) - weights(start)
    assert 1e-4 < moved.norm() <= 9 * 1e-3 * 1.01  # three epochs of three steps, each of length 0.001


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_clipping_works_with_an_optimizer_that_steps_in_one_piece(precision: str, cfg: Config, train: Train) -> None:
    cfg.optimizer, cfg.training.clip, cfg.training.precision = SGD | {"fused": True}, 0.1, precision
    assert train(cfg)[1].history[-1]["train/loss"] < 1.2


def test_bfloat16_trains_and_leaves_float32_weights(cfg: Config, train: Train) -> None:
    exact = train(cfg)[0]
    cfg.training.precision = "bf16-mixed"
    network, fitted = train(cfg)
    assert 0 < distance(network, exact) < 0.1
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    assert fitted.history[-1]["train/loss"] < fitted.history[0]["train/loss"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="of a machine without a GPU")
def test_half_precision_without_a_gpu_is_refused(cfg: Config, train: Train) -> None:
    cfg.training.precision = "16-mixed"
    with pytest.raises(ConfigError, match="training.precision is 16-mixed, which needs a GPU; choose bf16-mixed or 32-true"):
        train(cfg)


def test_the_layout_in_memory_changes_the_weights_by_rounding_alone(cfg: Config, train: Train) -> None:
    last = train(cfg)[0]
    cfg.training.layout = "contiguous"
    assert distance(train(cfg)[0], last) < 1e-4


def test_the_kept_weights_are_the_average_where_one_is_wanted(cfg: Config, train: Train) -> None:
    plain = train(cfg)[0]
    cfg.training.average = 0.9
    assert distance(train(cfg)[0], plain) > 1e-4


def test_mixed_images_make_another_training(cfg: Config, train: Train) -> None:
    plain = train(cfg)[0]
    cfg.augmentation.mixup = 0.5
    mixed = train(cfg)[0]
    assert distance(mixed, plain) > 1e-4
    assert distance(mixed, train(cfg)[0]) == 0


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*is deprecated. Please switch to:DeprecationWarning")  # torch's own, within its compiler
def test_a_compiled_network_learns_the_same(cfg: Config, train: Train) -> None:
    without_chance(cfg)
    eager = train(cfg)[0]
    cfg.training.compile = True
    assert distance(train(cfg)[0], eager) < 1e-3


def test_a_schedule_by_share_ends_at_its_end_with_the_last_step(cfg: Config, train: Train) -> None:
    cfg.scheduler = dict(WARMUP)
    rates = [row["learning_rate"] for row in train(cfg)[1].history]
    assert rates[0] == pytest.approx(0.2 * cfg.optimizer["lr"])
    assert rates[1] > rates[2] > 0  # of each epoch's first step


def test_a_budget_ends_the_training_in_its_time_with_the_rate_near_its_end(cfg: Config, train: Train) -> None:
    cfg.training.budget, cfg.scheduler = "2s", dict(WARMUP)
    start = time.monotonic()
    _, fitted = train(cfg)
    assert 2 <= time.monotonic() - start < 12
    assert len(fitted.history) > cfg.training.epochs
    assert fitted.history[-1]["learning_rate"] < 0.1 * cfg.optimizer["lr"]
    assert max(row["learning_rate"] for row in fitted.history) > 0.9 * cfg.optimizer["lr"]


def test_a_training_that_goes_on_has_the_rest_of_its_budget() -> None:
    budget = Budget("2m")
    budget.load_state_dict({"used": 90.0})
    assert budget.share() == 0.75
    assert budget.state_dict()["used"] == pytest.approx(90, abs=5)


@pytest.mark.parametrize(("monitor", "best"), [("validation/accuracy", max), ("validation/loss", min)])
def test_the_kept_epoch_is_the_first_with_the_best_of_what_is_monitored(
    monitor: str, best: Callable[..., float], cfg: Config, train: Train
) -> None:
    cfg.training.monitor, cfg.training.epochs = monitor, 8
    fitted = train(cfg)[1]
    values = [row[monitor] for row in fitted.history]
    assert values[0] != best(values)  # so that it has learned
    assert fitted.best == fitted.history[values.index(best(values))]


class FullDisk(Checkpoints):
    """Has no room at some of the times when a checkpoint is written."""

    def __init__(self, folder: Path, room: str) -> None:
        super().__init__(folder, {})
        self.room = iter(room)

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        if next(self.room) == "-":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().save_checkpoint(checkpoint, path, storage_options)


def test_a_training_goes_on_without_a_checkpoint_or_two(
    cfg: Config, train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg.machine.checkpoint, cfg.training.epochs = 0, 6
    checkpoints = FullDisk(tmp_path / "full", "--+--+")
    assert len(train(cfg, None, checkpoints)[1].history) == 6
    assert capsys.readouterr().err.count("No space left on device. The one before stays; training goes on") == 4
    assert checkpoints.latest() == checkpoints.place(6)


def test_a_disk_that_stays_full_ends_the_training(cfg: Config, train: Train, tmp_path: Path) -> None:
    cfg.machine.checkpoint, cfg.training.epochs = 0, 6
    with pytest.raises(OSError, match="No space left on device"):
        train(cfg, None, FullDisk(tmp_path / "full", "+---"))


def test_an_early_stop_leaves_a_checkpoint_of_its_last_epoch(cfg: Config, train: Train, tmp_path: Path) -> None:
    cfg.training.patience, cfg.training.epochs, cfg.optimizer = 1, 20, SGD | {"lr": 1.0}
    cfg.machine.checkpoint = 3600  # seconds, so that only a last epoch writes one
    checkpoints = Checkpoints(tmp_path / "stopped", {})
    fitted = train(cfg, None, checkpoints)[1]
    assert len(fitted.history) < 20
    assert checkpoints.latest() == checkpoints.place(len(fitted.history))


def test_a_budget_wants_a_schedule_that_can_follow_the_clock(cfg: Config, train: Train) -> None:
    cfg.training.budget = "2s"
    with pytest.raises(ConfigError, match=r"a function of the share that is done, and CosineAnnealingLR is one of the epochs; choose"):
        train(cfg)


class Interrupting(Told):
    """Stops the training where the metrics of an epoch are told, as a signal may."""

    def __init__(self, epoch: int) -> None:
        super().__init__()
        self.epoch = epoch

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        if step == self.epoch:
            raise KeyboardInterrupt
        super().log_metrics(metrics, step)


@pytest.mark.parametrize("choice", ["plain", "average and muon", "mixup and dropout", "schedule by share", "patience"])
def test_an_interrupted_training_ends_in_the_same_bits(choice: str, cfg: Config, train: Train, tmp_path: Path) -> None:
    cfg.machine.checkpoint, cfg.training.epochs = 0, 6
    cfg.augmentation.transforms = {"flip": {"_target_": "albumentations.HorizontalFlip", "p": 0.5}}
    if choice == "average and muon":
        cfg.training.average = 0.9
        cfg.optimizer = {"name": "muon", "_target_": "pipeline.training.optimizers.Muon", "lr": 0.05, "momentum": 0.6, "iterations": 3}
        cfg.optimizer |= {"rescale": False, "head_lr": 0.1, "vector_lr": 0.1, "sgd_momentum": 0.9, "weight_decay": 0.0}
    if choice == "mixup and dropout":
        cfg.augmentation.mixup, cfg.model["layers"]["dropout"]["rate"] = 1.0, 0.5
    if choice == "schedule by share":
        cfg.scheduler, cfg.optimizer = dict(WARMUP), dict(SGD)
    if choice == "patience":
        cfg.training.patience, cfg.optimizer = 1, SGD | {"lr": 1.0}
    expected, fitted = train(cfg)
    checkpoints = Checkpoints(tmp_path / "interrupted", {})
    for epoch in (2, 3, 5):
        if epoch <= len(fitted.history):
            with pytest.raises((KeyboardInterrupt, SystemExit)):
                train(cfg, Interrupting(epoch), checkpoints)
    network, again = train(cfg, None, checkpoints)
    assert torch.equal(weights(network), weights(expected))
    assert again.history == fitted.history
    assert again.best == fitted.best
    assert np.array_equal(again.filters, fitted.filters)


def test_one_that_had_ended_and_lost_only_its_bundle_trains_no_more(cfg: Config, train: Train, tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "ended", {})
    network, fitted = train(cfg, None, checkpoints)
    told = Told()
    again, repeated = train(cfg, told, checkpoints)
    assert torch.equal(weights(again), weights(network))
    assert repeated.history == fitted.history
    assert [step for metrics, step in told.metrics if "train/loss" in metrics] == [1, 2, 3]  # what its follower may have missed


def test_it_says_from_where_it_goes_on(cfg: Config, train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cfg.machine.checkpoint = 0
    checkpoints = Checkpoints(tmp_path / "stopped", {})
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        train(cfg, Interrupting(3), checkpoints)
    capsys.readouterr()
    train(cfg, None, checkpoints)
    said = capsys.readouterr().out
    assert said.startswith(f"goes on from {tmp_path}/stopped/epoch-000002.ckpt; remove its folder to start from the beginning\nepoch   3/3")
