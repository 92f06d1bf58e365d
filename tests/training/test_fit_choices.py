"""What the config can choose of how a network is trained, and that a training goes on where it was stopped."""

import errno
import logging
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.fabric.utilities.rank_zero import rank_zero_module
from torch import nn

from pipeline.bundle import make_network
from pipeline.config.errors import ConfigError
from pipeline.config.schema import Config
from pipeline.dataset.manifest import Manifest
from pipeline.training.callbacks import Budget
from pipeline.training.checkpoints import Checkpoints
from pipeline.training.fit import FitResult, fit, launch_fabric
from tests.training.test_fit import Told, fresh_checkpoints, weights

Train = Callable[..., tuple[nn.Module, FitResult]]
WARMUP = {"name": "warmup", "_target_": "pipeline.training.schedules.WarmupCosine", "start": 0.2, "peak": 0.3, "end": 0.0}
SGD = {"name": "sgd", "_target_": "torch.optim.SGD", "lr": 0.1, "momentum": 0.9}


@pytest.fixture
def train(manifest: Manifest, prepared: Path, tmp_path: Path) -> Train:
    """Trains a fresh network as the stage does."""

    def trained(cfg: Config, follower: Told | None = None, checkpoints: Checkpoints | None = None) -> tuple[nn.Module, FitResult]:
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


def one_step(cfg: Config) -> None:
    """Let the training be one step of plain gradient descent, which moves the weights by the gradient."""
    without_chance(cfg)
    cfg.training.epochs, cfg.training.batch_size, cfg.optimizer = 1, 12, SGD | {"momentum": 0.0, "lr": 1.0}


def start(cfg: Config, manifest: Manifest) -> nn.Module:
    """Return the network before its training."""
    torch.manual_seed(cfg.seed)
    return make_network(cfg.model, manifest, cfg.training.input)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("how", [{}, {"fused": True}])
def test_a_gradient_is_clipped_to_its_length_and_keeps_its_direction(
    how: dict[str, bool], precision: str, cfg: Config, train: Train, manifest: Manifest
) -> None:
    one_step(cfg)
    cfg.optimizer |= how
    cfg.training.precision = precision
    before = weights(start(cfg, manifest))
    whole = weights(train(cfg)[0]) - before
    cfg.training.clip = 0.1
    clipped = weights(train(cfg)[0]) - before
    assert whole.norm() > 0.5  # so that there is something to clip
    assert clipped.norm().item() == pytest.approx(0.1, rel=1e-3)
    torch.testing.assert_close(clipped, 0.1 * whole / whole.norm(), rtol=0, atol=1e-5)


def test_a_gradient_shorter_than_the_clip_is_left_as_it_is(cfg: Config, train: Train) -> None:
    one_step(cfg)
    free = train(cfg)[0]
    cfg.training.clip = 100.0
    assert torch.equal(weights(train(cfg)[0]), weights(free))


def test_bfloat16_computes_the_layers_in_it_and_goes_the_way_of_float32_with_float32_weights(
    cfg: Config, train: Train, manifest: Manifest
) -> None:
    without_chance(cfg)
    before = weights(start(cfg, manifest))
    exact = weights(train(cfg)[0]) - before
    cfg.training.precision = "bf16-mixed"
    network = train(cfg)[0]
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    moved = weights(network) - before
    assert not torch.equal(moved, exact)
    assert (moved - exact).norm() < 0.05 * exact.norm()  # rounding to 8 bits, in nine steps


