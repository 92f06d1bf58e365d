from collections.abc import Callable

import pytest

from pipeline.config.compose import compose, dump, read_yaml, resolved
from pipeline.config.errors import ConfigError
from pipeline.config.pending import unlifted
from pipeline.config.sync import changes_told
from pipeline.config.tree import Tree, difference, get, has
from tests.config.copies import LOCAL, Copy

HEAD = "# @package _global_\n"
BIG = HEAD + "defaults:\n  - override /model: lenet\n  - override /augmentation: none\nexperiment: {name: big}\ntraining: {epochs: 7}\n"


def lifted(key: str, value: object) -> str:
    return f"lifted into {LOCAL}: {key}={value}"


def test_a_fresh_clone_gets_params_that_are_conf_s_composition(project: Copy) -> None:
    (project.root / "params.yaml").unlink()
    (project.root / "conf.lock").unlink()
    assert project.configure() == ["params.yaml: composed from conf/"]
    values = compose(project.root / "conf")
    assert project.read("params.yaml") == dump(resolved(values))
    assert (project.lock.chosen, project.lock.changed, project.lock.values) == ({}, {}, values)
    assert project.overrides == {}


def test_a_second_time_changes_nothing(project: Copy) -> None:
    before = project.files
    assert project.configure() == []
    assert project.files == before


def test_an_edit_in_conf_reaches_params_with_old_and_new(project: Copy) -> None:
    project.value("conf/optimizer/adamw.yaml", "lr", 0.5)
    assert project.configure() == ["params.yaml: optimizer.lr: 0.003 -> 0.5"]
    assert project.param("optimizer.lr") == 0.5
    assert project.overrides == {}


@pytest.mark.parametrize("name", ["params.yaml", "conf.lock"])
def test_a_generated_file_is_written_in_one_step_so_that_a_reader_has_the_old_one_whole(name: str, project: Copy) -> None:
    old = project.read(name)
    project.value("conf/optimizer/adamw.yaml", "lr", 0.5)
    with (project.root / name).open() as reader:
        project.configure()
        assert reader.read() == old
    assert project.read(name) != old


def edit_conf(project: Copy) -> None:
    project.value("conf/optimizer/adamw.yaml", "lr", 0.004)
    project.default("model", "lenet")


def lift_a_choice_and_a_value(project: Copy) -> None:
    project.type("model.name", "lenet")
    project.type("seed", 4)


@pytest.mark.parametrize("change", [edit_conf, lift_a_choice_and_a_value])
def test_a_configure_that_is_killed_between_its_two_files_leaves_nothing_that_passes_for_an_edit(
    change: Callable[[Copy], None], project: Copy
) -> None:
    change(project)
    before = project.read("conf.lock")
    project.configure()
    after = project.files
    project.write("conf.lock", before)
    assert project.configure() == []
    assert project.files == after


def test_a_changed_default_choice_reaches_params(project: Copy) -> None:
    project.default("model", "lenet")
    assert "params.yaml: model.name: cnn -> lenet" in project.configure()
    assert project.param("model.filters") == [6, 16]


def test_a_file_that_dvc_does_not_know_is_never_left_behind(project: Copy) -> None:
    project.type("training.epochs", 5)
    project.configure()
    assert {path.name for path in project.root.iterdir()} == {"conf", "params.yaml", "conf.lock"}


def test_edits_of_params_are_lifted_and_stay(project: Copy) -> None:
    edits = {
        "training.batch_size": 5,
        "training.monitor": "validation/accuracy",
        "training.patience": None,  # a number becomes null
        "optimizer.amsgrad": True,  # an option of the class that conf/ does not name
        "dataset.classes": [str(i) for i in range(11)],
        "dataset.splits": {"train": "a", "test": "b"},  # a mapping takes the place of null
        "model.layers.extra": {"kind": "relu"},
        "model.layers.pool3": None,  # null takes the place of a mapping
        "tracking.uri": "http://127.0.0.1:5000",
    }
    for key, value in edits.items():
        project.type(key, value)
    assert sorted(project.configure()) == sorted(lifted(key, value) for key, value in edits.items())
    for key, value in edits.items():
        assert get(project.overrides, key) == project.param(key) == value
    after = project.files
    assert project.configure() == []
    assert project.files == after


