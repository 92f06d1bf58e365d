import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.bundle import Predictor, make_network
from pipeline.config.build import build
from pipeline.config.compose import resolved
from pipeline.config.errors import ConfigError, DataError, DivergedError
from pipeline.config.schema import Config, KeptFilters
from pipeline.dataset.manifest import Manifest
from pipeline.training.checkpoints import Checkpoints
from pipeline.training.filter_history import later_convolutions
from pipeline.training.fit import FitResult, class_weights, fit
from tests.conftest import Compose, MakeConfig


class Told:
    """Follows a training: what was told, with its step."""

    def __init__(self) -> None:
        self.metrics: list[tuple[dict[str, float], int]] = []
        self.filters: list[tuple[NDArray[np.float32], int]] = []

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        self.metrics.append((metrics, step))

    def log_filters(self, weight: NDArray[np.float32], step: int) -> None:
        self.filters.append((weight, step))

    def fail(self, reason: str) -> None:
        raise AssertionError(reason)


Train = Callable[..., tuple[nn.Module, FitResult]]


@pytest.fixture
def train(manifest: Manifest, prepared: Path, tmp_path: Path) -> Train:
    """Trains a fresh network as the stage does."""

    def trained(cfg: Config, images: Path = prepared, follower: Told | None = None) -> tuple[nn.Module, FitResult]:
        checkpoints = fresh_checkpoints(tmp_path)
        torch.manual_seed(cfg.seed)
        network = make_network(cfg.model, manifest, cfg.training.input)
        return network, fit(cfg, network, manifest, images, checkpoints, follower or Told())

    return trained


@pytest.fixture
def misleading(prepared: Path, tmp_path: Path) -> Path:
    """Prepared images whose validation labels are wrong, so that every epoch of learning makes the validation loss worse."""
    shutil.copytree(prepared, tmp_path / "misleading")
    labels = np.load(prepared / "validation_labels.npy")
    np.save(tmp_path / "misleading" / "validation_labels.npy", (labels + 1) % 3)
    return tmp_path / "misleading"


def fresh_checkpoints(folder: Path) -> Checkpoints:
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    return Checkpoints(folder / "checkpoints", {})


def weights(network: nn.Module) -> Tensor:
    return torch.cat([value.flatten() for value in network.state_dict().values()])


def loss(network: nn.Module, manifest: Manifest, prepared: Path, split: str) -> float:
    images, labels = (torch.from_numpy(np.load(prepared / f"{split}{end}.npy")) for end in ("", "_labels"))
    with torch.no_grad():
        return nn.functional.cross_entropy(Predictor(network, manifest, None).eval().scores(images), labels).item()


def test_twelve_images_are_learned_by_heart(cfg: Config, train: Train, manifest: Manifest, prepared: Path) -> None:
    cfg.training.epochs, cfg.optimizer["lr"], cfg.scheduler["T_max"] = 40, 0.01, 40
    network, fitted = train(cfg)
    assert loss(network, manifest, prepared, "train") < 0.02
    assert loss(network, manifest, prepared, "test") < 0.1
    assert fitted.best["validation/accuracy"] == 1
    assert fitted.history[0]["train/loss"] > 0.7


def test_the_same_seed_gives_the_same_weights_to_the_bit_and_another_seed_does_not(cfg: Config, train: Train) -> None:
    cfg.augmentation.transforms = {"flip": {"_target_": "albumentations.HorizontalFlip", "p": 0.5}}
    first, again = train(cfg), train(cfg)
    assert torch.equal(weights(first[0]), weights(again[0]))
    assert first[1].history == again[1].history
    assert np.array_equal(first[1].filters, again[1].filters)
    cfg.seed += 1
    assert not torch.equal(weights(first[0]), weights(train(cfg)[0]))


