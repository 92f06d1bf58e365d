"""Sizes in conf/model that no network can have are told by their key, whichever network it is."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from pipeline.config.build import build
from pipeline.config.compose import read_yaml
from pipeline.config.errors import ConfigError
from pipeline.config.tree import Tree
from tests.samples import CONF

SHARES = ("dropout", "auxiliary_dropout")  # of values that are set to 0
MAY_BE_NULL = ("final_side",)  # of the maps, which are left as they come then
ABOVE_ZERO = {
    **dict.fromkeys(("compression", "norm_momentum"), ", and 1 at most"),
    **dict.fromkeys(("max_rms", "auxiliary_weight", "whitening_eps", "norm_eps", "divisor"), ""),
}

# One of each class whose sizes are options of its own: the file that has them all.
FILES = {
    name: read_yaml(CONF / "model" / f"{name}.yaml")
    for name in (
        *("lenet", "alexnet", "zfnet", "vgg11", "googlenet", "resnet18", "resnet20"),
        *("preact_resnet110", "wrn_16_4", "densenet121", "densenet_40_12", "airbench94"),
    )
}


def refusal(node: Tree) -> ConfigError:
    with torch.device("meta"), pytest.raises(ConfigError) as told:
        build("model", copy.deepcopy(node), nn.Module, in_channels=3, num_classes=10, image_size=32)
    return told.value


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def wrong_sizes(key: str, value: Any) -> list[tuple[Any, str]]:
    """Return values of the right type that `key` can't have, each with what the class says of it."""
    if isinstance(value, list):
        wrong = [[], [*value[:-1], 0], [*value[:-1], -3]]
        return [(given, f" whole numbers of at least 1, but they are {given}") for given in wrong]
    if key in SHARES:
        words, wrong = "a share from 0 to below 1", [-0.1, 1, 1.5]
    elif key in ABOVE_ZERO:
        words, wrong = f"a number above 0{ABOVE_ZERO[key]}", [-1, *([1.5] if ABOVE_ZERO[key] else [])]
    else:
        words, wrong = "a whole number of at least 1", [0, -3]
    return [(given, f"{key} must be {words}, but it is {given!r}") for given in wrong]


def wrong_types(key: str, value: Any) -> list[tuple[Any, str]]:
    """Return values that the signature of the class does not take for `key`, each with what is said of it."""
    if isinstance(value, list):
        words, wrong = "a list of whole numbers", [*([*value[:-1], last] for last in (2.5, "many", True)), 3, "many"]
    elif key in SHARES or key in ABOVE_ZERO:
        words, wrong = "a number", ["many", True]
    else:
        may_be_null = key in MAY_BE_NULL
        words, wrong = "a whole number" + " or null" * may_be_null, [2.5, "many", True, *([] if may_be_null else [None])]
    return [(given, f"model.{key} must be {words}, but it is {json.dumps(given)}") for given in wrong]


def each(wrong: Callable[[str, Any], list[tuple[Any, str]]]) -> list[Any]:
    return [
        pytest.param(node, key, given, words, id=f"{node['name']}-{key}-{given}")
        for node in FILES.values()
        for key, value in node.items()
        if is_number(value) or isinstance(value, list)
        for given, words in wrong(key, value)
    ]


@pytest.mark.parametrize(("node", "key", "given", "words"), each(wrong_sizes))
def test_a_size_that_can_t_be_is_refused_with_what_it_must_be(node: Tree, key: str, given: Any, words: str) -> None:
    told = refusal(node | {key: given})
    assert f"refused its options: {key} must be " in str(told)
    assert str(told).endswith(words)
    assert told.key == f"model.{key}"


@pytest.mark.parametrize(("node", "key", "given", "words"), each(wrong_types))
def test_what_is_no_size_at_all_is_refused_by_the_signature(node: Tree, key: str, given: Any, words: str) -> None:
    told = refusal(node | {key: given})
    assert str(told) == words
    assert told.key == f"model.{key}"


@pytest.mark.parametrize(
    ("name", "key", "count"), [("alexnet", "filters", 5), ("zfnet", "filters", 5), ("lenet", "filters", 2), ("lenet", "units", 2)]
)
@pytest.mark.parametrize("more", [-1, 1])
def test_a_list_of_another_length_is_refused_with_the_length_that_it_must_have(name: str, key: str, count: int, more: int) -> None:
    given = [8] * (count + more)
    assert str(refusal(FILES[name] | {key: given})).endswith(f": {key} must be {count} whole numbers of at least 1, but they are {given}")


def test_a_side_that_alexnet_s_maps_are_averaged_to_is_a_whole_number() -> None:
    with pytest.raises(ConfigError, match="final_side must be a whole number of at least 1, but it is 0"):
        build("model", FILES["alexnet"] | {"final_side": 0}, nn.Module, in_channels=3, num_classes=10, image_size=32)
