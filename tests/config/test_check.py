from typing import Any

import pytest

from pipeline.config.compose import dump, parse, resolved
from pipeline.config.errors import ConfigError
from pipeline.config.schema import Config
from pipeline.config.tree import Tree, choices, put
from pipeline.config.validate import check
from pipeline.config.wording import shown
from tests.conftest import Compose
from tests.samples import TWO_CLASSES, option_files, options

# What an option has to be given by its user.
TO_GIVE = {("weights", option): ["weights.source=start"] for option in options("weights") if option != "none"}


@pytest.fixture(scope="module")
def base(composed: Compose) -> Tree:
    return composed("optimizer=sgd")


@pytest.fixture
def params(base: Tree) -> Tree:
    return resolved(base)


@pytest.mark.parametrize(("group", "option"), option_files())
def test_every_option_of_conf_composes_records_its_own_name_parses_and_passes(group: str, option: str, composed: Compose) -> None:
    data = "cats_vs_dogs" if option in TWO_CLASSES else "digits"
    tree = composed(f"dataset={data}", f"{group}={option}", *TO_GIVE.get((group, option), []))
    params = resolved(tree)
    assert choices(tree)[group] == option
    assert "${" not in dump(params)
    assert isinstance(parse(params), Config)
    assert check(tree) == params


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("training.epoch", 3, r"training\.epoch is not a key of conf/; did you mean training\.epochs\?"),
        ("epochs", 3, r"epochs is not a key of conf/; did you mean training\.epochs\?"),
        ("optimzer.lr", 3, r"optimzer\.lr is not a key of conf/; did you mean optimizer\.lr\?"),
        ("optimizer.lrr", 3, r"optimizer\.lrr is not an option of torch\.optim\.SGD; did you mean lr\?"),
        ("xyzzy", 3, r"xyzzy is not a key of conf/$"),
        ("dataset.sources.files.more", {"name": "x", "sha256": "0" * 64, "size": 3}, r"files\.more\.size is not a key of conf/"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_known_one(key: str, value: Any, message: str, params: Tree) -> None:
    put(params, key, value)
    with pytest.raises(ConfigError, match=message) as caught:
        check(params)
    assert caught.value.key
    assert caught.value.key.startswith(key)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("optimizer.dampening", 0),  # an option of torch.optim.SGD that conf/ does not name
        ("model.layers.norm9", None),  # people name layers themselves
        ("augmentation.transforms.mine", None),
        ("dataset.splits", {"train": "a", "test": "b"}),  # null stands for a mapping that may be given
        ("dataset.sources.files.more", {"name": "x", "sha256": "0" * 64}),
    ],
)
def test_keys_that_conf_does_not_name_but_something_takes_pass(key: str, value: Any, params: Tree) -> None:
    put(params, key, value)
    check(params)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("seed", "0", "a whole number"),
        ("dataset.sources.folder", ["a"], "text or null"),
        ("dataset.sources.mirrors", "https://a", "a list of text"),
        ("dataset.sources.files", ["a"], "a mapping"),
        ("dataset.sources.files.digits", "a", "a mapping"),
        ("dataset.sources.files.digits.sha256", None, "text"),
        ("dataset.sources.files.digits.bytes", "a lot", "a whole number or null"),
        ("dataset.sources.files.digits.unpack", "yes", "true or false"),
        ("dataset.channels", 1.5, "a whole number"),
        ("dataset.classes", "0123", "a list of text or null"),
        ("weights.freeze", [True, False], "a list of text"),
        ("dataset.splits", "train", "a mapping or null"),
        ("dataset.splits", {"train": ["a"]}, "text"),
        ("dataset.split", None, "a mapping"),
        ("dataset.split.validation", "a tenth", "a number"),
        ("resize.size", [3], "a whole number"),
        ("resize.size", {"height": 3}, "a whole number"),
        ("resize.size", True, "a whole number"),
        ("resize.max_refused", None, "a number"),
        ("augmentation.transforms", None, "a mapping"),
        ("training.epochs", "many", "a whole number"),
        ("training.epochs", 2.5, "a whole number"),
        ("training.epochs", None, "a whole number"),
        ("training.epochs", float("nan"), "a whole number"),
        ("training.patience", "never", "a whole number or null"),
        ("training.divergence", False, "a number"),
        ("evaluate.confidence", "high", "a number"),
        ("tracking.uri", ["a"], "text or null"),
        ("tracking.wait", [], "a number"),
        ("model", 3, "a mapping"),
        ("model.layers", [{"kind": "relu"}], "a mapping"),
        ("model.layers.relu1", "relu", "a mapping or null"),
        ("optimizer.lr", "fast", "a number"),
        ("optimizer.nesterov", 1, "true or false"),
        ("scheduler.T_max", 2.5, "a whole number"),
        ("loss.reduction", ["mean"], "text"),
        ("augmentation.transforms.affine.rotate", "left", "a list of 2 numbers or a number"),
        ("augmentation.transforms.affine.rotate", [1, 2, 3], "a list of 2 numbers or a number"),
        ("augmentation.transforms.affine.keep_ratio", "yes", "true or false"),
    ],
)
def test_a_value_of_another_type_is_refused_by_its_key(key: str, value: Any, expected: str, params: Tree) -> None:
    put(params, key, value)
    with pytest.raises(ConfigError) as caught:
        check(params)
    entry = ".train" if value == {"train": ["a"]} else ""
    inner = ["a"] if entry else value
    assert str(caught.value) == f"{key}{entry} must be {expected}, but it is {shown(inner)}"
    assert caught.value.key == key + entry