@pytest.mark.parametrize("chance", ["none", "order", "augmentation", "dropout"])
def test_the_seed_decides_every_chance_beside_the_first_weights(
    chance: str, cfg: Config, manifest: Manifest, prepared: Path, tmp_path: Path
) -> None:
    if chance == "augmentation":
        cfg.augmentation.transforms = {"flip": {"_target_": "albumentations.HorizontalFlip", "p": 0.5}}
    cfg.model["layers"]["dropout"]["rate"] = 0.5 if chance == "dropout" else 0.0
    cfg.optimizer = {"name": "sgd", "_target_": "torch.optim.SGD", "lr": 0.1}  # its steps are no longer than a rounding error's share
    cfg.training.batch_size = 4 if chance == "order" else 12  # all in one batch: the order makes a difference of rounding alone

    def from_equal_weights(seed: int) -> Tensor:
        torch.manual_seed(0)
        network = make_network(cfg.model, manifest, cfg.training.input)
        cfg.seed = seed
        fit(cfg, network, manifest, prepared, fresh_checkpoints(tmp_path), Told())
        return weights(network)

    first, other = from_equal_weights(0), from_equal_weights(1)
    if chance == "none":
        torch.testing.assert_close(first, other, rtol=0, atol=1e-6)
    else:
        assert (first - other).abs().max() > 1e-4  # a hundred times what rounding makes


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork")
def test_loader_workers_change_no_weight(cfg: Config, train: Train) -> None:
    cfg.training.epochs = 1
    alone = weights(train(cfg)[0])
    cfg.machine.workers = 1
    assert torch.equal(weights(train(cfg)[0]), alone)


def test_every_epoch_is_told_and_kept_in_the_history(cfg: Config, train: Train) -> None:
    told = Told()
    _, fitted = train(cfg, follower=told)
    of_epochs = [(metrics, step) for metrics, step in told.metrics if "train/loss" in metrics]
    assert [step for _, step in of_epochs] == [1, 2, 3] == [row["epoch"] for row in fitted.history]
    names = {"learning_rate", *(f"{split}/{metric}" for split in ("train", "validation") for metric in ("loss", "accuracy"))}
    assert set(fitted.history[0]) == {"epoch", *names}
    assert all(set(metrics) == {*names, "epoch_seconds", "images_per_second"} for metrics, _ in of_epochs)


def test_the_first_layers_filters_are_told_and_kept_before_training_and_after_each_epoch(
    cfg: Config, train: Train, manifest: Manifest
) -> None:
    told = Told()
    network, fitted = train(cfg, follower=told)
    torch.manual_seed(cfg.seed)
    fresh = make_network(cfg.model, manifest, cfg.training.input)
    assert [step for _, step in told.filters] == [0, 1, 2, 3]
    assert fitted.filters is not None
    assert all(np.array_equal(weight, fitted.filters[step]) for weight, step in told.filters)
    assert np.array_equal(fitted.filters[0], first_convolution(fresh))
    assert np.array_equal(fitted.filters[int(fitted.best["epoch"])], first_convolution(network))
    assert not np.array_equal(fitted.filters[0], fitted.filters[1])


def test_a_part_of_later_convolutions_is_kept_before_training_after_some_epochs_and_the_last(
    cfg: Config, train: Train, manifest: Manifest
) -> None:
    wide = {"kind": "conv", "filters": 6, "kernel": 3, "padding": "same"}
    cfg.model["layers"] = {"conv": wide, "single": wide | {"kernel": 1}, "second": wide, "third": wide, "scores": {"kind": "linear"}}
    cfg.training.filters = KeptFilters(epochs=[0, 1], layers=2, filters=4, channels=3)
    network, fitted = train(cfg)
    assert {epoch: list(layers) for epoch, layers in fitted.layer_filters.items()} == {
        epoch: ["layers.second", "layers.third"] for epoch in (0, 1, 3)
    }
    torch.manual_seed(cfg.seed)
    fresh = make_network(cfg.model, manifest, cfg.training.input)
    assert torch.equal(fitted.layer_filters[0]["layers.third"], fresh.get_parameter("layers.third.weight")[:4, :3])
    assert fitted.best["epoch"] == 3
    assert torch.equal(fitted.layer_filters[3]["layers.second"], network.get_parameter("layers.second.weight")[:4, :3])
    cfg.training.filters = KeptFilters(epochs=[], layers=1, filters=99, channels=99)
    without, less = train(cfg)
    assert torch.equal(weights(without), weights(network))  # to look changes nothing
    assert [(epoch, part.shape) for epoch, layers in less.layer_filters.items() for part in layers.values()] == [(3, (6, 6, 3, 3))]


def test_of_lenet_5_the_convolution_by_table_is_left_out(config: MakeConfig) -> None:
    network = build("model", config("model=lenet5").model, nn.Module, in_channels=1, num_classes=10, image_size=32)
    assert later_convolutions(network, 9) == {}


def first_convolution(network: nn.Module) -> NDArray[np.float32]:
    return next(layer for layer in network.modules() if isinstance(layer, nn.Conv2d)).weight.detach().numpy()


