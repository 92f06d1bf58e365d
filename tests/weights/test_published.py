"""A refusal of given weights names the model that they are of, where anybody can know."""

import json
import re
from pathlib import Path

import pytest
import torch
from torch import nn

from pipeline.config.errors import ConfigError
from pipeline.config.schema import Weights
from pipeline.dataset.files import sha256
from pipeline.weights.pretrained import MODELS, Pretrained, published_model, read_pretrained
from pipeline.weights.start import load
from tests.conftest import Compose
from tests.model.measures import on_meta

CLASSES = [str(label) for label in range(1000)]


def published(composed: Compose, model: str) -> Pretrained:
    tensors = on_meta(composed, model, 224, classes=1000).state_dict()
    return Pretrained(tensors, None, published_model(tensors))


@pytest.mark.parametrize("model", MODELS.values())
def test_every_published_network_is_known_by_its_weights(model: str, composed: Compose) -> None:
    assert published(composed, model).model == model


def test_others_are_not(composed: Compose) -> None:
    assert published_model({"conv.weight": torch.zeros(3)}) is None
    assert published(composed, "alexnet").model is None


@pytest.mark.parametrize(
    ("theirs", "ours", "size"),
    [
        ("alexnet_one_tower", "alexnet", 227),
        ("alexnet_one_tower", "alexnet_one_tower", 32),
        ("googlenet_torchvision", "googlenet", 224),
        ("googlenet_torchvision", "googlenet_bn", 224),
        ("vgg16", "vgg11", 224),
        ("resnet50", "resnet18", 224),
    ],
)
def test_what_does_not_fit_is_refused_with_the_model_that_does(theirs: str, ours: str, size: int, composed: Compose) -> None:
    network = on_meta(composed, ours, size, classes=1000)
    with pytest.raises(ConfigError, match=rf"[Cc]hoose the model that they belong to, model={theirs}(;|$)"):
        load(network, published(composed, theirs), CLASSES, "ours")


def test_a_bundle_says_itself_of_which_model_it_is(bundle_folder: Path, tmp_path: Path) -> None:
    tree = json.loads((bundle_folder / "bundle.json").read_text())
    tree["config"]["model"]["name"] = "keras"
    (bundle_folder / "bundle.json").write_text(json.dumps(tree))
    weights = Weights("bundle", str(bundle_folder), sha256(bundle_folder / "bundle.json"), "ours", [])
    with pytest.raises(ConfigError, match=re.escape("Choose the model that they belong to, model=keras")):
        load(nn.Sequential(nn.Linear(2, 3)), read_pretrained(weights, None, tmp_path), ["a", "b", "c"], "ours")  # type: ignore[arg-type]
