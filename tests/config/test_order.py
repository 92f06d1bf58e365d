"""The order of layers and transforms is part of the config; that of a class's options is not."""

from pathlib import Path

import pytest

from pipeline.config.compose import compose, read_yaml
from pipeline.config.errors import ConfigError
from pipeline.config.pending import unlifted
from pipeline.config.tree import apply_directives, difference, get, with_order
from tests.config.copies import LOCAL, Copy

HEAD = "# @package _global_\n"
NAMES = ["conv1", "norm1", "relu1", "pool1", "conv2", "norm2", "relu2", "pool2", "conv3", "norm3", "relu3", "pool3", "dropout", "scores"]
POOL_FIRST = ["conv1", "pool1", "norm1", "relu1", *NAMES[4:]]

FLIP = "  flip: {_target_: albumentations.HorizontalFlip, p: 0.5}\n"
SHIFT = "  shift:\n    _target_: albumentations.Affine\n    translate_percent: [-0.1, 0.1] # of the side\n    p: 0.5\n"


def move_pool_in_conf(project: Copy) -> None:
    pool, norm = "  pool1: {kind: max_pool, kernel: 2}\n", "  norm1: {kind: batch_norm}\n"
    project.edit("conf/model/cnn.yaml", pool, "")
    project.edit("conf/model/cnn.yaml", norm, pool + norm)


def order(project: Copy, key: str = "model.layers") -> list[str]:
    return list(get(read_yaml(project.root / "params.yaml"), key))


def test_layers_swapped_in_conf_reach_params_and_dvc(project: Copy) -> None:
    before = project.lock.overlooked
    move_pool_in_conf(project)
    assert project.configure() == [f"params.yaml: model.layers._order_: {NAMES} -> {POOL_FIRST}"]
    assert order(project) == POOL_FIRST
    assert project.lock.overlooked["model"] == f"layers._order_={POOL_FIRST}"
    assert {group for group, line in project.lock.overlooked.items() if line != before[group]} == {"model"}
    assert project.configure() == []


def test_transforms_swapped_in_conf_reach_params_and_dvc(project: Copy) -> None:
    project.default("augmentation", "flip")
    project.configure()
    before = project.lock.overlooked["augmentation"]
    project.edit("conf/augmentation/flip.yaml", FLIP + SHIFT, SHIFT + FLIP)
    assert project.configure() == ["params.yaml: augmentation.transforms._order_: ['flip', 'shift'] -> ['shift', 'flip']"]
    assert (order(project, "augmentation.transforms"), project.lock.overlooked["augmentation"]) != (["flip", "shift"], before)


def test_options_of_a_class_in_another_order_are_the_same(project: Copy) -> None:
    before = project.lock.overlooked
    project.edit(
        "conf/model/cnn.yaml", "{kind: conv, filters: 16, kernel: 3, padding: same}", "{padding: same, kernel: 3, filters: 16, kind: conv}"
    )
    project.edit("conf/augmentation/shift.yaml", "    p: 0.9 # share of the images\n", "")
    project.edit("conf/augmentation/shift.yaml", "  affine:\n", "  affine:\n    p: 0.9\n")
    assert project.configure() == []
    assert project.lock.overlooked == before


@pytest.mark.parametrize("way", ["by hand", "-S"])
def test_a_moved_layer_is_lifted_as_the_order(way: str, project: Copy) -> None:
    if way == "-S":
        project.experiment(f"+model.layers._order_=[{','.join(POOL_FIRST)}]")
    else:
        tree = read_yaml(project.root / "params.yaml")
        layers = tree["model"]["layers"]
        tree["model"]["layers"] = {name: layers[name] for name in POOL_FIRST}
        project.write_params(tree)
    assert unlifted(project.root) == [f"model.layers._order_={POOL_FIRST}"]
    assert f"lifted into {LOCAL}: model.layers._order_={POOL_FIRST}" in project.configure()
    assert project.overrides == {"model": {"layers": {"_order_": POOL_FIRST}}}
    assert order(project) == POOL_FIRST
    assert "_order_" not in project.read("params.yaml")
    assert project.configure() == []


def test_a_layer_inserted_in_the_middle_by_hand_stands_there(project: Copy) -> None:
    project.edit("params.yaml", "    norm1:\n", "    extra:\n      kind: relu\n    norm1:\n")
    lines = project.configure()
    names = [NAMES[0], "extra", *NAMES[1:]]
    assert lines == [f"lifted into {LOCAL}: model.layers.extra={{'kind': 'relu'}}", f"lifted into {LOCAL}: model.layers._order_={names}"]
    assert order(project) == names
    assert project.configure() == []


