"""A data set of photos brings what suits photos, and what a person says counts more."""

import pytest

from pipeline.config.compose import compose, read_yaml
from pipeline.config.errors import ConfigError
from pipeline.config.tree import choices, get
from tests.config.copies import LOCAL, Copy
from tests.project import ROOT

HEAD = "# @package _global_\n"
BROUGHT = {"model": "cnn5", "augmentation": "photos", "optimizer": "adamw_photos"}


@pytest.mark.parametrize("name", ["folder", "csv", "parquet", "cats_vs_dogs"])
def test_every_data_set_of_photos_brings_them(name: str) -> None:
    tree = compose(ROOT / "conf", [f"dataset={name}"])
    assert choices(tree).items() >= BROUGHT.items()
    assert (get(tree, "resize.size"), get(tree, "optimizer.lr"), get(tree, "training.average")) == (64, 0.002, 0.99)


def test_digits_and_drawings_go_without() -> None:
    assert choices(compose(ROOT / "conf")).items() >= {"dataset": "digits", "model": "cnn", "optimizer": "adamw"}.items()
    assert choices(compose(ROOT / "conf", ["dataset=mnist"]))["augmentation"] == "shift"


def test_what_is_said_beside_them_counts_more() -> None:
    words = ["dataset=folder", "model=lenet", "optimizer=sgd", "resize=letterbox", "training.epochs=5"]
    tree = compose(ROOT / "conf", words)
    assert choices(tree).items() >= {"model": "lenet", "optimizer": "sgd", "augmentation": "photos"}.items()
    assert (get(tree, "optimizer.lr"), get(tree, "resize.size"), get(tree, "training.epochs")) == (0.02, 64, 5)
    assert choices(compose(ROOT / "conf", ["experiment=cats_dogs_keras"]))["model"] == "keras"


def test_an_experiment_with_a_data_set_is_remembered_by_its_choice_alone(project: Copy) -> None:
    project.experiment("dataset=folder", "augmentation=erase", "dataset.splits={train: train, test: val}")
    splits = {"train": "train", "test": "val"}
    assert (project.lock.chosen, project.lock.changed) == ({"dataset": "folder", "augmentation": "erase"}, {"dataset.splits": splits})
    project.configure()
    chosen = [{"override /dataset": "folder"}, {"override /augmentation": "erase"}]
    assert project.overrides == {"defaults": chosen, "dataset": {"splits": splits}}
    project.experiment("seed=2")
    assert (project.param("dataset.name"), project.param("dataset.splits.test")) == ("folder", "val")
    assert (project.param("model.name"), project.param("resize.size")) == ("cnn5", 64)


@pytest.mark.parametrize(("word", "beside"), [("dataset=folder", "model=mlp_small"), ("experiment=cats_dogs", "augmentation=erase")])
def test_an_experiment_with_one_option_more_hides_no_edit_of_conf(word: str, beside: str, project: Copy) -> None:
    project.experiment(word)
    assert [line for line in project.experiment(word, beside) if "hides" in line] == []
    project.configure()
    project.type("optimizer.name", "sgd")
    assert [line for line in project.configure() if "hides" in line] == []


@pytest.mark.parametrize("typed", ["in params.yaml", "in conf/config.yaml"])
def test_the_data_set_from_now_on_is_one_word(typed: str, project: Copy) -> None:
    project.type("dataset.name", "folder") if typed == "in params.yaml" else project.default("dataset", "folder")
    project.configure()
    params = read_yaml(project.root / "params.yaml")
    assert choices(params).items() >= (BROUGHT | {"dataset": "folder"}).items()
    assert get(params, "scheduler.T_max") == get(params, "training.epochs") == 60
    assert project.configure() == []


def test_back_to_digits_leaves_nothing_behind(project: Copy) -> None:
    before = read_yaml(project.root / "params.yaml")
    project.experiment("dataset=folder")
    project.configure()
    project.type("dataset.name", "digits")
    project.configure()
    assert read_yaml(project.root / "params.yaml") == before


@pytest.mark.parametrize("word", ["dataset=folder", "experiment=mnist", "dataset=mnist", "debug=overfit"])
def test_an_override_is_not_dropped_for_what_a_data_set_or_a_recipe_brings(word: str, project: Copy) -> None:
    project.write(LOCAL, HEAD + "resize: {size: 48}\ntraining: {epochs: 10}\n")
    project.configure()
    project.experiment(word)
    assert project.overrides == {"resize": {"size": 48}, "training": {"epochs": 10}}
    assert project.param("training.epochs") == 10


@pytest.mark.parametrize(
    ("old", "new", "place", "words"),
    [
        ("size: 64", "size: 0", "conf/photos.yaml:8", "resize.size must be"),
        ("override /model: cnn5", "override /model: cnn6", "conf/photos.yaml:4", "there is no conf/model/cnn6.yaml"),
        ("average: 0.99", "averge: 0.99", "conf/photos.yaml:11", "training.averge is not a key of conf/; did you mean training.average?"),
    ],
)
def test_what_is_wrong_in_them_is_told_with_its_place(old: str, new: str, place: str, words: str, project: Copy) -> None:
    project.edit("conf/photos.yaml", old, new)
    project.default("dataset", "folder")
    with pytest.raises(ConfigError) as caught:
        project.configure()
    assert str(caught.value).startswith(f"{place}: {words}")


def test_what_is_wrong_in_them_is_told_with_its_place_for_a_data_set_built_on_another_too(project: Copy) -> None:
    project.write("conf/dataset/mine.yaml", "defaults: [folder, _self_]\nname: mine\n")
    project.edit("conf/photos.yaml", "size: 64", "size: 0")
    project.default("dataset", "mine")
    with pytest.raises(ConfigError, match=r"^conf/photos\.yaml:8: resize\.size must be"):
        project.configure()
