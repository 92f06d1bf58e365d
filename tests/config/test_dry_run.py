import copy
import re
from typing import Any

import pytest
import torch
from torch import nn

from pipeline.config.compose import resolved
from pipeline.config.dry_run import skip_init, smallest_size, try_out, try_transforms
from pipeline.config.errors import ConfigError
from pipeline.config.tree import Tree, put
from tests.conftest import Compose

TURN = {"_target_": "albumentations.Rotate"}


@pytest.fixture
def params(composed: Compose) -> Tree:
    return resolved(composed("optimizer=sgd", "dataset=digits", "model=cnn", "augmentation=shift"))


def refused(params: Tree, **changes: Any) -> ConfigError:
    for key, value in changes.items():
        put(params, key, value)
    return refused_after(params, {})


def refused_after(params: Tree, accepted: Tree) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        try_out(params, accepted)
    return caught.value


def test_an_image_size_that_shrinks_to_nothing_is_refused_with_the_layer_and_the_smallest_that_works(params: Tree) -> None:
    error = refused(params, **{"resize.size": 4})
    assert str(error).startswith("resize.size must be at least 8 for this network, but it is 4: layers.pool3: the 1x1 maps before it")
    assert error.key == "resize.size"
    params["resize"]["size"] = 8
    try_out(params, {})


def test_the_smallest_size_of_lenet_is_found_too(params: Tree, composed: Compose) -> None:
    params["model"] = resolved(composed("model=lenet"))["model"]
    error = refused(params, **{"resize.size": 15})
    assert str(error).startswith("resize.size must be at least 16 for this network, but it is 15: s4: the 1x1 maps before it are smaller")


@pytest.mark.parametrize(
    ("model", "size", "smallest", "reason"),
    [
        ("lenet", 8, 16, "c3: the 2x2 maps before it are smaller than its 5x5 window"),
        ("vgg16", 8, 28, "pool4: the 1x1 maps before it are smaller than its 2x2 window"),
    ],
)
def test_the_refusal_ends_with_the_layer_and_what_is_too_small_for_it(
    model: str, size: int, smallest: int, reason: str, params: Tree, composed: Compose
) -> None:
    params["model"] = resolved(composed(f"model={model}"))["model"]
    error = refused(params, **{"resize.size": size})
    assert str(error) == f"resize.size must be at least {smallest} for this network, but it is {size}: {reason}"