def test_a_layer_added_at_the_end_by_hand_needs_no_order(project: Copy) -> None:
    project.type("model.layers.extra", {"kind": "relu"})
    project.configure()
    assert project.overrides == {"model": {"layers": {"extra": {"kind": "relu"}}}}


def test_a_layer_added_by_hand_after_one_was_moved_is_put_into_the_order(project: Copy) -> None:
    project.write(LOCAL, f"{HEAD}model: {{layers: {{_order_: {POOL_FIRST}}}}}\n")
    project.configure()
    project.type("model.layers.extra", {"kind": "relu"})
    project.configure()
    assert order(project) == [*POOL_FIRST, "extra"]
    tree = read_yaml(project.root / "params.yaml")
    del tree["model"]["layers"]["norm2"]
    project.write_params(tree)
    project.configure()
    assert order(project) == [name for name in [*POOL_FIRST, "extra"] if name != "norm2"]
    assert project.configure() == []


def test_a_removed_key_stays_absent(project: Copy) -> None:
    project.experiment("~optimizer.weight_decay", "~model.layers.dropout")
    assert project.lock.changed == {"model.layers.dropout": "_absent_", "optimizer.weight_decay": "_absent_"}
    after = project.read("params.yaml")
    assert project.configure() == [
        f"lifted into {LOCAL}: model.layers.dropout=_absent_",
        f"lifted into {LOCAL}: optimizer.weight_decay=_absent_",
    ]
    assert project.read("params.yaml") == after
    assert "weight_decay" not in read_yaml(project.root / "params.yaml")["optimizer"]
    project.write("conf/optimizer/adamw.yaml", project.read("conf/optimizer/adamw.yaml") + "# a comment\n")
    assert project.configure() == []
    assert project.read("params.yaml") == after


def test_a_live_run_has_the_order_of_the_overrides_and_of_its_command_line(project: Copy) -> None:
    project.write(LOCAL, f"{HEAD}model: {{layers: {{_order_: {POOL_FIRST}, dropout: _absent_}}}}\n".replace(", 'dropout'", ""))
    assert list(project.check_live()["model"]["layers"]) == [name for name in POOL_FIRST if name != "dropout"]


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (POOL_FIRST[1:], "conv1 is missing"),
        ([*POOL_FIRST, "conv9"], "conv9 is not there"),
        ([*POOL_FIRST, "relu1"], "relu1 stands there twice"),
    ],
)
def test_an_order_that_does_not_name_the_entries_is_refused_with_its_place(typed: list[str], message: str, project: Copy) -> None:
    project.write(LOCAL, f"{HEAD}model:\n  layers:\n    _order_: {typed}\n")
    before = project.files
    with pytest.raises(
        ConfigError, match=rf"^conf/local/overrides\.yaml:4: model\.layers\._order_ must name each of .* once, but {message}"
    ):
        project.configure()
    assert project.files == before


def test_an_order_where_none_counts_is_an_unknown_key(project: Copy) -> None:
    project.write(LOCAL, f"{HEAD}optimizer: {{_order_: [lr]}}\n")
    with pytest.raises(ConfigError, match=r"optimizer\._order_ is not an option of torch\.optim\."):
        project.configure()


LAYERS = {"a": {"kind": "relu"}, "b": {"kind": "relu"}, "c": None}


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        ({"b": LAYERS["b"], "a": LAYERS["a"], "c": None}, {"model.layers._order_": ["b", "a", "c"]}),
        ({"c": None, **LAYERS}, {}),  # what is left out has no place
        ({"a": LAYERS["a"], "c": None}, {"model.layers.b": "_absent_"}),
        (LAYERS | {"d": {"kind": "relu"}}, {"model.layers.d": {"kind": "relu"}}),
        ({"d": None, **LAYERS}, {"model.layers.d": None}),
        ({"b": LAYERS["b"], "a": {"kind": "tanh"}, "c": None}, {"model.layers.a.kind": "tanh", "model.layers._order_": ["b", "a", "c"]}),
    ],
)
def test_an_order_differs_where_the_values_alone_would_not_lead_to_it(new: dict[str, object], expected: dict[str, object]) -> None:
    old = {"model": {"layers": LAYERS}}
    assert difference({"model": {"layers": new}}, old, skip=set()) == expected
    seen = with_order({"model": {"layers": new}}) != with_order(old)
    assert seen == any(value is not None for value in expected.values()) or expected == {"model.layers.d": None}


