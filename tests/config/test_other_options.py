"""Layers and transforms that were set for one network or augmentation are not carried into another one that conf/ chooses later."""

import pytest

from pipeline.config.compose import read_yaml
from pipeline.config.tree import get
from tests.config.copies import LOCAL, Copy

HEAD = "# @package _global_\n"
FLIP = "augmentation.transforms.flip"
TURN = {"_target_": "albumentations.VerticalFlip", "p": 0.5}
DROPPED = f"dropped from {LOCAL}: augmentation.transforms"


@pytest.fixture
def flipping(project: Copy) -> Copy:
    """The project with an augmentation whose transforms are flip and shift; those of `erase` are flip and erase."""
    project.default("augmentation", "flip")
    project.configure()
    return project


def transforms(project: Copy) -> dict[str, object]:
    return dict(get(read_yaml(project.root / "params.yaml"), "augmentation.transforms"))


def shift_first(project: Copy) -> None:
    there = transforms(project)
    project.type("augmentation.transforms", {"shift": there["shift"], "flip": there["flip"]})


@pytest.mark.parametrize(("option", "names"), [("erase", ["flip", "erase"]), ("none", [])])
def test_a_lifted_order_goes_with_the_augmentation(option: str, names: list[str], flipping: Copy) -> None:
    shift_first(flipping)
    flipping.configure()
    flipping.default("augmentation", option)
    assert flipping.configure()[0] == f"{DROPPED}._order_, which was set for another augmentation"
    assert (list(transforms(flipping)), flipping.overrides) == (names, {})
    assert flipping.configure() == []


def test_a_lifted_transform_and_one_taken_out_go_with_the_augmentation(flipping: Copy) -> None:
    flipping.type("augmentation.transforms", transforms(flipping) | {"turn": TURN})
    flipping.configure()
    flipping.type("augmentation.transforms", {name: value for name, value in transforms(flipping).items() if name != "flip"})
    flipping.configure()
    flipping.default("augmentation", "erase")
    assert flipping.configure()[:2] == [f"{DROPPED}.{name}, which was set for another augmentation" for name in ("turn", "flip")]
    assert (list(transforms(flipping)), flipping.overrides) == (["flip", "erase"], {})


def test_an_order_typed_while_conf_goes_over_to_another_augmentation_is_not_lifted(flipping: Copy) -> None:
    shift_first(flipping)
    flipping.default("augmentation", "erase")
    line = "not lifted: augmentation.transforms._order_=['shift', 'flip'], which was set for another augmentation"
    assert flipping.configure()[0] == line
    assert (list(transforms(flipping)), flipping.overrides) == (["flip", "erase"], {})


def test_a_transform_that_an_experiment_took_out_is_not_taken_out_of_another_augmentation(flipping: Copy) -> None:
    flipping.experiment(f"~{FLIP}", "seed=2")
    flipping.default("augmentation", "erase")
    assert flipping.configure()[0] == f"not lifted: {FLIP}=_absent_, which was set for another augmentation"
    assert (list(transforms(flipping)), flipping.overrides) == (["flip", "erase"], {"seed": 2})


def test_an_experiment_after_conf_went_over_to_another_augmentation_is_not_held_to_the_old_order(flipping: Copy) -> None:
    shift_first(flipping)
    flipping.configure()
    flipping.default("augmentation", "erase")
    assert f"{DROPPED}._order_, which was set for another augmentation" in flipping.experiment("seed=2")
    assert (list(transforms(flipping)), flipping.overrides, flipping.lock.changed) == (["flip", "erase"], {}, {"seed": 2})


def test_what_is_written_together_with_the_choice_in_conf_stays(flipping: Copy) -> None:
    flipping.default("augmentation", "erase")
    flipping.write(LOCAL, f"{HEAD}{{augmentation: {{transforms: {{flip: {{p: 0.9}}}}}}}}\n")
    flipping.configure()
    assert flipping.param(f"{FLIP}.p") == 0.9


def test_an_experiment_with_another_augmentation_leaves_what_is_lifted(flipping: Copy) -> None:
    flipping.type(f"{FLIP}.p", 0.9)
    flipping.configure()
    before = flipping.overrides
    flipping.experiment("augmentation=erase")
    flipping.experiment("seed=2")
    flipping.configure()
    assert flipping.overrides == before | {"seed": 2}


@pytest.fixture
def narrow(project: Copy) -> Copy:
    """The project with fewer filters in the first layer of cnn, lifted; cnn5, which a data set of photos brings, has that layer too."""
    project.type("model.layers.conv1.filters", 8)
    project.configure()
    return project


def test_an_experiment_with_a_data_set_leaves_the_layers_of_the_network_that_it_replaces(narrow: Copy) -> None:
    before = narrow.overrides
    narrow.experiment("dataset=folder")
    narrow.experiment("seed=2")
    assert narrow.overrides == before


@pytest.mark.parametrize("word", ["dataset=folder", "experiment=cats_dogs"])
def test_after_an_experiment_with_a_data_set_that_did_not_train_the_layers_are_still_there(word: str, narrow: Copy) -> None:
    before = narrow.overrides
    narrow.train()
    narrow.experiment(word, trains=False)
    narrow.configure()
    assert (narrow.overrides, narrow.param("model.layers.conv1.filters")) == (before, 8)


def test_a_data_set_chosen_by_hand_drops_the_layers_of_the_network_that_it_replaces(narrow: Copy) -> None:
    narrow.type("dataset.name", "folder")
    assert f"dropped from {LOCAL}: model.layers.conv1.filters, which was set for another model" in narrow.configure()
    assert narrow.param("model.name") == "cnn5"


def test_an_experiment_with_another_augmentation_may_drop_an_override_beside_a_lifted_order(flipping: Copy) -> None:
    shift_first(flipping)
    flipping.type("optimizer.lr", 0.5)
    flipping.configure()
    flipping.value("conf/optimizer/adamw.yaml", "lr", 0.004)
    flipping.experiment("augmentation=erase")
    assert (flipping.param("optimizer.lr"), list(transforms(flipping))) == (0.004, ["flip", "erase"])