def test_a_network_without_convolutions_has_no_filters(cfg: Config, train: Train) -> None:
    cfg.model["layers"] = {"scores": {"kind": "linear"}}
    told = Told()
    assert train(cfg, follower=told)[1].filters is None
    assert told.filters == []


def test_the_learning_rate_follows_the_schedule_by_the_epoch(cfg: Config, train: Train) -> None:
    cfg.scheduler = {"name": "step", "_target_": "torch.optim.lr_scheduler.StepLR", "step_size": 1, "gamma": 0.5}
    rate = cfg.optimizer["lr"]
    assert [row["learning_rate"] for row in train(cfg)[1].history] == [rate, rate / 2, rate / 4]


def test_the_kept_weights_are_those_of_the_best_epoch(cfg: Config, train: Train, manifest: Manifest, misleading: Path) -> None:
    cfg.training.monitor, cfg.training.epochs, cfg.optimizer["lr"], cfg.training.patience = "validation/loss", 6, 0.01, None
    network, fitted = train(cfg, misleading)
    losses = [row["validation/loss"] for row in fitted.history]
    assert fitted.best["epoch"] == 1 + int(np.argmin(losses)) < 6
    found = loss(network, manifest, misleading, "validation")
    assert [found == pytest.approx(told, abs=1e-4) for told in losses] == [told == min(losses) for told in losses]


def test_training_stops_when_patience_ends(cfg: Config, train: Train, misleading: Path) -> None:
    cfg.training.epochs, cfg.optimizer["lr"], cfg.training.patience = 30, 0.02, 2
    _, fitted = train(cfg, misleading)
    assert len(fitted.history) == fitted.best["epoch"] + 2 < 30


def test_the_network_ends_on_the_cpu_with_gradients_and_in_float32(cfg: Config, train: Train) -> None:
    network, _ = train(cfg)
    found = {(parameter.device.type, parameter.dtype, parameter.requires_grad) for parameter in network.parameters()}
    assert found == {("cpu", torch.float32, True)}


def test_a_far_too_high_learning_rate_is_told_with_a_lower_one(cfg: Config, train: Train, tmp_path: Path) -> None:
    cfg.optimizer = {"name": "sgd", "_target_": "torch.optim.SGD", "lr": 1e6, "momentum": 0.9}
    with pytest.raises(DivergedError, match=r"training diverged: .*The learning rate was 1e\+06; try optimizer\.lr=100000"):
        train(cfg)
    assert list(tmp_path.rglob("*.ckpt")) == []


def test_a_loss_that_is_no_number_stops_at_its_step(cfg: Config, train: Train, tmp_path: Path) -> None:
    cfg.optimizer = {"name": "sgd", "_target_": "torch.optim.SGD", "lr": 1e30}
    with pytest.raises(DivergedError, match=r"became (nan|inf) at step [12]: .* is the first to .*\. The learning rate was 1e\+30"):
        train(cfg)
    assert list(tmp_path.rglob("*.ckpt")) == []


def test_a_finite_loss_far_above_guessing_stops_after_its_epoch(cfg: Config, train: Train) -> None:
    cfg.training.divergence, cfg.optimizer["lr"] = 1.001, 2
    with pytest.raises(DivergedError, match=r"the loss of epoch 1 is [\d.e+]+, guessing would be far below 1\.1"):
        train(cfg)


def test_without_training_images_there_is_no_training(cfg: Config, train: Train, prepared: Path, tmp_path: Path) -> None:
    shutil.copytree(prepared, tmp_path / "empty")
    np.save(tmp_path / "empty" / "train.npy", np.zeros((0, 8, 8, 1), np.uint8))
    np.save(tmp_path / "empty" / "train_labels.npy", np.zeros(0, np.int64))
    with pytest.raises(DataError, match=r"there is no image to train or validate on: the split is empty, see reports/data\.html"):
        train(cfg, tmp_path / "empty")


def test_class_weights_make_every_class_count_the_same(manifest: Manifest) -> None:
    counts = {**manifest.counts, "train": dict(zip(manifest.classes, (1, 4, 10), strict=True))}
    weight = class_weights(dataclasses.replace(manifest, counts=counts))
    assert (weight * torch.tensor([1, 4, 10])).tolist() == pytest.approx([5, 5, 5])


class Guess(nn.Module):
    """Gives every image the same scores, which are all that it learns: in the end how often each class is said to come."""

    def __init__(self) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.zeros(3))

    def forward(self, images: Tensor) -> Tensor:
        return self.scores.expand(len(images), 3)