def test_a_layer_removed_by_hand_is_lifted_as_absent(project: Copy) -> None:
    tree = read_yaml(project.root / "params.yaml")
    del tree["model"]["layers"]["pool3"]
    project.write_params(tree)
    assert project.configure() == [lifted("model.layers.pool3", "_absent_")]
    assert not has(read_yaml(project.root / "params.yaml"), "model.layers.pool3")


def test_interpolations_follow_a_lifted_value(project: Copy) -> None:
    project.type("training.epochs", 5)
    assert project.configure() == [lifted("training.epochs", 5), "params.yaml: scheduler.T_max: 30 -> 5"]
    assert project.overrides == {"training": {"epochs": 5}}


def test_a_value_in_the_place_of_an_interpolation_is_lifted_too(project: Copy) -> None:
    project.type("training.epochs", 5)
    project.type("scheduler.T_max", 9)
    project.configure()
    assert (project.param("training.epochs"), project.param("scheduler.T_max")) == (5, 9)


def test_a_hand_typed_1e_5_is_a_number(project: Copy) -> None:
    project.edit("params.yaml", "lr: 0.003", "lr: 1e-5")
    project.configure()
    assert project.param("optimizer.lr") == get(project.overrides, "optimizer.lr") == 1e-5
    assert project.configure() == []


def test_an_edit_of_params_and_one_in_conf_both_count(project: Copy) -> None:
    project.type("training.batch_size", 5)
    project.value("conf/optimizer/adamw.yaml", "lr", 0.5)
    project.configure()
    assert (project.param("training.batch_size"), project.param("optimizer.lr")) == (5, 0.5)


def test_what_was_lifted_can_be_changed_and_deleted_in_its_file(project: Copy) -> None:
    project.type("training.epochs", 5)
    project.configure()
    project.edit(LOCAL, "epochs: 5", "epochs: 6")
    assert "params.yaml: training.epochs: 5 -> 6" in project.configure()
    (project.root / LOCAL).unlink()
    project.configure()
    assert project.param("training.epochs") == 30
    assert not (project.root / LOCAL).exists()


@pytest.mark.parametrize("typed", ["lenet", {"name": "lenet"}])
def test_a_choice_changed_by_hand_is_lifted_as_a_choice(typed: object, project: Copy) -> None:
    tree = read_yaml(project.root / "params.yaml")
    tree["model"] = typed if isinstance(typed, str) else {**tree["model"], **typed}
    project.write("params.yaml", dump(tree))
    assert project.configure()[0] == lifted("model", "lenet")
    assert project.overrides == {"defaults": [{"override /model": "lenet"}]}
    assert project.param("model") == read_yaml(project.root / "conf/model/lenet.yaml")


def test_another_choice_drops_what_was_set_for_the_old_one(project: Copy) -> None:
    project.type("optimizer.lr", 0.5)
    project.configure()
    project.type("optimizer.name", "sgd")
    assert project.configure()[:2] == [
        lifted("optimizer", "sgd"),
        f"dropped from {LOCAL}: optimizer.lr, which was set for another optimizer",
    ]
    assert (project.param("optimizer.name"), project.param("optimizer.lr")) == ("sgd", 0.02)


def test_a_choice_and_a_value_elsewhere_are_lifted_together(project: Copy) -> None:
    project.type("optimizer.name", "sgd")
    project.type("training.epochs", 5)
    project.configure()
    assert (project.param("optimizer.momentum"), project.param("training.epochs")) == (0.9, 5)


