"""Equal trainings have equal identities, and whatever decides a result changes it."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from pipeline.bundle import TRAINED_WITH
from pipeline.config.composition import parse, put
from pipeline.config.schema import Config
from pipeline.training.checkpoints import _differences, _key
from pipeline.training.identity import code_digest, identity_of

CHANGES = {
    "a layer": ("model.layers.conv.filters", 9),
    "the learning rate": ("optimizer.lr", 0.5),
    "the seed": ("seed", 1),
    "the threads": ("training.threads", 2),
    "the precision": ("training.precision", "bf16-mixed"),
    "an augmentation": ("augmentation.alternating_flip", True),
}


def identity(tree: dict, digest: str = "d1") -> dict:
    return identity_of(parse(tree), TRAINED_WITH, digest)


@pytest.fixture
def tree(cfg: Config) -> dict:
    return asdict(cfg)


@pytest.mark.parametrize("what", CHANGES)
def test_what_decides_the_result_makes_another_training(what: str, tree: dict) -> None:
    before = identity(tree)
    put(tree, *CHANGES[what])
    assert identity(tree) != before


def turned(mapping: dict) -> dict:
    return dict(reversed(mapping.items()))


@pytest.mark.parametrize("place", [("model", "layers"), ("augmentation", "transforms")])
def test_another_order_makes_another_training_with_other_checkpoints(place: tuple[str, str], tree: dict) -> None:
    group, name = place
    tree["augmentation"]["transforms"] = {"flip": {"p": 0.5}, "shift": {"p": 0.5}}
    before = identity(tree)
    tree[group][name] = turned(tree[group][name])
    assert _key(identity(tree)) != _key(before)
    assert [line.partition(" (")[0] for line in _differences(identity(tree), before)] == [f"config.{group}.{name}._order_"]


def test_the_order_of_a_class_s_options_is_none_of_the_training_s(tree: dict) -> None:
    before = identity(tree)
    tree["optimizer"] = turned(tree["optimizer"])
    tree["model"]["layers"] = {name: turned(layer) for name, layer in tree["model"]["layers"].items()}
    assert _key(identity(tree)) == _key(before)


@pytest.mark.parametrize(("key", "value"), [("machine.workers", 3), ("machine.checkpoint", 1.0), ("tracking.experiment", "other")])
def test_what_changes_no_bit_leaves_it_the_same(key: str, value: object, tree: dict) -> None:
    before = identity(tree)
    put(tree, key, value)
    assert identity(tree) == before


def test_other_data_make_another_training(tree: dict) -> None:
    assert identity(tree, "d1") != identity(tree, "d2")


def test_an_identity_is_made_of_plain_values_so_that_a_checkpoint_can_hold_it(tree: dict) -> None:
    found = identity(tree)
    assert json.loads(json.dumps(found)) == found
    assert type(found["torch"]) is str


@pytest.mark.parametrize("place", ["pipeline/model/new.py", "pipeline/training/fit.py", "requirements.lock"])
def test_changed_code_makes_another_training(place: str, tmp_path: Path) -> None:
    for name in ("pipeline/model/cnn.py", "pipeline/training/fit.py", "requirements.lock", "pipeline/report.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    before = code_digest(tmp_path)
    (tmp_path / "pipeline/report.py").write_text("2")
    assert code_digest(tmp_path) == before
    (tmp_path / place).write_text("2")
    assert code_digest(tmp_path) != before
