"""Of two edits of one key the later wins, with a line; an experiment that did not train leaves nothing behind."""

from io import StringIO

import pytest
from ruamel.yaml import YAML

from pipeline.command.overrides import clear, listed
from pipeline.config.compose import read_yaml
from pipeline.config.errors import ConfigError
from pipeline.config.pending import unlifted
from pipeline.config.tree import get
from tests.config.copies import LOCAL, Copy

HEAD = "# @package _global_\n"
ADAMW = "conf/optimizer/adamw.yaml"
LATER = "as conf/ was edited later"


def lr(project: Copy, value: float) -> None:
    project.value(ADAMW, "lr", value)


def lift(project: Copy, key: str, value: object) -> None:
    project.type(key, value)
    project.configure()


def test_a_value_edited_in_conf_after_it_was_lifted_is_conf_s(project: Copy) -> None:
    lift(project, "optimizer.lr", 0.5)
    lr(project, 0.004)
    lines = project.configure()
    assert lines == [f"dropped from {LOCAL}: optimizer.lr=0.5, {LATER}: 0.003 -> 0.004", "params.yaml: optimizer.lr: 0.5 -> 0.004"]
    assert project.overrides == {}
    assert project.configure() == []


def test_a_value_edited_in_conf_after_an_experiment_is_conf_s(project: Copy) -> None:
    project.experiment("optimizer.lr=0.5", "seed=3")
    lr(project, 0.004)
    assert project.configure()[0] == f"not lifted: optimizer.lr=0.5 of the last experiment, {LATER}: 0.003 -> 0.004"
    assert (project.param("optimizer.lr"), project.param("seed"), project.overrides) == (0.004, 3, {"seed": 3})


def test_an_override_edited_after_conf_stays_and_so_does_one_edited_at_the_same_time(project: Copy) -> None:
    lift(project, "optimizer.lr", 0.5)
    project.edit(LOCAL, "lr: 0.5", "lr: 0.6")
    project.configure()
    lr(project, 0.004)
    project.edit(LOCAL, "lr: 0.6", "lr: 0.7")
    assert "optimizer.lr=0.7 hides conf/'s edit of it: 0.003 -> 0.004" in project.configure()
    assert project.param("optimizer.lr") == 0.7
    lr(project, 0.005)
    project.configure()
    assert project.param("optimizer.lr") == 0.005


def test_a_value_by_hand_beside_an_edit_in_conf_stays(project: Copy) -> None:
    project.type("optimizer.lr", 0.5)
    lr(project, 0.004)
    assert "optimizer.lr=0.5 hides conf/'s edit of it: 0.003 -> 0.004" in project.configure()
    assert project.param("optimizer.lr") == 0.5


def test_an_override_equal_to_conf_does_not_hold_back_a_later_edit(project: Copy) -> None:
    project.write(LOCAL, f"{HEAD}optimizer: {{lr: 0.003}} # as it is\n")
    project.configure()
    lr(project, 0.004)
    project.configure()
    assert project.param("optimizer.lr") == 0.004


def test_a_choice_edited_in_conf_after_it_was_lifted_is_conf_s_with_its_values(project: Copy) -> None:
    lift(project, "optimizer.name", "sgd")
    lift(project, "optimizer.momentum", 0.5)
    project.default("optimizer", "adam")
    assert project.configure()[:2] == [
        f"dropped from {LOCAL}: optimizer=sgd, {LATER}: adamw -> adam",
        f"dropped from {LOCAL}: optimizer.momentum, which was set for that optimizer",
    ]
    assert (project.param("optimizer.name"), project.overrides) == ("adam", {})


def test_a_value_follows_the_file_of_a_pinned_choice(project: Copy) -> None:
    lift(project, "optimizer.name", "sgd")
    lift(project, "optimizer.lr", 0.5)
    lr(project, 0.004)  # of adamw, which is not chosen
    project.configure()
    assert project.param("optimizer.lr") == 0.5
    project.value("conf/optimizer/sgd.yaml", "lr", 0.03)
    project.configure()
    assert (project.param("optimizer.name"), project.param("optimizer.lr")) == ("sgd", 0.03)