def test_comments_in_the_overrides_survive(project: Copy) -> None:
    project.write(LOCAL, HEAD + "# for the old laptop\ntraining:\n  batch_size: 8 # more does not fit\n")
    project.configure()
    project.type("optimizer.lr", 0.5)
    project.configure()
    assert project.read(LOCAL) == HEAD + ("# for the old laptop\ntraining:\n  batch_size: 8 # more does not fit\noptimizer:\n  lr: 0.5\n")


def test_an_override_that_conf_has_lost_is_dropped_with_a_line(project: Copy) -> None:
    project.default("optimizer", "sgd")
    project.configure()
    project.type("optimizer.momentum", 0.5)
    project.type("training.epochs", 5)
    project.configure()
    project.default("optimizer", "adam")  # which has no momentum
    assert project.configure()[0] == f"dropped from {LOCAL}: optimizer.momentum, which conf/ no longer has"
    assert project.overrides == {"training": {"epochs": 5}}


def test_inside_an_experiment_only_the_lock_is_written(project: Copy) -> None:
    before = project.files
    assert project.experiment("optimizer.lr=0.5", "model=lenet") == ["params.yaml: as DVC composed it for this experiment"]
    assert {name for name, text in project.files.items() if before.get(name) != text} == {"params.yaml", "conf.lock", "dvc.lock"}
    assert (project.lock.chosen, project.lock.changed) == ({"model": "lenet"}, {"optimizer.lr": 0.5})
    assert project.lock.composed() == read_yaml(project.root / "params.yaml")


def test_an_applied_value_is_lifted(project: Copy) -> None:
    project.experiment("optimizer.lr=0.5")
    assert project.configure() == [lifted("optimizer.lr", 0.5)]
    assert project.param("optimizer.lr") == 0.5
    assert project.lock.changed == {}


def test_an_applied_choice_with_a_value_is_lifted_as_both(project: Copy) -> None:
    project.experiment("optimizer=sgd", "optimizer.lr=0.5")
    assert project.configure() == [lifted("optimizer", "sgd"), lifted("optimizer.lr", 0.5)]
    assert (project.param("optimizer.lr"), project.param("optimizer.momentum")) == (0.5, 0.9)


def test_interpolations_follow_an_applied_value_also_later(project: Copy) -> None:
    project.experiment("training.epochs=5")
    assert project.lock.changed == {"training.epochs": 5}
    project.configure()
    project.edit(LOCAL, "epochs: 5", "epochs: 6")
    project.configure()
    assert project.param("scheduler.T_max") == 6


def test_an_applied_value_that_equals_an_older_one_of_conf_stays(project: Copy) -> None:
    project.value("conf/optimizer/adamw.yaml", "lr", 0.5)
    project.configure()
    project.experiment("optimizer.lr=0.003")
    assert project.configure() == [lifted("optimizer.lr", 0.003)]
    assert project.param("optimizer.lr") == 0.003


def test_after_an_applied_value_edits_in_conf_still_count(project: Copy) -> None:
    project.experiment("optimizer.lr=0.5")
    project.value("conf/training/default.yaml", "batch_size", 8)
    project.configure()
    assert (project.param("optimizer.lr"), project.param("training.batch_size")) == (0.5, 8)


def test_an_edit_by_hand_after_an_applied_experiment_counts_too(project: Copy) -> None:
    project.experiment("optimizer.lr=0.5")
    project.type("optimizer.lr", 0.25)
    project.type("training.batch_size", 8)
    project.configure()
    assert (project.param("optimizer.lr"), project.param("training.batch_size")) == (0.25, 8)


def test_a_choice_by_hand_after_an_applied_value_of_that_group_wins(project: Copy) -> None:
    project.experiment("optimizer.lr=0.5")
    project.type("optimizer.name", "sgd")
    project.configure()
    assert (project.param("optimizer.name"), project.param("optimizer.lr")) == ("sgd", 0.02)


