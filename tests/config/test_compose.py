import shutil
from pathlib import Path
from typing import Any

import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from pipeline.config.compose import compose, dump, known_keys, parse, read_yaml, resolved
from pipeline.config.errors import ConfigError
from pipeline.config.tree import choices, drop, get, has, leaves, put
from tests.conftest import Compose
from tests.samples import GROUPS


def test_every_group_has_a_choice(composed: Compose) -> None:
    assert set(choices(composed())) == set(GROUPS)


def test_composing_leaves_interpolations_and_resolving_follows_them(conf: Path) -> None:
    tree = compose(conf, ["training.epochs=7"])
    assert tree["scheduler"]["T_max"] == "${training.epochs}"
    assert resolved(tree)["scheduler"]["T_max"] == 7


def test_dumped_text_is_read_back_in_the_same_order(composed: Compose, tmp_path: Path) -> None:
    tree = resolved(composed())
    (tmp_path / "params.yaml").write_text(dump(tree))
    assert read_yaml(tmp_path / "params.yaml") == tree
    assert list(read_yaml(tmp_path / "params.yaml")["model"]["layers"]) == list(tree["model"]["layers"])


def test_composing_inside_another_hydra_leaves_that_one_as_it_was(conf: Path) -> None:
    with initialize_config_dir(str(conf), version_base=None):
        compose(conf, ["model=lenet"])
        assert hydra_compose("config", ["seed=5"]).seed == 5
    assert not GlobalHydra.instance().is_initialized()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model=vgg99"], r"conf/ can't be composed: .*Could not find 'model/vgg99' Available options in 'model': .*classic.*lenet"),
        (["nothing=x"], r"conf/ can't be composed: .*nothing"),
        (["optimizer.lr=[1"], r"conf/ can't be composed: .*no viable alternative at input '\[1'"),
    ],
)
def test_what_hydra_refuses_is_told_in_its_words(overrides: list[str], message: str, conf: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        compose(conf, overrides)
    assert not GlobalHydra.instance().is_initialized()


def test_known_keys_are_those_of_the_choices_without_this_working_copy_s_values(conf: Path, tmp_path: Path) -> None:
    shutil.copytree(conf, tmp_path / "conf")
    (tmp_path / "conf" / "local").mkdir()
    (tmp_path / "conf" / "local" / "overrides.yaml").write_text("# @package _global_\noptimizer: {lr: 1, lrr: 2}\n")
    tree = compose(tmp_path / "conf", ["optimizer=sgd"])
    assert tree["optimizer"]["lr"] == 1
    known = known_keys(tmp_path / "conf", tree)
    assert known["optimizer"]["momentum"] == 0.9
    assert known["optimizer"]["lr"] != 1
    assert not has(known, "optimizer.lrr")


def test_a_number_typed_as_1e_5_is_read_as_a_number(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("a: 1e-5\nb: '1e-5'\nc: 1E3\nd: ${a}\n")
    assert read_yaml(tmp_path / "x.yaml") == {"a": 1e-5, "b": "1e-5", "c": 1000.0, "d": "${a}"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", r"x\.yaml is not readable YAML: "),
        ("a: 1\na: 2\n", r"x\.yaml is not readable YAML: .*duplicate key a"),
        ("\ta: 1", r"x\.yaml is not readable YAML: "),
        ("- a\n- b\n", r"x\.yaml must hold a mapping of keys to values, not a ListConfig"),
    ],
)
def test_a_file_that_is_no_mapping_is_told(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_yaml(tmp_path / "x.yaml")


def test_an_interpolation_to_nowhere_is_told() -> None:
    with pytest.raises(ConfigError, match=r"an interpolation refers to nothing: .*'no\.where' not found"):
        resolved({"a": "${no.where}"})


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("training.max_epoch", 3, r"^training\.max_epoch: Key 'max_epoch' not in 'Training'"),
        ("training.epochs", "many", r"^training\.epochs: Value 'many' of type 'str' could not be converted to Integer"),
        ("training.epochs", "???", r"^training\.epochs: .*[Mm]issing"),
        ("dataset.sources.files.more", {"nam": 1}, r"^dataset\.sources\.files\.more\.nam: Key 'nam' not in 'SourceFile'"),
    ],
)
def test_a_config_that_does_not_fit_its_types_is_refused_by_its_key(key: str, value: Any, message: str, composed: Compose) -> None:
    tree = resolved(composed())
    put(tree, key, value)
    with pytest.raises(ConfigError, match=message):
        parse(tree)


def test_leaves_have_dotted_keys_and_lists_and_empty_mappings_are_leaves() -> None:
    assert list(leaves({"a": {"b": 1, "c": {}}, "d": [1, {"e": 2}], "f": None})) == [
        *(("a.b", 1), ("a.c", {}), ("d", [1, {"e": 2}]), ("f", None))
    ]


def test_values_are_got_put_and_dropped_by_dotted_keys() -> None:
    tree: dict[str, Any] = {"a": {"b": {"c": 1}}, "d": 2}
    assert get(tree, "a.b.c") == 1
    put(tree, "a.x.y", 3)
    put(tree, "d.e", 4)  # a mapping takes the place of a value
    assert tree == {"a": {"b": {"c": 1}, "x": {"y": 3}}, "d": {"e": 4}}
    drop(tree, "a.b.c")
    assert tree == {"a": {"x": {"y": 3}}, "d": {"e": 4}}
    drop(tree, "a.x.y")
    drop(tree, "d")
    assert tree == {}


@pytest.mark.parametrize("key", ["x", "a.x", "a.b.c"])
def test_a_key_that_ends_early_is_not_there(key: str) -> None:
    tree = {"a": {"b": 1}}
    assert not has(tree, key)
    with pytest.raises(KeyError, match=key):
        get(tree, key)
