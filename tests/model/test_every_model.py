"""Every network of conf/model: at every size of image, number of channels and of classes; and one of each kind trained at its own size."""

import copy
import math
import re
from collections.abc import Iterable
from itertools import product

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from pipeline.config.build import build
from pipeline.config.compose import read_yaml
from pipeline.config.dry_run import skip_init, try_network
from pipeline.config.errors import ConfigError
from pipeline.config.tree import Tree
from tests.conftest import Compose
from tests.samples import CONF, options

MODELS = options("model")
SIZES = (8, 16, 28, 32, 64, 224)
COUNTS = tuple(product((1, 3), (2, 10, 1000)))  # channels, classes
QUICK = {8: (1, 10), 28: (3, 2)}  # size -> of these, in the default tests
ONE_CLASS_COUNT = {"keras_one_output": 2, "lenet5": 10}  # networks made for so many classes

# One of each way that pipeline/model builds a network, at the size in pixels that it was made for.
NATURAL = {
    "cnn": 32,
    "lenet": 32,
    "lenet5": 32,
    "mlp": 28,
    "resnet20": 32,
    "preact_resnet110": 32,
    "preact_resnet164": 32,
    "wrn_16_4": 32,
    "airbench94": 32,
    "densenet_bc_100_12": 32,
    "alexnet": 227,
    "alexnet_one_tower": 224,
    "zfnet": 224,
    "vgg11": 224,
    "vgg11_bn": 224,
    "googlenet": 224,
    "googlenet_bn": 224,
    "resnet18": 224,
    "resnet50": 224,
    "densenet121": 224,
}
QUICK_ONES = ("cnn", "lenet", "lenet5", "mlp", "resnet20")
LEARNING_RATE = {"lenet5": 3e-3}  # of Adam, for 12 images; its first weights are small, as the paper has them
BEGINS_SLOWLY = {
    "googlenet": "without batch norm it stays at guessing for more steps than a test can wait; googlenet_bn learns",
    "zfnet": "first weights N(0, 0.01) and biases of 0: it leaves guessing within 150 steps on some processors, and later on others",
}
IMAGES, STEPS = 12, 150  # to know by heart, and steps to do it in at most


def one_of_each(without: Iterable[str] = ()) -> list[object]:
    return [pytest.param(name, marks=() if name in QUICK_ONES else pytest.mark.slow) for name in NATURAL if name not in without]


def made(model: Tree, channels: int, classes: int, size: int) -> nn.Module:
    return build("model", model, nn.Module, in_channels=channels, num_classes=classes, image_size=size)


def refusal(model: Tree, composed: Compose, channels: int, classes: int, size: int) -> str:
    """Return what a user is told who asks for this; raises where nothing is said."""
    params = copy.deepcopy(composed())
    params["model"], params["resize"]["size"] = model, size
    params["dataset"] |= {"channels": channels, "classes": [str(label) for label in range(classes)]}
    with pytest.raises(ConfigError) as told:
        try_network(params)
    return str(told.value)


def fits_or_says_why(name: str, size: int, counts: tuple[tuple[int, int], ...], composed: Compose) -> None:
    model = composed(f"model={name}")["model"]
    for channels, classes in counts:
        try:
            with torch.device("meta"), skip_init():
                network = made(model, channels, classes, size).eval()
                assert network(torch.empty(2, channels, size, size)).shape == (2, classes)
        except ConfigError:
            told = refusal(model, composed, channels, classes, size)
            if ONE_CLASS_COUNT.get(name, classes) != classes:
                assert f"there are {classes} classes" in told
                continue
            begin = rf"resize\.size must be at least (\d+) for this network, but it is {size}: "
            words = re.fullmatch(begin + r"\S+: the \S+ maps before it are smaller than .*", told)
            assert words, told
            with torch.device("meta"), skip_init():
                made(model, channels, classes, int(words[1]))
            with pytest.raises(ConfigError), torch.device("meta"), skip_init():
                made(model, channels, classes, int(words[1]) - 1)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_fits_small_images_or_says_which_layer_does_not_and_the_smallest_size(name: str, composed: Compose) -> None:
    for size, counts in QUICK.items():
        fits_or_says_why(name, size, (counts,), composed)


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", MODELS)
def test_every_model_fits_gray_and_colour_of_8_to_224_pixels_and_2_to_1000_classes_or_says_why_not(
    name: str, size: int, composed: Compose
) -> None:
    fits_or_says_why(name, size, COUNTS, composed)


@pytest.mark.parametrize("name", one_of_each())
def test_a_network_at_its_own_size_begins_near_guessing_with_a_gradient_in_every_tensor_that_learns(name: str, composed: Compose) -> None:
    network, images, labels = untrained(name, composed)
    scores, *auxiliary = as_tuple(network(images))
    loss = cross_entropy(scores, labels)
    sum((cross_entropy(each, labels) for each in auxiliary), loss).backward()
    learning = {key: value for key, value in network.named_parameters() if value.requires_grad}
    assert [key for key, value in learning.items() if value.grad is None or not value.grad.abs().sum()] == []
    assert loss.item() < 1.5 * math.log(10)


@pytest.mark.parametrize("name", one_of_each(without=BEGINS_SLOWLY))
def test_a_network_at_its_own_size_learns_twelve_images_by_heart_without_dropout(name: str, composed: Compose) -> None:
    network, images, labels = untrained(name, composed)
    for layer in network.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0
    optimizer = torch.optim.Adam(network.parameters(), LEARNING_RATE.get(name, 3e-4))
    for _ in range(STEPS):
        scores, *auxiliary = as_tuple(network(images))
        if (scores.argmax(dim=1) == labels).all():
            return
        optimizer.zero_grad()
        sum((cross_entropy(each, labels) for each in auxiliary), cross_entropy(scores, labels)).backward()
        optimizer.step()
    pytest.fail(f"{(scores.argmax(dim=1) == labels).sum()} of {IMAGES} images after {STEPS} steps")


def untrained(name: str, composed: Compose) -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """Return a network for ten classes, and some normalised images with labels."""
    torch.manual_seed(0)
    size = NATURAL[name]
    network = made(composed(f"model={name}")["model"], 1 if size < 100 else 3, 10, size)
    return network, torch.randn(IMAGES, 1 if size < 100 else 3, size, size), torch.arange(IMAGES) % 10


def as_tuple(answer: torch.Tensor | tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return answer if isinstance(answer, tuple) else (answer,)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_s_file_says_its_name(name: str) -> None:
    assert read_yaml(CONF / "model" / f"{name}.yaml")["name"] == name