def test_lightning_announces_no_precision_whichever_of_its_packages_was_imported_last(
    cfg: Config, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = logging.getLogger("pytorch_lightning")
    logger.addHandler(caplog.handler)
    logger.setLevel(logging.INFO)
    monkeypatch.setattr(rank_zero_module, "log", logger)
    cfg.training.precision = "bf16-mixed"
    launch_fabric(cfg.training)
    assert caplog.messages == []


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
    one_step(cfg)
    cfg.training.epochs, cfg.training.average = 2, 0.1  # a tenth of the average before, nine of the weights
    network, fitted = train(cfg)
    assert fitted.filters is not None
    before, first, second = fitted.filters  # of the network that learns
    after = {1: 0.1 * before + 0.9 * first, 2: 0.01 * before + 0.09 * first + 0.9 * second}
    kept = network.get_parameter("layers.conv.weight").detach().numpy()
    np.testing.assert_allclose(kept, after[int(fitted.best["epoch"])], atol=1e-6)
    assert np.abs(kept - fitted.filters).max(axis=(1, 2, 3, 4)).min() > 1e-3  # it is none of them


class Shown(nn.Module):
    """Keeps the gray values that each training image has, once there are no others to be seen."""

    def __init__(self, manifest: Manifest) -> None:
        super().__init__()
        self.mean, self.std = manifest.mean[0], manifest.std[0]
        self.scores = nn.Parameter(torch.zeros(3))
        self.values: list[list[int]] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.training:
            gray = ((images * self.std + self.mean) * 255).round().int()
            self.values += [image.unique().tolist() for image in gray]
        return self.scores.expand(len(images), 3)


def blends(found: list[list[int]]) -> set[int]:
    """Return the grays by their distance from black or white, so that it does not matter which one had the larger share."""
    return {min(gray, 255 - gray) for grays in found for gray in grays}


@pytest.mark.parametrize("choice", [{}, {"mixup": 1.0}, {"cutmix": 1.0}, {"mixup": 1.0, "cutmix": 1.0}])
def test_images_are_mixed_as_the_config_says(
    choice: dict[str, float], cfg: Config, manifest: Manifest, prepared: Path, tmp_path: Path
) -> None:
    shutil.copytree(prepared, tmp_path / "flat")
    levels = np.repeat([0, 255], 6).astype(np.uint8)  # every image is black or white
    np.save(tmp_path / "flat" / "train.npy", np.broadcast_to(levels[:, None, None, None], (12, 8, 8, 1)))
    cfg.augmentation.mixup, cfg.augmentation.cutmix = choice.get("mixup"), choice.get("cutmix")
    cfg.training.epochs, cfg.training.batch_size = 8, 12  # so that a black one and a white one meet in every batch

    def shown(seed: int) -> list[list[int]]:
        cfg.seed = seed
        fit(cfg, network := Shown(manifest), manifest, tmp_path / "flat", fresh_checkpoints(tmp_path), Told())
        return network.values

    found = shown(0)
    has_patched = max(map(len, found)) == 2  # grays in an image
    assert (blends(found) > {0}, has_patched) == ("mixup" in choice, "cutmix" in choice)
    assert found == shown(0)
    assert (blends(found) != blends(shown(1))) is ("mixup" in choice)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*is deprecated. Please switch to:DeprecationWarning")  # torch's own, within its compiler
def test_a_compiled_network_learns_the_same(cfg: Config, train: Train) -> None:
    without_chance(cfg)
    eager = train(cfg)[0]
    cfg.training.compile = True
    assert distance(train(cfg)[0], eager) < 1e-3


def test_a_schedule_by_share_ends_at_its_end_with_the_last_step(cfg: Config, train: Train) -> None:
    cfg.scheduler = {"name": "triangle", "_target_": "pipeline.training.schedules.Triangle", "start": 0.25, "peak": 1 / 3, "end": 0.0}
    rates = [row["learning_rate"] for row in train(cfg)[1].history]  # of the first, fourth and seventh of nine steps
    assert rates == pytest.approx([0.25 * cfg.optimizer["lr"], cfg.optimizer["lr"], 0.5 * cfg.optimizer["lr"]])


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
    assert budget.progress() == 0.75
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

    def save(self, state: dict[str, Any], path: Path) -> None:
        if next(self.room) == "-":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().save(state, path)


def test_a_training_goes_on_without_a_checkpoint_or_two(
    cfg: Config, train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg.machine.checkpoint, cfg.training.epochs = 0, 6
    checkpoints = FullDisk(tmp_path / "full", "--+--+")
    assert len(train(cfg, None, checkpoints)[1].history) == 6
    assert capsys.readouterr().err.count("No space left on device. The previous one is kept; training continues") == 4
    assert checkpoints.latest() == checkpoints.path_of(6)


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
    assert checkpoints.latest() == checkpoints.path_of(len(fitted.history))


def test_a_budget_wants_a_schedule_that_can_follow_the_clock(cfg: Config, train: Train) -> None:
    cfg.training.budget = "2s"
    with pytest.raises(ConfigError, match=r"follows the training's progress, but CosineAnnealingLR counts epochs; choose"):
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
    assert again.layer_filters.keys() == fitted.layer_filters.keys()


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
    assert said.startswith(f"resumes from {tmp_path}/stopped/epoch-000002.ckpt; remove its folder to start from the beginning\nepoch   3/3")