def test_an_applied_recipe_is_remembered_and_its_later_edits_count(project: Copy) -> None:
    project.write("conf/experiment/big.yaml", BIG)
    project.experiment("experiment=big")
    assert (project.lock.chosen, project.lock.changed) == ({"experiment": "big"}, {})
    assert project.configure() == [lifted("experiment", "big")]
    assert (project.param("model.name"), project.param("training.epochs")) == ("lenet", 7)
    project.edit("conf/experiment/big.yaml", "epochs: 7", "epochs: 8")
    project.configure()
    assert (project.param("training.epochs"), project.param("scheduler.T_max")) == (8, 8)


def test_an_applied_debug_run_is_its_choice_alone_and_leaves_nothing_when_it_is_chosen_off(project: Copy) -> None:
    before = read_yaml(project.root / "params.yaml")
    project.experiment("debug=overfit")
    assert (project.lock.chosen, project.lock.changed) == ({"debug": "overfit"}, {})
    assert project.configure() == [lifted("debug", "overfit")]
    project.type("debug.name", "none")
    project.configure()
    assert read_yaml(project.root / "params.yaml") == before


def test_a_value_applied_beside_a_recipe_stays_beside_it(project: Copy) -> None:
    project.write("conf/experiment/big.yaml", BIG)
    project.experiment("experiment=big", "training.epochs=3", "model=cnn")
    assert (project.lock.chosen, project.lock.changed) == ({"experiment": "big", "model": "cnn"}, {"training.epochs": 3})
    project.configure()
    assert (project.param("training.epochs"), project.param("model.name"), project.param("experiment.name")) == (3, "cnn", "big")


def test_an_experiment_starts_from_this_working_copy_s_overrides(project: Copy) -> None:
    project.write(LOCAL, HEAD + "training: {batch_size: 8}\n")
    project.experiment("optimizer.lr=0.5")
    assert project.lock.changed == {"optimizer.lr": 0.5}
    project.configure()
    assert project.overrides == {"training": {"batch_size": 8}, "optimizer": {"lr": 0.5}}


def test_an_experiment_that_can_t_work_is_refused_and_leaves_all_files_as_they_were(project: Copy) -> None:
    before = project.files
    with pytest.raises(ConfigError, match=r"^the command line \(optimizer\.lr=-1\): optimizer\.lr must be a number above 0, but it is -1$"):
        project.experiment("optimizer.lr=-1")
    assert project.files == before


