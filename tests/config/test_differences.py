"""What a run changes on top of conf/: the words that repeat it, and the name that says so."""

import shutil
from dataclasses import asdict
from pathlib import Path

import pytest

from pipeline.config.compose import compose, parse, resolved
from pipeline.config.differences import differences, name_of
from pipeline.config.tree import Tree, with_order

CASES = {
    "cnn-s1": ["seed=1", "tracking.uri='https://host/a b'", "tracking.model='yes'"],
    "cnn-fashion_mnist-sgd-lr1e-05-s0": ["dataset=fashion_mnist", "optimizer=sgd", "optimizer.lr=1e-05"],
    "cifar10_94-cnn-take-epochs3-s0": [
        "experiment=cifar10_94",
        "model=cnn",
        r"dataset.take={0: 'A b, (c)\'s', a\ b\,c: 'null', yes: '1'}",
        "training.epochs=3",
    ],
    "cnn-relu9-no_dropout-layers-epochs3-1more-s0": [
        "+model.layers.relu9={kind: relu}",
        "+model.layers._order_=[conv1,norm1,relu1,pool1,conv2,relu2,norm2,pool2,conv3,norm3,relu3,pool3,relu9,scores]",
        "~model.layers.dropout",
        "training.epochs=3",
        "training.patience=5",
    ],
}


def config(conf: Path, words: list[str]) -> Tree:
    return asdict(parse(resolved(compose(conf, words))))


@pytest.mark.parametrize(("name", "typed"), CASES.items(), ids=list(CASES))
def test_its_words_compose_the_same_config_again_and_its_name_says_what_differs(name: str, typed: list[str], conf: Path) -> None:
    wanted = config(conf, typed)
    found = differences(wanted, conf)
    assert found
    assert with_order(config(conf, found.words)) == with_order(wanted)
    assert len(found.words) == len(typed)
    assert name_of(wanted, found) == name


def test_what_this_working_copy_overrides_differs_from_conf_too(conf: Path, tmp_path: Path) -> None:
    copied = tmp_path / "conf"
    shutil.copytree(conf, copied)
    (copied / "local").mkdir()
    (copied / "local" / "overrides.yaml").write_text("# @package _global_\noptimizer:\n  lr: 0.002\n")
    found = differences(config(copied, []), copied)
    assert found
    assert found.words == ["optimizer.lr=0.002"]


def test_a_config_whose_option_conf_no_longer_has_is_named_by_what_is_known(conf: Path) -> None:
    gone = config(conf, [])
    gone["optimizer"]["name"] = "lion"
    assert differences(gone, conf) is None
    assert name_of(gone, None) == "cnn-digits-s0"
