"""Batch norm of one value has no variance: such trainings are refused before they begin, by layer, with what to change."""

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from pipeline.config.compose import resolved
from pipeline.config.dry_run import try_out
from pipeline.config.errors import ConfigError
from pipeline.config.schema import Training
from pipeline.config.tree import put
from pipeline.dataset.manifest import Manifest
from pipeline.model.size_warnings import single_value_norms
from pipeline.training.distributed import require_variance, smallest_micro_batch
from tests.conftest import Compose, MakeConfig
from tests.model.measures import option

ONE = "batch norm needs two values of each channel or more, but images of 8x8 pixels have become maps of 1x1, and {} has one image"


@pytest.fixture
def training(config: MakeConfig) -> Training:
    return copy.deepcopy(config().training)


@pytest.mark.parametrize(
    ("changes", "message", "key"),
    [
        ({"training.batch_size": 1}, "batch_size=1, accumulate=1, devices=1). Choose training.batch_size=4, or", "training.batch_size"),
        (
            {"training.batch_size": 8, "training.accumulate": 8},
            "batch_size=8, accumulate=8, devices=1). Choose training.batch_size=32 or training.accumulate=1, or larger images",
            "training.accumulate",
        ),
    ],
)
@pytest.mark.parametrize(("model", "layer"), [("preact_resnet18", "layer4.0.residual.bn2"), ("resnet18", "layer4.0.bn1")])
def test_a_config_of_one_image_at_a_time_is_refused(
    model: str, layer: str, changes: dict[str, Any], message: str, key: str, composed: Compose
) -> None:
    params = copy.deepcopy(resolved(composed("dataset=digits", f"model={model}", "resize.size=8")))
    for name, value in changes.items():
        put(params, name, value)
    with pytest.raises(ConfigError) as caught:
        try_out(params, {})
    assert str(caught.value).startswith(f"{layer}: {ONE.format('each part of a batch')} (training.{message}")
    assert caught.value.key == key


@pytest.mark.parametrize(
    "changes",
    [
        {"training.batch_size": 2},
        {"training.batch_size": 1, "resize.size": 16},
        {"training.batch_size": 1, "model": "lenet_harley"},
        {"training.batch_size": 2, "training.devices": 2},
    ],
)
def test_what_can_learn_from_one_image_is_not(changes: dict[str, Any], composed: Compose) -> None:
    model = changes.pop("model", "preact_resnet18")
    size = 32 if model != "preact_resnet18" else 8
    params = copy.deepcopy(resolved(composed("dataset=digits", f"model={model}", f"resize.size={size}")))
    for name, value in changes.items():
        put(params, name, value)
    try_out(params, {})


@pytest.mark.parametrize(
    ("images", "batch_size", "accumulate", "devices", "smallest"),
    [
        (100, 32, 1, 1, 4),
        (97, 32, 1, 1, 32),  # the last one is left out
        (1, 32, 1, 1, 1),
        (3, 32, 1, 2, 1),
        (103, 4, 2, 1, 1),  # the last three in parts of two
        (103, 8, 2, 1, 3),
        (100, 8, 8, 1, 1),
        (100, 8, 2, 2, 2),
        (100, 8, 4, 2, 1),
    ],
)
def test_the_smallest_part_of_an_epoch_s_batches(
    images: int, batch_size: int, accumulate: int, devices: int, smallest: int, training: Training
) -> None:
    training.batch_size, training.accumulate, training.devices = batch_size, accumulate, devices
    assert smallest_micro_batch(images, training) == smallest


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 2, 8), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 3))


@pytest.mark.skipif(torch.cuda.is_available(), reason="of a machine without a GPU")
@pytest.mark.parametrize(
    ("batch_size", "accumulate", "devices", "where"),
    [(10, 5, 1, ""), (4, 4, 1, "each part"), (2, 1, 2, "each part"), (6, 2, 1, ""), (11, 1, 1, ""), (4, 2, 1, "")],
)
def test_a_training_on_12_images_is_refused_where_a_part_of_them_has_one(
    batch_size: int, accumulate: int, devices: int, where: str, training: Training, manifest: Manifest
) -> None:
    training.batch_size, training.accumulate, training.devices = batch_size, accumulate, devices
    if not where:
        require_variance(network(), manifest, training)
        return
    with pytest.raises(ConfigError, match=f"^1: {ONE.format(where + ' of a batch')} "):
        require_variance(network(), manifest, training)


def test_the_last_part_of_an_epoch_is_looked_at_too(training: Training, manifest: Manifest) -> None:
    training.batch_size, training.accumulate = 12, 6  # parts of two images at most; the last three images are two of them
    manifest = replace(manifest, counts=manifest.counts | {"train": dict(zip(manifest.classes, (5, 5, 5), strict=True))})
    with pytest.raises(ConfigError, match=f"^1: {ONE.format('the last part of an epoch')} "):
        require_variance(network(), manifest, training)


def test_frozen_layers_need_no_second_value(training: Training, manifest: Manifest) -> None:
    training.batch_size = training.accumulate = 4
    frozen = network()
    frozen[1].eval()
    require_variance(frozen, manifest, training)


def test_layers_of_one_value_are_found_in_auxiliary_heads_too(composed: Compose) -> None:
    assert single_value_norms(option(composed, "googlenet_bn", 80, variant="paper"), 3, 80) == ["aux1.conv.bn", "aux2.conv.bn"]
    assert single_value_norms(option(composed, "googlenet_bn", 128, variant="paper"), 3, 128) == []


def test_looking_for_them_leaves_the_network_as_it_was() -> None:
    looked = network().eval()
    looked[1].train()
    before = copy.deepcopy(looked.state_dict())
    assert single_value_norms(looked, 1, 8) == ["1"]
    assert all(torch.equal(value, before[name]) for name, value in looked.state_dict().items())
    assert [layer.training for layer in looked] == [False, True, False, False]