def refused(project: Copy, message: str) -> None:
    before = project.files
    with pytest.raises(ConfigError, match=message):
        project.configure()
    assert project.files == before


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("lr: 0.003", "lrr: 0.003", r"optimizer\.lrr is not an option of torch\.optim\.AdamW; did you mean lr\?"),
        ("epochs: 30", "epoch: 30", r"training\.epoch is not a key of conf/; did you mean training\.epochs\?"),
        ("seed: 0\nfetch", "sede: 0\nfetch", r"sede is not a key of conf/; did you mean seed\?"),
        ("lr: 0.003", "lr: 0", r"optimizer\.lr must be a number above 0, but it is 0"),
        ("epochs: 30", "epochs: many", r'^params\.yaml:\d+: training\.epochs must be a whole number, but it is "many"$'),
        (
            "name: cnn\n  _target_",
            "name: vgg99\n  _target_",
            r"^params\.yaml:\d+: there is no conf/model/vgg99\.yaml; did you mean vgg19\? there are vgg19, .* more: `ls conf/model`",
        ),
        ("epochs: 30", "epochs: [30", r"^params\.yaml:\d+: not readable YAML: "),
    ],
)
def test_an_edit_that_can_t_be_stops_and_all_files_stay(old: str, new: str, message: str, project: Copy) -> None:
    project.write(LOCAL, HEAD + "# mine\ntraining: {batch_size: 8}\n")
    project.edit("params.yaml", old, new)
    refused(project, message)


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        (LOCAL, HEAD + "trainig: {epochs: 3}\n", r"trainig\.epochs is not a key of conf/; did you mean training\.epochs\?"),
        (LOCAL, HEAD + "defaults:\n  - override /model: vgg99\n", r"^conf/local/overrides\.yaml:3: there is no conf/model/vgg99\.yaml"),
        (LOCAL, HEAD + "seed: ${no.where}\n", r"^conf/local/overrides\.yaml:2: an interpolation refers to nothing"),
        (LOCAL, "seed: 1\n", r"^conf/local/overrides\.yaml:1: the file must begin with the line `# @package _global_`"),
        ("conf/model/cnn.yaml", "name: [cnn\n", r"^conf/model/cnn\.yaml:1: not readable YAML: "),
        ("params.yaml", "- a\n", r"^params\.yaml:1: the file must hold a mapping of keys to values, but it holds a list"),
        (
            "conf.lock",
            "a: 1\n",
            r"conf\.lock is not one that this `dvc repro` wrote; `git checkout HEAD -- conf\.lock` .* `rm params\.yaml conf\.lock`",
        ),
        (
            "params.yaml",
            "a: 1\n<<<<<<< ours\n=======\n>>>>>>> theirs\n",
            r"^params\.yaml:2: conflict markers of a merge.*`rm params\.yaml conf\.lock`",  # as git has neither
        ),
        ("conf.lock", "a: 1\n<<<<<<< ours\n=======\n>>>>>>> theirs\n", r"^conf\.lock:2: conflict markers of a merge.*settle conf/"),
    ],
)
def test_a_broken_file_stops_and_all_files_stay(path: str, text: str, message: str, project: Copy) -> None:
    project.write(path, text)
    refused(project, message)


@pytest.mark.parametrize(("missing", "other"), [("params.yaml", "conf.lock"), ("conf.lock", "params.yaml")])
def test_one_of_the_two_files_alone_is_told_with_the_way_out(missing: str, other: str, project: Copy) -> None:
    (project.root / missing).unlink()
    with pytest.raises(ConfigError, match=rf"{missing} is missing but {other} is there, .* Start anew from conf/ with `rm {other}`"):
        project.configure()


def test_changes_that_no_configure_has_lifted_are_listed(project: Copy) -> None:
    assert unlifted(project.root) == []
    project.type("training.epochs", 5)
    assert unlifted(project.root) == ["training.epochs=5"]
    project.experiment("model=lenet", "optimizer.lr=0.5")
    assert unlifted(project.root) == ["model=lenet", "optimizer.lr=0.5"]
    project.configure()
    assert unlifted(project.root) == []
    (project.root / "conf.lock").unlink()
    assert unlifted(project.root) == []


@pytest.mark.parametrize(
    ("new", "old", "expected"),
    [
        ({"a": {"b": 1}}, {"a": {"b": 1}}, {}),
        ({"a": {"b": 2}}, {"a": {"b": 1}}, {"a.b": 2}),
        ({"a": True}, {"a": 1}, {"a": True}),
        ({}, {"a": 1}, {"a": "_absent_"}),
        ({"a": None}, {"a": {"b": 1}}, {"a": None}),
        ({"a": {"b": 1}}, {"a": None}, {"a": {"b": 1}}),
        ({"a": [1, 2]}, {"a": [2, 1]}, {"a": [1, 2]}),
        ({"skipped": 1, "a": {"skipped": 2, "b": 1}}, {"a": {"b": 1}}, {"a.skipped": 2}),
    ],
)
def test_differences_are_the_smallest_nodes_that_changed(new: Tree, old: Tree, expected: Tree) -> None:
    assert difference(new, old, skip={"skipped"}) == expected


def test_told_changes_name_keys_that_came_and_went() -> None:
    assert changes_told({"a": 1, "b": {"c": 2}}, {"a": 1, "d": 3}) == ["params.yaml: d: (none) -> 3", "params.yaml: b.c: 2 -> (none)"]