def test_a_value_in_the_place_of_an_interpolation_stays_when_what_it_refers_to_is_edited(project: Copy) -> None:
    lift(project, "scheduler.T_max", 9)
    project.value("conf/training/default.yaml", "epochs", 20)
    project.configure()
    assert (project.param("scheduler.T_max"), project.param("training.epochs")) == (9, 20)


def test_a_layer_added_in_conf_after_one_was_moved_here_takes_the_order_back(project: Copy) -> None:
    tree = read_yaml(project.root / "params.yaml")
    layers = tree["model"]["layers"]
    tree["model"]["layers"] = {"conv1": layers["conv1"], "pool1": layers["pool1"], **layers}
    project.write_params(tree)
    project.configure()
    project.edit("conf/model/cnn.yaml", "  relu3: {kind: relu}\n", "  relu3: {kind: relu}\n  again: {kind: relu}\n")
    assert project.configure()[0].startswith(f"dropped from {LOCAL}: model.layers._order_=['conv1', 'pool1', 'norm1', ")
    assert list(get(read_yaml(project.root / "params.yaml"), "model.layers"))[:4] == ["conv1", "norm1", "relu1", "pool1"]


def test_an_entry_that_conf_gets_under_the_same_name_is_conf_s_as_a_whole(project: Copy) -> None:
    lift(project, "model.layers.again", {"kind": "dropout", "rate": 0.1})
    project.edit("conf/model/cnn.yaml", "  relu3: {kind: relu}\n", "  relu3: {kind: relu}\n  again: {kind: relu}\n")
    project.configure()
    assert (project.param("model.layers.again"), project.overrides) == ({"kind": "relu"}, {})


def test_an_experiment_goes_by_the_later_edit_too(project: Copy) -> None:
    lift(project, "optimizer.lr", 0.5)
    lr(project, 0.004)
    assert f"dropped from {LOCAL}: optimizer.lr=0.5, {LATER}: 0.003 -> 0.004" in project.experiment("seed=3")
    assert (project.param("optimizer.lr"), project.lock.changed) == (0.004, {"seed": 3})


@pytest.mark.parametrize("overrides", [(), ("optimizer.lr=0.5", "model=lenet"), ("~optimizer.weight_decay",)])
def test_an_experiment_that_dvc_refuses_before_it_begins_leaves_nothing(overrides: tuple[str, ...], project: Copy) -> None:
    before = project.files
    project.dvc_composes(*overrides)
    assert unlifted(project.root) == []
    lines = project.configure()
    assert lines == [line for line in lines if line.endswith("of an experiment that was refused before it began")]
    assert bool(lines) == bool(overrides)
    assert project.files == before


def test_a_refused_experiment_with_an_option_that_is_gone_leaves_nothing(project: Copy) -> None:
    before = project.files
    project.write("conf/optimizer/mine.yaml", project.read(ADAMW).replace("name: adamw", "name: mine"))
    project.dvc_composes("optimizer=mine", "seed=3")
    (project.root / "conf/optimizer/mine.yaml").unlink()
    assert unlifted(project.root) == []
    assert project.configure() == ["not lifted: the values of an experiment that was refused before it began"]
    assert project.files == before


def test_an_experiment_that_did_not_train_leaves_nothing_but_what_stood_before(project: Copy) -> None:
    project.train()
    before = project.files
    project.experiment("optimizer.lr=0.5", "model=lenet", trains=False)
    assert unlifted(project.root) == []
    assert project.configure()[0] == "not lifted: model=lenet, optimizer.lr=0.5 of the last experiment, whose training did not end"
    assert project.files == before
    project.experiment("seed=3")
    project.experiment("optimizer.lr=0.5", trains=False)
    project.configure()
    assert (project.param("seed"), project.param("optimizer.lr"), project.overrides) == (3, 0.003, {"seed": 3})


@pytest.mark.parametrize("failed", ["model=lenet", "dataset=folder"])
def test_what_an_experiment_left_outlasts_one_with_other_options_that_did_not_train(failed: str, project: Copy) -> None:
    project.experiment("model.layers.conv1.filters=8", "augmentation=erase")
    project.experiment(failed, trains=False)
    project.configure()
    assert (project.param("model.layers.conv1.filters"), project.param("augmentation.name")) == (8, "erase")
    assert (project.param("model.name"), project.param("dataset.name")) == ("cnn", "digits")