def test_the_order_of_branches_counts_too_and_of_a_class_s_options_not() -> None:
    one, other = {"left": {"kind": "conv"}, "right": {"kind": "relu"}}, {"right": {"kind": "relu"}, "left": {"kind": "conv"}}
    for key in ("branches", "whatever"):
        assert with_order({"model": {"layers": {"fork": {key: one}}}}) != with_order({"model": {"layers": {"fork": {key: other}}}})
    assert with_order({"loss": {"a": one}}) == with_order({"loss": {"a": other}})
    tree = {"model": {"layers": {"fork": {"branches": {**one, "_order_": ["right", "left"]}}}}}
    assert list(apply_directives(tree)["model"]["layers"]["fork"]["branches"]) == ["right", "left"]


def test_swapped_layers_are_tried_out_anew(project: Copy) -> None:
    project.edit("conf/model/cnn.yaml", "  scores: {kind: linear} # no `units`: one score per class\n", "")
    project.edit("conf/model/cnn.yaml", "layers:\n", "layers:\n  scores: {kind: linear}\n")
    with pytest.raises(ConfigError, match=r"conv needs feature maps, but a linear layer before it flattens them"):
        project.configure()


def test_params_in_conf_s_order_also_where_a_file_builds_on_another(conf: Path) -> None:
    assert list(compose(conf, ["model=classic_5x5"])["model"]["layers"])[:3] == ["conv1", "relu1", "conv2"]


def lift_pool_first(project: Copy) -> None:
    layers = get(read_yaml(project.root / "params.yaml"), "model.layers")
    project.type("model.layers", {name: layers[name] for name in POOL_FIRST})
    project.configure()


def test_an_order_typed_for_a_network_that_conf_has_left_is_dropped_with_a_line(project: Copy) -> None:
    project.default("model", "lenet")
    layers = get(read_yaml(project.root / "params.yaml"), "model.layers")
    project.type("model.layers", {name: layers[name] for name in POOL_FIRST})
    line = f"not lifted: model.layers._order_={POOL_FIRST}, which was set for another model"
    assert line in project.configure()
    assert project.param("model.name") == "lenet"
    assert project.configure() == []


def test_what_an_experiment_adds_above_a_lifted_order_comes_last(project: Copy) -> None:
    lift_pool_first(project)
    project.experiment("+model.layers.added={kind: relu}")
    assert order(project) == [*POOL_FIRST, "added"]
    project.configure()
    assert order(project) == [*POOL_FIRST, "added"] == list(compose_order(project))
    assert project.configure() == []


def test_what_an_experiment_takes_out_of_a_lifted_order_leaves_the_others_where_they_were(project: Copy) -> None:
    lift_pool_first(project)
    without = [name for name in POOL_FIRST if name != "relu2"]
    project.experiment("~model.layers.relu2")
    assert order(project) == without
    project.configure()
    assert order(project) == without == list(compose_order(project))
    assert project.configure() == []


def test_an_experiment_above_a_lifted_order_that_dvc_refuses_before_it_begins_leaves_nothing(project: Copy) -> None:
    lift_pool_first(project)
    before = project.files
    project.dvc_composes("+model.layers.added={kind: relu}")
    assert project.configure() == ["not lifted: model.layers.added={'kind': 'relu'} of an experiment that was refused before it began"]
    assert project.files == before


def test_a_live_run_adds_and_takes_out_above_a_lifted_order(project: Copy) -> None:
    lift_pool_first(project)
    params = project.check_live("~model.layers.relu2", "+model.layers.added={kind: relu}")
    assert list(get(params, "model.layers")) == [*(name for name in POOL_FIRST if name != "relu2"), "added"]


def test_an_order_that_an_experiment_gives_names_what_is_there(project: Copy) -> None:
    with pytest.raises(ConfigError, match="pool1 is missing, polo1 is not there"):
        project.experiment(f"+model.layers._order_=[{','.join(POOL_FIRST).replace('pool1', 'polo1')}]")


def compose_order(project: Copy) -> list[str]:
    return list(get(compose(project.root / "conf"), "model.layers"))
