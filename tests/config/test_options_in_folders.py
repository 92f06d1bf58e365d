"""An option may lie in a folder of its group, as conf/optimizer/mine/s2.yaml: it is chosen, checked, remembered and named as any other."""

import pytest

from pipeline.config.compose import read_yaml
from pipeline.config.errors import ConfigError
from pipeline.config.tree import choices
from tests.config.copies import LOCAL, Copy

S2 = "conf/optimizer/mine/s2.yaml"
TEXT = "name: mine/s2\n_target_: torch.optim.SGD\nlr: 0.5\nmomentum: 0.9\n"
HEAD = "# @package _global_\n"


@pytest.fixture
def mine(project: Copy) -> Copy:
    project.write(S2, TEXT)
    return project


def chosen(project: Copy) -> tuple[str, object]:
    params = read_yaml(project.root / "params.yaml")
    return choices(params)["optimizer"], params["optimizer"]["lr"]


def test_it_is_chosen_on_the_command_line(mine: Copy) -> None:
    assert mine.check_live("optimizer=mine/s2")["optimizer"]["lr"] == 0.5


def test_it_is_chosen_by_an_experiment_of_dvc_and_lifted_as_a_choice(mine: Copy) -> None:
    mine.experiment("optimizer=mine/s2", "optimizer.momentum=0.8")
    assert (mine.lock.chosen, mine.lock.changed) == ({"optimizer": "mine/s2"}, {"optimizer.momentum": 0.8})
    assert f"lifted into {LOCAL}: optimizer=mine/s2" in mine.configure()
    assert chosen(mine) == ("mine/s2", 0.5)


def test_it_is_chosen_by_an_edit_of_conf(mine: Copy) -> None:
    mine.edit("conf/config.yaml", "  - optimizer: adamw", "  - optimizer: mine/s2")
    mine.configure()
    assert (chosen(mine), mine.overrides) == (("mine/s2", 0.5), {})


def test_it_is_chosen_by_hand_in_params_and_lifted_as_a_choice(mine: Copy) -> None:
    mine.type("optimizer", "mine/s2")
    assert f"lifted into {LOCAL}: optimizer=mine/s2" in mine.configure()
    assert chosen(mine) == ("mine/s2", 0.5)


def test_it_is_chosen_in_the_overrides_of_this_working_copy(mine: Copy) -> None:
    mine.write(LOCAL, HEAD + "defaults:\n  - override /optimizer: mine/s2\n")
    mine.configure()
    assert chosen(mine) == ("mine/s2", 0.5)


def test_a_recipe_may_lie_in_a_folder(project: Copy) -> None:
    project.write("conf/experiment/mine/fast.yaml", HEAD + "experiment: {name: mine/fast}\noptimizer:\n  lr: 0\n")
    with pytest.raises(ConfigError, match=r"^conf/experiment/mine/fast\.yaml:4: optimizer\.lr must be a number above 0"):
        project.check_live("experiment=mine/fast")


@pytest.mark.parametrize("base", ["sgd", "/optimizer/sgd@_here_"])
def test_a_value_of_what_it_is_built_on_is_told_there(base: str, mine: Copy) -> None:
    mine.write(S2, f"defaults: [{base}, _self_]\nname: mine/s2\n")
    mine.value("conf/optimizer/sgd.yaml", "momentum", 2)
    with pytest.raises(ConfigError, match=r"^conf/optimizer/sgd\.yaml:\d+: optimizer\.momentum must be"):
        mine.check_live("optimizer=mine/s2")


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("name: mine/s2", "name: s2", r":1: optimizer\.name must be mine/s2, the file's own name, but it is \"s2\""),
        ("lr: 0.5", "lr: 0", r":3: optimizer\.lr must be a number above 0"),
        ("lr: 0.5", "lrr: 0.5", r":3: optimizer\.lrr is not an option of torch\.optim\.SGD; did you mean lr\?"),
        ("torch.optim.SGD", "os.system", r":2: optimizer\._target_ must name a class"),
    ],
)
def test_what_is_wrong_in_it_is_told_with_its_line(old: str, new: str, place: str, mine: Copy) -> None:
    mine.edit(S2, old, new)
    with pytest.raises(ConfigError, match=f"^{S2}{place}"):
        mine.check_live("optimizer=mine/s2")


def test_a_value_that_is_typed_for_it_is_told_on_the_command_line(mine: Copy) -> None:
    with pytest.raises(ConfigError, match=r"^the command line \(optimizer\.lr=0\): optimizer\.lr must be"):
        mine.check_live("optimizer=mine/s2", "optimizer.lr=0")


@pytest.mark.parametrize(("word", "nearest"), [("mine/s3", "mine/s2"), ("mine/sgd", "sgd"), ("s2", "mine/s2")])
def test_a_misspelt_one_is_told_with_the_nearest(word: str, nearest: str, mine: Copy) -> None:
    expected = (
        rf"^the command line \(optimizer={word}\): there is no conf/optimizer/{word}\.yaml; did you mean {nearest}\? there are .*mine/s2"
    )
    with pytest.raises(ConfigError, match=expected):
        mine.check_live(f"optimizer={word}")


def test_a_misspelt_one_in_conf_is_told_with_its_line(mine: Copy) -> None:
    mine.edit("conf/config.yaml", "  - optimizer: adamw", "  - optimizer: mine/s3")
    with pytest.raises(ConfigError, match=r"^conf/config\.yaml:\d+: there is no conf/optimizer/mine/s3\.yaml; did you mean mine/s2\?"):
        mine.configure()