def test_what_an_experiment_left_goes_by_a_later_edit_also_after_one_that_did_not_train(project: Copy) -> None:
    project.experiment("optimizer.lr=0.5", "augmentation=erase", "seed=3")
    project.experiment("dataset=folder", trains=False)
    lr(project, 0.004)
    project.default("augmentation", "flip")
    lines = project.configure()
    assert f"not lifted: optimizer.lr=0.5 of the last experiment, {LATER}: 0.003 -> 0.004" in lines
    assert f"not lifted: augmentation=erase of the last experiment, {LATER}: shift -> flip" in lines
    assert (project.param("optimizer.lr"), project.param("augmentation.name"), project.param("seed")) == (0.004, "flip", 3)


def test_an_experiment_on_other_images_counts_when_it_has_trained_on_them(project: Copy) -> None:
    made = {"outs": [{"path": "data/prepared", "md5": "1"}]}
    project.train(resize=made, train={"deps": [{"path": "data/prepared", "md5": "1"}]})
    project.experiment("resize.size=16", trains=False)
    project.train(resize={"outs": [{"path": "data/prepared", "md5": "2"}]}, train={"deps": [{"path": "data/prepared", "md5": "1"}]})
    assert unlifted(project.root) == []
    project.train(resize=made, train={"deps": [{"path": "data/prepared", "md5": "1"}]})
    assert unlifted(project.root) == ["resize.size=16"]


def test_an_experiment_on_classes_that_yaml_might_take_for_no_has_trained(project: Copy) -> None:
    project.experiment("dataset=folder", "dataset.classes=['no','yes']", trains=False)
    made = [{"path": "data/prepared", "md5": "1"}]
    project.train(resize={"outs": made}, train={"deps": made})
    dvc = YAML()  # as DVC writes
    written = StringIO()
    dvc.dump(read_yaml(project.root / "dvc.lock"), written)
    assert "- no\n" in written.getvalue()
    project.write("dvc.lock", written.getvalue())
    assert unlifted(project.root) == ["dataset=folder", "dataset.classes=['no', 'yes']"]


@pytest.mark.parametrize("text", ["", "stages: [1\n", "stages\n"])
def test_a_broken_dvc_lock_denies_no_training(text: str, project: Copy) -> None:
    project.experiment("seed=3", trains=False)
    project.write("dvc.lock", text)
    assert unlifted(project.root) == ["seed=3"]


def test_one_line_names_what_stands_above_conf_with_conf_s_own_values(project: Copy) -> None:
    assert project.lock.told() is None
    lift(project, "model.name", "lenet")
    project.experiment("optimizer.lr=0.5", "~optimizer.weight_decay")
    assert project.lock.told() == (
        "above conf/: model.name=lenet (conf/: cnn), optimizer.lr=0.5 (conf/: 0.003), optimizer.weight_decay=_absent_ (conf/: 0.01); "
        "`python -m pipeline.command.overrides` lists and clears"
    )


