"""What is told of a training's health once an epoch, and that looking changes nothing."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pipeline.bundle import make_network
from pipeline.config.schema import Config
from pipeline.dataset.loaders import PackedImages, loader
from pipeline.dataset.manifest import Manifest
from pipeline.training.fit import launch_fabric, make_classifier, train_images, train_loader
from pipeline.training.health import MOST, SAMPLE, Health, dead_units, learning_weights, shown
from pipeline.training.loop import Loop

RATE = 0.05

Told = list[tuple[dict[str, float], int]]
Train = Callable[..., Told]


class Notes:
    """Follows a training: what was told, with its epoch."""

    def __init__(self) -> None:
        self.told: Told = []

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        self.told.append((metrics, step))

    def log_filters(self, weight: Any, step: int) -> None:
        raise AssertionError("health logs no filters")

    def fail(self, reason: str) -> None:
        raise AssertionError(reason)


@pytest.fixture
def plain(cfg: Config) -> Config:
    """Two epochs of three steps of plain gradient descent, without dropout or normalisation."""
    cfg.training.epochs = 2
    cfg.training.layout = "contiguous"
    cfg.model["layers"]["dropout"]["rate"] = 0.0
    cfg.optimizer = {"name": "sgd", "_target_": "torch.optim.SGD", "lr": RATE}
    cfg.scheduler = {"name": "constant", "_target_": "torch.optim.lr_scheduler.ConstantLR", "factor": 1.0}
    return cfg


@pytest.fixture
def train(manifest: Manifest, prepared: Path) -> Train:
    """Trains a network with a watcher, or without; what was told."""

    def trained(cfg: Config, network: nn.Module, is_watched: bool = True) -> Told:
        notes = Notes()
        images, batches = PackedImages(prepared, "validation"), train_loader(cfg, train_images(cfg, prepared))
        health = [Health(notes, images.spread(SAMPLE))] if is_watched else []
        loop = Loop(launch_fabric(cfg.training), make_classifier(cfg, network, manifest), cfg.training.epochs * len(batches), health)
        loop.fit(batches, loader(images, cfg.training.batch_size), cfg.training.epochs)
        return notes.told

    return trained


@pytest.fixture
def network(plain: Config, manifest: Manifest) -> nn.Module:
    torch.manual_seed(0)
    return make_network(plain.model, manifest, None)


def weights(network: nn.Module) -> Tensor:
    return torch.cat([value.flatten() for value in network.state_dict().values()])


def test_each_epoch_tells_every_layer_once_under_its_number(plain: Config, network: nn.Module, train: Train) -> None:
    told = train(plain, network)
    assert [epoch for _, epoch in told] == [1, 2]
    of_weights = {f"{kind}/layers.{layer}" for kind in ("gradient", "weight", "update") for layer in ("conv", "scores")}
    assert all(set(metrics) == of_weights | {"dead/layers.relu"} for metrics, _ in told)


def test_the_update_is_the_share_by_which_the_step_moved_the_weights(plain: Config, network: nn.Module, train: Train) -> None:
    for metrics, _ in train(plain, network):
        for layer in ("layers.conv", "layers.scores"):
            moved = RATE * metrics[f"gradient/{layer}"] / metrics[f"weight/{layer}"]
            assert metrics[f"update/{layer}"] == pytest.approx(moved, rel=1e-4)


def test_of_one_step_an_epoch_the_numbers_are_those_of_the_training_itself(plain: Config, network: nn.Module, train: Train) -> None:
    plain.training.batch_size, plain.training.epochs = 12, 1
    weight = network.get_parameter("layers.conv.weight")
    before, size = weight.detach().clone(), weight.norm().item()
    [(metrics, _)] = train(plain, network)
    moved = (weight.detach() - before).norm().item()
    assert metrics["weight/layers.conv"] == pytest.approx(size)
    assert metrics["gradient/layers.conv"] == pytest.approx(moved / RATE, rel=1e-4)
    assert metrics["update/layers.conv"] == pytest.approx(moved / size, rel=1e-4)


@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_a_watched_training_has_the_bits_of_one_that_is_not(plain: Config, manifest: Manifest, train: Train, rate: float) -> None:
    plain.model["layers"]["dropout"]["rate"] = rate
    plain.model["layers"] = {"norm": {"kind": "batch_norm"}, **plain.model["layers"]}
    torch.manual_seed(0)
    watched = make_network(plain.model, manifest, None)
    alone, start = copy.deepcopy(watched), weights(watched)
    train(plain, watched)
    train(plain, alone, is_watched=False)
    assert torch.equal(weights(watched), weights(alone))
    assert not torch.equal(weights(watched), start)


def test_a_batch_in_parts_has_the_gradient_of_the_whole(plain: Config, network: nn.Module, train: Train) -> None:
    parted = copy.deepcopy(network)
    whole = train(plain, network)
    plain.training.accumulate = 2
    for (one, _), (other, _) in zip(whole, train(plain, parted), strict=True):
        assert one == pytest.approx(other, rel=1e-3)


def test_gradients_are_told_before_they_are_clipped_and_updates_after(plain: Config, network: nn.Module, train: Train) -> None:
    plain.training.batch_size, plain.training.epochs, plain.training.clip = 12, 1, 0.01
    [(metrics, _)] = train(plain, network)
    steps = [metrics[f"update/layers.{layer}"] * metrics[f"weight/layers.{layer}"] / RATE for layer in ("conv", "scores")]
    assert metrics["gradient/layers.scores"] > 0.1
    assert max(steps) < 0.01


def test_mixed_precision_tells_about_the_same(plain: Config, network: nn.Module, train: Train) -> None:
    mixed = copy.deepcopy(network)
    exact = train(plain, network)
    plain.training.precision = "bf16-mixed"
    for (one, _), (other, _) in zip(exact, train(plain, mixed), strict=True):
        assert one == pytest.approx(other, rel=0.1, abs=0.01)


def test_frozen_layers_are_left_out(plain: Config, network: nn.Module, train: Train) -> None:
    network.get_submodule("layers.conv").requires_grad_(requires_grad=False)
    told = train(plain, network)
    assert {name.partition("/")[2] for metrics, _ in told for name in metrics} == {"layers.scores", "layers.relu"}


def test_a_layer_that_gets_no_gradient_and_one_that_is_dead_are_named_once(
    plain: Config, network: nn.Module, train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    with torch.no_grad():
        network.get_parameter("layers.conv.bias")[:] = -1e4
    told = train(plain, network)
    assert [metrics["dead/layers.relu"] for metrics, _ in told] == [1.0, 1.0]
    assert capsys.readouterr().out.splitlines() == [
        "warning: in epoch 1 layers.conv got no gradient: it learns nothing",
        "warning: in epoch 1 layers.scores got no gradient: it learns nothing",
        "warning: in epoch 1 layers.relu was 0 for every image looked at: it is dead",
    ]


def test_layers_with_filters_or_a_matrix_are_watched_and_no_biases_or_scales() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 2))
    assert list(learning_weights(network)) == ["0", "3"]


# Dead units


class Twice(nn.Module):
    """A ReLU that is used for maps and for values."""

    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU()

    def forward(self, maps: Tensor) -> Tensor:
        return self.relu(self.relu(maps).sum(dim=(2, 3)) - 3)


def test_a_channel_is_dead_where_it_is_0_at_every_place_of_every_image_and_a_shared_relu_counts_in_each_use() -> None:
    images = torch.full((2, 4, 2, 2), -1.0)  # channels 2 and 3 are dead in the first use
    images[0, 0] = images[1, 1, 0, 0] = 1.0  # sums of 4 and 1: channel 0 alone answers in the second
    assert dead_units(Twice(), images) == {"relu": pytest.approx((2 + 3) / 8)}


def test_looking_for_dead_units_draws_nothing_and_leaves_modes_buffers_and_hooks() -> None:
    network = nn.Sequential(nn.BatchNorm2d(1), nn.ReLU(), nn.Dropout(), nn.Flatten())
    network[0].eval()
    before, chance = weights(network), torch.get_rng_state()
    dead_units(network, torch.rand(3, 1, 2, 2, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(weights(network), before)
    assert torch.equal(torch.get_rng_state(), chance)
    assert [layer.training for layer in network.modules()] == [True, False, True, True, True]
    assert not any(layer._forward_hooks for layer in network.modules())


def test_dead_units_of_a_compiled_network_are_seen() -> None:
    network = nn.Sequential(nn.ReLU())
    network.compile(backend="eager")
    network(torch.ones(2, 1))
    assert dead_units(network, torch.tensor([[1.0, -1.0]])) == {"0": 0.5}


# Many layers


def test_few_layers_have_a_chart_each_and_of_many_the_first_the_last_and_the_range() -> None:
    few = {f"layer{place}": float(place) for place in range(MOST)}
    assert shown(few) == few
    many = {"first": 5.0, **few, "last": 6.0}
    assert shown(many) == {"first": 5.0, "last": 6.0, "least": 0.0, "median": 5.5, "largest": 11.0}
