from typing import Any

import pytest

from pipeline.config.checks import RULES, check, unknown_key, unknown_keys
from pipeline.config.composition import Tree, get, put, resolved
from pipeline.config.errors import ConfigError
from tests.conftest import Compose
from tests.samples import option_files

# key -> values that are refused, values that pass
LIMITS: dict[str, tuple[list[Any], list[Any]]] = {
    "seed": ([-1], [0, 7]),
    "dataset.channels": ([0, 2, 4], [1, 3]),
    "dataset.split.validation": ([-0.1, 1, 1.5], [0, 0.5, 0.99]),
    "dataset.split.test": ([-0.1, 1], [0, 0.2]),
    "dataset.split.seed": ([-1], [0]),
    "resize.size": ([0, 3, 4097], [4, 4096]),
    "resize.method": (["squeeze"], ["stretch", "letterbox", "crop"]),
    "resize.max_refused": ([-0.01, 1], [0, 0.5]),
    "optimizer.lr": ([0, -1, "fast", float("nan")], [1e-9, 1]),
    "optimizer.momentum": ([1, -0.1], [0, 0.9]),
    "optimizer.weight_decay": ([-1e-9], [0, 0.1]),
    "training.epochs": ([0, -1], [1]),
    "training.batch_size": ([0], [1]),
    "training.patience": ([0], [1, None]),
    "training.divergence": ([1, 0], [1.5]),
    "training.threads": ([0], [1]),
    "training.workers": ([-1], [0]),
    "training.monitor": (["train/loss"], ["validation/loss", "validation/accuracy"]),
    "evaluate.batch_size": ([0], [1]),
    "evaluate.confidence": ([0, 1], [0.5]),
    "evaluate.hardest": ([-1], [0]),
}


@pytest.fixture(scope="module")
def base(composed: Compose) -> Tree:
    return composed("optimizer=sgd")


@pytest.fixture
def params(base: Tree) -> Tree:
    return resolved(base)


def test_every_rule_is_tested_here() -> None:
    assert set(LIMITS) == set(RULES)


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, (refused, _) in LIMITS.items() for value in refused])
def test_a_value_outside_its_range_is_refused_with_key_and_value(key: str, value: Any, params: Tree, base: Tree) -> None:
    put(params, key, value)
    with pytest.raises(ConfigError, match=rf"^{key} must be .+, but it is {value!r}$"):
        check(params, base)


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, (_, accepted) in LIMITS.items() for value in accepted])
def test_a_value_within_its_range_passes(key: str, value: Any, params: Tree, base: Tree) -> None:
    put(params, key, value)
    check(params, base)


@pytest.mark.parametrize(("group", "option"), option_files())
def test_every_option_of_conf_passes(group: str, option: str, composed: Compose) -> None:
    tree = composed(f"{group}={option}")
    check(resolved(tree), tree)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("training.epoch", 3, r"training\.epoch is not a key of conf/; did you mean training\.epochs\?"),
        ("epochs", 3, r"epochs is not a key of conf/; did you mean training\.epochs\?"),
        ("optimzer.lr", 3, r"optimzer\.lr is not a key of conf/; did you mean optimizer\.lr\?"),
        ("optimizer.lrr", 3, r"optimizer\.lrr is not a key of conf/; did you mean optimizer\.lr\?"),
        ("xyzzy", 3, r"xyzzy is not a key of conf/$"),
        ("resize.size.height", 3, r"resize\.size\.height is not a key of conf/"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_known_one(key: str, value: Any, message: str, params: Tree, base: Tree) -> None:
    put(params, key, value)
    with pytest.raises(ConfigError, match=message):
        check(params, base)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("optimizer.dampening", 0.1),  # an option of torch.optim.SGD that conf/ does not name
        ("model.layers.pool9", {"kind": "relu"}),  # people name layers themselves
        ("augmentation.transforms.mine", None),
        ("dataset.splits", {"train": "a", "test": "b"}),  # null stands for a mapping that may be given
        ("dataset.sources.files.more", {"name": "x", "sha256": "y"}),
    ],
)
def test_keys_that_conf_does_not_name_but_something_takes_pass(key: str, value: Any, params: Tree, base: Tree) -> None:
    put(params, key, value)
    check(params, base)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("training.epochs", "many"),
        ("training.epochs", 2.5),
        ("training.epochs", None),
        ("dataset.split", None),
        ("resize.size", [3]),
        ("model", 3),
    ],
)
def test_a_value_of_another_type_is_refused_by_its_key(key: str, value: Any, params: Tree, base: Tree) -> None:
    put(params, key, value)
    with pytest.raises(ConfigError, match=key):
        check(params, base)


@pytest.mark.parametrize("uri", ["postgresql://me:secret@host/db", "https://:secret@host", "http://me:s:e@host"])
def test_a_tracking_password_is_refused_and_not_shown(uri: str, params: Tree, base: Tree) -> None:
    params["tracking"]["uri"] = uri
    with pytest.raises(
        ConfigError, match="tracking.uri holds a password, which would end up in git; give it by MLFLOW_TRACKING_URI"
    ) as caught:
        check(params, base)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("uri", ["sqlite:///mlflow.db", "http://127.0.0.1:5000", "https://host/path@x", None])
def test_a_tracking_uri_without_a_password_passes(uri: str | None, params: Tree, base: Tree) -> None:
    params["tracking"]["uri"] = uri
    check(params, base)


def test_files_without_a_mirror_are_refused(params: Tree, base: Tree) -> None:
    params["dataset"]["sources"]["mirrors"] = []
    with pytest.raises(ConfigError, match=r"dataset\.sources\.mirrors is empty, .*give one base URL or more"):
        check(params, base)
    params["dataset"]["sources"]["folder"] = "data/own"
    check(params, base)


@pytest.mark.parametrize("split", ["training", "val"])
def test_an_official_split_of_another_name_is_refused(split: str, params: Tree, base: Tree) -> None:
    params["dataset"]["splits"] = {"train": "a", split: "b"}
    with pytest.raises(ConfigError, match=rf"dataset\.splits\.{split} .*train, validation, test"):
        check(params, base)


def test_unknown_keys_are_found_where_they_lie(base: Tree) -> None:
    assert unknown_keys({"training": {"epochs": 1, "epoch": 1}, "new": {"deep": 1}}, base) == ["training.epoch", "new.deep"]
    assert get(base, "training.epochs")


def test_the_nearest_key_is_by_spelling_or_by_its_last_word() -> None:
    assert unknown_key("optimizer.rl", ["optimizer.lr", "seed"]) == "optimizer.rl is not a key of conf/; did you mean optimizer.lr?"
    assert unknown_key("size", ["resize.size", "seed.x"]) == "size is not a key of conf/; did you mean resize.size?"