def test_the_layer_is_named_also_where_the_network_itself_says_nothing(params: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    class Plain(nn.Module):
        def __init__(self, in_channels: int, num_classes: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(in_channels, num_classes, 5)
            self.pool1 = nn.MaxPool2d(4)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.pool1(self.conv1(images)).mean(dim=(2, 3))

    monkeypatch.setattr("pipeline.model.lenet.LeNet", Plain)
    params["model"] = {"_target_": "pipeline.model.lenet.LeNet"}
    error = refused(params, **{"resize.size": 5})
    assert str(error).startswith("resize.size must be at least 8 for this network, but it is 5: pool1: Given input size: (10x1x1)")


def test_what_the_network_sees_decides_and_not_what_is_stored(params: Tree) -> None:
    error = refused(params, **{"training.input": 4})
    assert str(error).startswith("training.input must be at least 8 for this network, but it is 4: layers.pool3: the 1x1 maps before it")
    assert error.key == "training.input"
    params["training"]["input"] = 8
    try_out(params, {})


@pytest.mark.parametrize(("smallest", "size"), [(5, 4), (8, 4), (9, 4), (33, 32), (1000, 4), (4096, 4)])
def test_the_smallest_size_is_found_without_trying_all(smallest: int, size: int) -> None:
    tried: list[int] = []
    assert smallest_size(lambda size: tried.append(size) is None and size >= smallest, size) == smallest
    assert len(tried) <= 24


def test_where_no_size_works_there_is_none() -> None:
    assert smallest_size(lambda size: False, 4) is None
    assert smallest_size(lambda size: True, 4096) is None


@pytest.mark.parametrize(
    ("changes", "key", "message"),
    [
        (
            {"model.layers.conv1.kind": "cnov"},
            "model.layers.conv1.kind",
            "layers.conv1.kind is 'cnov', expected one of .*did you mean conv",
        ),
        (
            {"model.layers.conv1.kernel": 0},
            "model.layers.conv1.kernel",
            "layers.conv1.kernel must be a whole number of at least 1, but it is 0",
        ),
        (
            {"model.layers.conv1.filters": "many"},
            "model.layers.conv1.filters",
            "layers.conv1.filters must be a whole number of at least 1, but it is 'many'",
        ),
        ({"model.layers.pool1.strid": 1}, "model.layers.pool1.strid", "layers.pool1.strid is not an option of max_pool"),
        ({"model.layers.scores": None}, "model.layers", "layers end with shape .*, but there are 10 classes; end with {kind: linear}"),
        ({"model": {"_target_": "torch.nn.Identity"}}, "model", "does not take images of 32x32 pixels and 1 channel: it makes .*10"),
        ({"optimizer.momentum": 0}, "optimizer", "torch.optim.SGD refused its options: Nesterov momentum requires a momentum"),
        ({"scheduler.eta_min": 0.1, "scheduler.last_epoch": 3}, "scheduler", "refused its options: "),
        (
            {"scheduler": {"_target_": "torch.optim.lr_scheduler.ReduceLROnPlateau"}},
            "scheduler._target_",
            "scheduler._target_: torch.optim.lr_scheduler.ReduceLROnPlateau steps by what was measured",
        ),
        (
            {"scheduler": {"_target_": "torch.optim.lr_scheduler.OneCycleLR", "max_lr": 1, "total_steps": 5}, "training.epochs": 6},
            "scheduler",
            "can't step through training.epochs=6: Tried to step 6 times. The specified number of total steps is 5",
        ),
        ({"loss": {"_target_": "torch.nn.MSELoss"}}, "loss", "can't compare the scores of images with their classes: The size of tensor"),
        (
            {"loss": {"_target_": "torch.nn.TripletMarginLoss"}},
            "loss",
            "can't compare the scores of images with their classes: .*'negative'",
        ),
        ({"loss.reduction": "none"}, "loss", "it gives one number for each image, and one for all is needed"),
        ({"loss.reduction": "sum"}, "loss", "it gives the sum over the images, and their mean is needed; leave reduction out"),
        (
            {"loss": {"_target_": "torch.nn.MultiMarginLoss", "reduction": "sum"}},
            "loss",
            "it gives the sum over the images, and their mean is needed",
        ),
        ({"loss.reduction": "most"}, "loss", "most is not a valid value for reduction"),
        ({"augmentation.transforms.a": {**TURN, "limit": [-10, 10], "p": 3}}, "augmentation.transforms.a", "Rotate refused its options: "),
        (
            {"augmentation.transforms.a": {"_target_": "albumentations.RandomCrop", "height": 8, "width": 8}},
            "augmentation.transforms.a",
            r"leaves images in a shape that the network is not made for: \(32, 32, 1\) has become \(8, 8, 1\); end with "
            "albumentations.Resize, height: 32, width: 32",
        ),
    ],
)
def test_what_only_the_classes_know_is_told_by_its_key(changes: dict[str, Any], key: str, message: str, params: Tree) -> None:
    error = refused(params, **changes)
    assert re.search(message, str(error)), error
    assert error.key == key
    assert "\n" not in str(error)


def test_a_network_made_for_some_classes_passes_where_the_data_alone_names_them(params: Tree) -> None:
    params["dataset"]["classes"] = None
    params["model"]["layers"]["scores"]["units"] = 7
    try_out(params, {})
    params["dataset"]["classes"] = ["a", "b"]
    assert refused(params).key == "model.layers"


def test_a_network_that_needs_images_gets_them(params: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    class Viewer(nn.Module):
        def __init__(self, in_channels: int, num_classes: int, image_size: int) -> None:
            super().__init__()
            self.layer = nn.Linear(in_channels * image_size**2, num_classes)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.layer(images.view(len(images), -1))  # which torch can't do with no images

    monkeypatch.setattr("pipeline.model.lenet.LeNet", Viewer)
    params["model"] = {"_target_": "pipeline.model.lenet.LeNet"}
    try_out(params, {})


def test_only_what_an_earlier_check_did_not_accept_is_built(params: Tree) -> None:
    put(params, "augmentation.transforms.a", {**TURN, "limit": [-10, 10], "p": 3})  # which building alone refuses
    accepted = copy.deepcopy(params)
    put(params, "tracking.experiment", "other")  # of which nothing is built
    put(params, "optimizer.lr", 0.1)  # of the training
    try_out(params, accepted)
    put(params, "optimizer.momentum", 0)  # which Nesterov's refuses
    assert refused_after(params, accepted).key == "optimizer"
    accepted = copy.deepcopy(params)
    try_out(params, accepted)
    put(params, "augmentation.transforms.affine.p", 0.1)
    assert refused_after(params, accepted).key == "augmentation.transforms.a"


def test_trying_draws_no_random_number_and_leaves_torch_as_it_was(params: Tree) -> None:
    torch.manual_seed(0)
    before, functions = torch.get_rng_state(), dict(vars(nn.init))
    try_out(params, {})
    assert torch.equal(torch.get_rng_state(), before)
    assert vars(nn.init) == functions


def test_weights_without_init_cost_nothing() -> None:
    with skip_init():
        layer = nn.Linear(20_000, 20_000, bias=False)  # 1.6 GB, had they values
    assert layer.weight.shape == (20_000, 20_000)


def test_a_transform_may_change_the_shape_where_a_later_one_brings_it_back(params: Tree) -> None:
    crop = {"_target_": "albumentations.RandomResizedCrop", "size": [12, 12]}
    back = {"_target_": "albumentations.Resize", "height": 32, "width": 32}
    params["augmentation"]["transforms"] = {"crop": crop, "back": back}
    try_transforms(params)
    params["augmentation"]["transforms"] = {"back": back, "crop": crop}
    with pytest.raises(ConfigError, match=r"augmentation\.transforms\.crop: .*has become \(12, 12, 1\)"):
        try_transforms(params)