@pytest.mark.parametrize(
    ("balance", "shares", "chance"),
    [("none", [40 / 60, 10 / 60, 10 / 60], 1e-3), ("weights", [1 / 3, 1 / 3, 1 / 3], 1e-3), ("sampler", [1 / 3, 1 / 3, 1 / 3], 0.08)],
)
def test_with_a_balance_a_network_that_can_only_guess_takes_every_class_for_equally_likely(
    balance: str, shares: list[float], chance: float, cfg: Config, prepared: Path, manifest: Manifest, tmp_path: Path
) -> None:
    shutil.copytree(prepared, tmp_path / "uneven")
    np.save(tmp_path / "uneven" / "train.npy", np.zeros((60, 8, 8, 1), np.uint8))
    np.save(tmp_path / "uneven" / "train_labels.npy", np.repeat([0, 1, 2], [40, 10, 10]))
    uneven = dataclasses.replace(manifest, counts={**manifest.counts, "train": dict(zip(manifest.classes, (40, 10, 10), strict=True))})
    cfg.training.balance, cfg.training.batch_size, cfg.training.epochs = balance, 60, 60
    cfg.training.patience, cfg.training.monitor = None, "validation/loss"
    cfg.optimizer = {"name": "sgd", "_target_": "torch.optim.SGD", "lr": 1.0}
    cfg.scheduler = {"name": "step", "_target_": "torch.optim.lr_scheduler.StepLR", "step_size": 40, "gamma": 0.1}
    labels = np.repeat([0, 1, 2], [round(60 * share) for share in shares])  # so that the best epoch is where it should end
    np.save(tmp_path / "uneven" / "validation.npy", np.zeros((60, 8, 8, 1), np.uint8))
    np.save(tmp_path / "uneven" / "validation_labels.npy", labels)
    fit(cfg, network := Guess(), uneven, tmp_path / "uneven", fresh_checkpoints(tmp_path), Told())
    assert network.scores.softmax(dim=0).tolist() == pytest.approx(shares, abs=chance)


def test_a_loss_without_class_weights_is_told_to_one_who_wants_them(cfg: Config, train: Train) -> None:
    cfg.training.balance, cfg.loss = "weights", {"_target_": "torch.nn.MSELoss"}
    with pytest.raises(ConfigError, match=r"training.balance is weights, but torch.nn.MSELoss takes no class weights; choose sampler"):
        train(cfg)


def test_a_loss_for_two_classes_is_refused_where_the_data_has_three(cfg: Config, train: Train) -> None:
    cfg.loss = {"_target_": "pipeline.training.losses.BinaryCrossEntropy"}
    with pytest.raises(ConfigError, match=r"loss can't be used here: binary cross-entropy is for two classes, but there are 3; choose"):
        train(cfg)


def test_a_network_sees_random_squares_in_training_and_the_middle_elsewhere(
    cfg: Config, train: Train, prepared: Path, manifest: Manifest
) -> None:
    cfg.training.input = 6
    network, _ = train(cfg)
    assert network(torch.zeros(1, 1, 6, 6)).shape == (1, 3)
    images = torch.from_numpy(np.load(prepared / "validation.npy"))
    whole, seen = Predictor(network, manifest, 6).eval(), Predictor(network, manifest, None).eval()
    with torch.no_grad():
        assert torch.equal(whole(images), seen(images[:, 1:7, 1:7]))


def test_validation_images_are_seen_as_they_are_stored(cfg: Config, train: Train, manifest: Manifest, prepared: Path) -> None:
    cfg.augmentation.transforms = {"negative": {"_target_": "albumentations.InvertImg", "p": 1.0}}
    network, fitted = train(cfg)
    assert fitted.best["validation/loss"] == pytest.approx(loss(network, manifest, prepared, "validation"), abs=1e-4)


@pytest.mark.parametrize(("source", "is_measured"), [(None, True), ("elsewhere/bundle", False)])
def test_only_a_network_without_weights_takes_first_values_from_the_images(
    source: str | None, is_measured: bool, cfg: Config, composed: Compose, train: Train, manifest: Manifest
) -> None:
    cfg.model = resolved(composed("model=airbench94", "model.widths=[4,4]"))["model"]
    cfg.weights.source = source  # which the stage has loaded by then
    network, _ = train(cfg)
    fresh = make_network(cfg.model, manifest, None)
    assert torch.equal(network.get_submodule("whiten").weight, fresh.get_submodule("whiten").weight) is not is_measured
