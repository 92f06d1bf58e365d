"""A step's gradient is the mean over its images, in however many parts they are computed, and an epoch's loss over the epoch's."""

import copy
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.bundle import make_network
from pipeline.config.build import build
from pipeline.config.schema import Config
from pipeline.config.tree import put
from pipeline.dataset.manifest import Manifest
from pipeline.training.fit import FitResult, fit
from pipeline.training.losses import loss_weight, split_batch
from tests.conftest import MakeConfig
from tests.samples import options
from tests.training.test_fit import Told, fresh_checkpoints, weights

Train = Callable[[Config], tuple[Tensor, FitResult]]
IMAGES = 11  # of an epoch; in batches of 6 the last one has 5: parts of 3 and 2

MUON = {"lr": 0.05, "momentum": 0.6, "iterations": 3, "rescale": False, "head_lr": 0.1, "vector_lr": 0.1, "sgd_momentum": 0.9}
CHOICES: dict[str, dict[str, Any]] = {
    "plain": {},
    "clipping": {"training.clip": 0.1},
    "muon": {"optimizer": {"name": "muon", "_target_": "pipeline.training.optimizers.Muon", "weight_decay": 0.0} | MUON},
    "mixup": {"augmentation.mixup": 1.0},
    "cutmix": {"augmentation.cutmix": 1.0},
    "label smoothing": {"loss.label_smoothing": 0.2},
    "class weights": {"training.balance": "weights"},
    "class weights, mixup and label smoothing": {
        "training.balance": "weights",
        "augmentation.mixup": 1.0,
        "loss.label_smoothing": 0.2,
    },
    "class weights of a loss by images": {
        "training.balance": "weights",
        "loss": {"name": "multi_margin", "_target_": "torch.nn.MultiMarginLoss"},
    },
    "class weights of focal loss": {
        "training.balance": "weights",
        "loss": {"name": "focal", "_target_": "pipeline.training.losses.Focal", "gamma": 2.0},
    },
}


@pytest.fixture
def plain(cfg: Config) -> Config:
    """Three epochs of two steps of gradient descent, without dropout, whose chance is another for other parts."""
    cfg.model["layers"]["dropout"] = None
    cfg.optimizer = {"name": "sgd", "_target_": "torch.optim.SGD", "lr": 0.1, "momentum": 0.9}
    cfg.training.batch_size = 6
    return cfg


@pytest.fixture
def train(prepared: Path, manifest: Manifest, tmp_path: Path) -> Train:
    """Trains a fresh network on some images, of which the classes have not equally many."""
    images = shutil.copytree(prepared, tmp_path / "some")
    kept = np.sort(np.argsort(np.load(prepared / "train_labels.npy") == 0, kind="stable")[:IMAGES])
    for name in ("train", "train_labels"):
        np.save(images / f"{name}.npy", np.load(prepared / f"{name}.npy")[kept])
    uneven = replace(manifest, counts=manifest.counts | {"train": dict(zip(manifest.classes, (2, 4, 5), strict=True))})

    def trained(cfg: Config) -> tuple[Tensor, FitResult]:
        torch.manual_seed(cfg.seed)
        network = make_network(cfg.model, uneven, None)
        fitted = fit(cfg, network, uneven, images, fresh_checkpoints(tmp_path), Told())
        return weights(network), fitted

    return trained


def chosen(cfg: Config, changes: dict[str, Any]) -> Config:
    changed = copy.deepcopy(cfg)
    for key, value in changes.items():
        node, _, name = key.rpartition(".")
        if not node:
            setattr(changed, key, copy.deepcopy(value))
        elif isinstance(of := getattr(changed, node), dict):
            put(of, name, value)
        else:
            setattr(of, name, value)
    return changed


@pytest.mark.parametrize("parts", [2, 3])
@pytest.mark.parametrize("choice", CHOICES)
def test_a_batch_in_parts_gives_the_weights_of_the_whole_in_a_short_last_batch_too(
    choice: str, parts: int, plain: Config, train: Train
) -> None:
    cfg = chosen(plain, CHOICES[choice])
    whole, fitted = train(cfg)
    cfg.training.accumulate = parts
    parted, again = train(cfg)
    assert (parted - whole).abs().max() < 1e-5
    for row, other in zip(fitted.history, again.history, strict=True):
        assert other == pytest.approx(row, rel=1e-4)


@pytest.mark.parametrize(("images", "most", "expected"), [(6, 6, [6]), (6, 3, [3, 3]), (5, 3, [3, 2]), (7, 3, [3, 2, 2]), (1, 3, [1])])
def test_a_batch_is_cut_into_as_few_parts_as_hold_it_of_about_one_length(images: int, most: int, expected: list[int]) -> None:
    labels = torch.arange(images) % 3
    parts = split_batch(torch.randn(images, 1, 2, 2), labels, labels, 1.0, nn.CrossEntropyLoss(), most)
    assert [len(part.images) for part in parts] == expected
    assert torch.equal(torch.cat([part.labels for part in parts]), labels)


@pytest.mark.parametrize("loss", options("loss"))
def test_a_loss_is_the_mean_of_its_parts_by_what_their_images_count(loss: str, config: MakeConfig) -> None:
    torch.manual_seed(0)
    classes = 2 if loss == "binary_cross_entropy" else 3
    for weight in (None, torch.tensor([1.0, 4.0, 0.5])[:classes]):
        made = build("loss", config(f"loss={loss}").loss, nn.Module, **({} if weight is None else {"weight": weight}))
        scores, labels = torch.randn(7, classes), torch.tensor([0, 1, 1, 1, 0, 1, 0])
        parts = [(made(scores[part], labels[part]), loss_weight(made, labels[part])) for part in (slice(0, 2), slice(2, 7))]
        mean = sum(value * count for value, count in parts) / sum(count for _, count in parts)
        torch.testing.assert_close(mean, made(scores, labels))


def test_the_loss_of_an_epoch_is_that_of_all_its_images_at_once_where_classes_have_weights(plain: Config, train: Train) -> None:
    plain.training.balance, plain.optimizer["lr"] = "weights", 1e-9
    plain.training.batch_size = IMAGES
    expected = train(plain)[1].history[0]
    plain.training.batch_size = 2  # the last one is left out in training
    found = train(plain)[1].history[0]
    assert found["validation/loss"] == pytest.approx(expected["validation/loss"], rel=1e-5)