def test_the_command_lists_and_clears_and_keeps_comments(project: Copy) -> None:
    project.write(LOCAL, f"{HEAD}# mine\ndefaults:\n  - override /model: lenet\ntraining:\n  batch_size: 8 # more does not fit\nseed: 4\n")
    project.configure()
    project.type("optimizer.lr", 0.5)
    assert listed(project.root) == [
        f"model.name: lenet   (conf/: cnn)   {LOCAL}",
        f"training.batch_size: 8   (conf/: 32)   {LOCAL}",
        f"seed: 4   (conf/: 0)   {LOCAL}",
        "optimizer.lr=0.5   params.yaml; `make params` lifts it",
    ]
    lines = clear(project.root, ["model", "optimizer.lr", "seed"])
    assert [line for line in lines if line.startswith("cleared")] == [
        "cleared: model=lenet",
        "cleared: seed=4",
        "cleared: optimizer.lr=0.5",
    ]
    assert project.read(LOCAL) == f"{HEAD}# mine\ntraining:\n  batch_size: 8 # more does not fit\n"
    assert (project.param("model.name"), project.param("optimizer.lr"), project.param("training.batch_size")) == ("cnn", 0.003, 8)
    with pytest.raises(ConfigError, match=r"^training\.batchsize does not stand above conf/; did you mean training\.batch_size\?"):
        clear(project.root, ["training.batchsize"])
    clear(project.root, None)
    assert (listed(project.root), project.overrides) == ([], {})


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        (LOCAL, f"{HEAD}optimizer:\n\tlr: 0.5\n", rf"^{LOCAL}:3: not readable YAML: .*it has a tab"),
        (LOCAL, f"{HEAD}# nothing yet\n", rf"^{LOCAL}:1: the file must hold a mapping"),
        (LOCAL, f"{HEAD}optimizer: {{lrr: 0.5}}\ndefaults: [override /model: lenett]\n", rf"^{LOCAL}:3: there is no conf/model/lenett"),
        ("params.yaml", "seed: [1\n", r"^params\.yaml:1: not readable YAML"),
    ],
)
def test_a_broken_file_is_told_with_its_line_by_the_command_too(path: str, text: str, message: str, project: Copy) -> None:
    project.write(path, text)
    for work in (lambda: listed(project.root), lambda: clear(project.root, None)):
        with pytest.raises(ConfigError, match=message):
            work()


def test_a_misspelt_key_is_refused_before_anything_is_lifted(project: Copy) -> None:
    project.type("seed", 4)
    before = project.files
    with pytest.raises(ConfigError, match=r"^sead does not stand above conf/; did you mean seed\?"):
        clear(project.root, ["sead"])
    assert project.files == before
    assert "cleared: seed=4" in clear(project.root, ["seed"])


def test_choices_left_empty_are_refused_with_their_file(project: Copy) -> None:
    project.write(LOCAL, f"{HEAD}defaults:\nseed: 4\n")
    with pytest.raises(ConfigError, match=rf"^{LOCAL}: .*defaults must be a list"):
        project.configure()


def test_clearing_a_choice_clears_and_names_what_was_set_for_it(project: Copy) -> None:
    lift(project, "optimizer.name", "sgd")
    lift(project, "optimizer.momentum", 0.5)
    lines = clear(project.root, ["optimizer"])
    assert [line for line in lines if line.startswith("cleared")] == [
        "cleared: optimizer=sgd",
        "cleared: optimizer.momentum, which was set for that optimizer",
    ]
    assert project.overrides == {}


def test_an_override_written_after_an_experiment_is_the_later_edit(project: Copy) -> None:
    project.experiment("seed=2", "evaluate.confidence=0.99", "model=lenet")
    project.write(LOCAL, HEAD + "defaults:\n  - override /model: mlp\nevaluate: {confidence: 0.9}\n")
    lines = project.configure()
    assert f"not lifted: evaluate.confidence=0.99 of the last experiment, as {LOCAL} was edited later: 0.9" in lines
    assert f"not lifted: model=lenet of the last experiment, as {LOCAL} was edited later: mlp" in lines
    assert (project.param("seed"), project.param("evaluate.confidence"), project.param("model.name")) == (2, 0.9, "mlp")
    assert project.configure() == []


def test_an_experiment_above_an_older_override_is_the_later_edit(project: Copy) -> None:
    lift(project, "evaluate.confidence", 0.9)
    project.experiment("evaluate.confidence=0.99")
    assert f"lifted into {LOCAL}: evaluate.confidence=0.99, in place of 0.9" in project.configure()
    assert project.param("evaluate.confidence") == 0.99


def test_a_value_typed_beside_another_choice_of_its_group_is_told(project: Copy) -> None:
    project.type("optimizer.weight_decay", 0.02)
    project.type("optimizer.name", "sgd")
    assert "not lifted: optimizer.weight_decay=0.02, which stood beside another optimizer" in project.configure()
    assert project.param("optimizer.name") == "sgd"


def test_another_choice_alone_tells_of_no_value(project: Copy) -> None:
    project.type("optimizer.name", "sgd")
    assert not [line for line in project.configure() if line.startswith("not lifted")]
