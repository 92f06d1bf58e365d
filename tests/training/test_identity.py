"""Equal trainings have equal identities, and whatever decides a result changes it."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest

from pipeline.bundle import TRAINED_WITH
from pipeline.command.deps import closure
from pipeline.config.compose import parse
from pipeline.config.schema import Config
from pipeline.config.tree import put
from pipeline.training.checkpoints import _differences, code_digest, code_files, identity_of, key_of
from tests.project import ROOT

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
    assert key_of(identity(tree)) != key_of(before)
    assert [line.partition(" (")[0] for line in _differences(identity(tree), before)] == [f"config.{group}.{name}._order_"]


def test_the_order_of_a_class_s_options_is_none_of_the_training_s(tree: dict) -> None:
    before = identity(tree)
    tree["optimizer"] = turned(tree["optimizer"])
    tree["model"]["layers"] = {name: turned(layer) for name, layer in tree["model"]["layers"].items()}
    assert key_of(identity(tree)) == key_of(before)


@pytest.mark.parametrize(("key", "value"), [("machine.workers", 3), ("machine.checkpoint", 1.0), ("tracking.experiment", "other")])
def test_what_changes_no_bit_leaves_it_the_same(key: str, value: object, tree: dict) -> None:
    before = identity(tree)
    put(tree, key, value)
    assert identity(tree) == before


def test_other_data_make_another_training(tree: dict) -> None:
    assert identity(tree, "d1") != identity(tree, "d2")


def test_another_kind_of_device_makes_another_training(tree: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    before = identity(tree)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert identity(tree) != before


def test_an_identity_is_made_of_plain_values_so_that_a_checkpoint_can_hold_it(tree: dict) -> None:
    found = identity(tree)
    assert json.loads(json.dumps(found)) == found
    assert type(found["torch"]) is str


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code, to be changed and changed back."""
    root = tmp_path_factory.mktemp("code")
    shutil.copytree(ROOT / "pipeline", root / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", "requirements.lock"):
        shutil.copy(ROOT / name, root)
    return root


def changed(root: Path, place: str) -> bool:
    """Tell whether a change of a file makes another training."""
    before, path = code_digest(root), root / place
    text = path.read_text() if path.exists() else None
    path.write_text(f"{text or ''}# changed\n")
    after = code_digest(root)
    if text is None:
        path.unlink()
    else:
        path.write_text(text)
    return after != before


def test_the_code_is_what_the_stage_depends_on() -> None:
    deps = {ROOT / dep for dep in closure(ROOT / "pipeline" / "stage" / "train.py", ROOT)}
    models = set((ROOT / "pipeline" / "model").rglob("*.py"))
    assert set(code_files(ROOT)) == {path for path in deps if path.is_file()} | models


@pytest.mark.parametrize("place", ["pipeline/bundle.py", "pipeline/config/build.py", "pipeline/stage/train.py", "pipeline/model/new.py"])
def test_changed_code_makes_another_training_wherever_the_stage_uses_it(place: str, code: Path) -> None:
    assert changed(code, place)


@pytest.mark.parametrize("place", ["pipeline/report.py", "pipeline/config/live.py", "pipeline/model/notes.md", "README.md"])
def test_what_the_stage_does_not_use_leaves_it_the_same(place: str, code: Path) -> None:
    assert not changed(code, place)
