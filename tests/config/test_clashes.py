import re
from typing import Any

import pytest

from pipeline.config.clashes import check_clashes
from pipeline.config.compose import parse, resolved
from pipeline.config.errors import ConfigError
from pipeline.config.paths import WORKSPACE
from pipeline.config.tree import Tree, put
from tests.conftest import Compose

FILE = {"name": "a.gz", "sha256": "a" * 64}


@pytest.fixture
def params(composed: Compose) -> Tree:
    return resolved(composed())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sources.mirrors": []}, "sources.mirrors is empty, so dataset.sources.files can't be fetched: give one base URL or more"),
        ({"sources.files": {}}, "sources.files is empty and dataset.sources.folder is null, so there is nothing to fetch"),
        ({"sources.files": {"a": FILE, "b": FILE}}, "sources.files names a.gz twice, and each file needs a name of its own"),
        ({"classes": ["a"]}, "classes names 1, and a network needs two or more to tell apart"),
        ({"classes": []}, "classes names 0, and a network needs two or more to tell apart"),
        ({"classes": ["a", "b", "a"]}, "classes names a twice"),
        ({"classes": ["a", " "]}, "classes holds an empty name"),
        ({"take": {"cat": "dog"}, "classes": ["cat", "dog"]}, "classes names cat, which dataset.take takes from no class of the files"),
        ({"take": {"cat": "cats", "dog": "dog"}, "classes": ["cat", "dog"]}, "take.cat is cats, which dataset.classes does not name"),
        ({"splits": {"train": "a", "val": "b"}}, "splits.val must be one of train, validation, test, or all alone"),
        ({"splits": {"all": "a", "test": "b"}}, "splits.all means that the splits are drawn, so no other can stand beside it"),
        ({"splits": {"test": "b"}}, "splits names no train, so there are no images to train on: name them, or draw all splits by {all: …}"),
        ({"splits": {"train": "a"}}, "splits names no test, so there are no images to test on: name them, or draw all splits by {all: …}"),
        ({"splits": {"train": "a", "validation": "b"}}, "splits names no test, so there are no images to test on"),
        ({"splits": {"train": "a", "test": "a"}}, "splits.test is a, as dataset.splits.train is: the same images can't be both"),
        ({"split.validation": 0}, "split.validation is 0 and dataset.splits names no validation, so no images are left for it;"),
        ({"split.test": 0}, "split.test is 0 and dataset.splits names no test, so no images are left for it; give a share above 0"),
        ({"split.test": 0.4, "split.validation": 0.6}, "split.validation and dataset.split.test must stay below 1 together, but they are"),
        ({"split.folds": 5, "split.fold": 5}, "split.fold is 5, and the folds are numbered from 0 to 4"),
        ({"split.fold": 1}, "split.fold is 1, but dataset.split.folds is null: give the number of folds, or fold 0"),
        (
            {"splits": {"train": "a", "validation": "b", "test": "c"}, "split.folds": 5},
            "split.folds is set, but dataset.splits names validation images: leave one of the two out",
        ),
    ],
)
def test_values_that_can_t_be_together_are_refused(changes: dict[str, Any], message: str, params: Tree) -> None:
    for key, value in changes.items():
        put(params, f"dataset.{key}", value)
    with pytest.raises(ConfigError) as caught:
        check_clashes(parse(params))
    assert str(caught.value).startswith(f"dataset.{message}")
    assert caught.value.key == f"dataset.{message.split()[0]}"


@pytest.mark.parametrize(
    "changes",
    [
        {"sources.folder": "data/own", "sources.mirrors": [], "sources.files": {}},
        {"sources.mirrors": [], "sources.files": {"a": FILE | {"url": "https://host/a"}}},
        {"classes": None},
        {"take": {"ship": "boat", "cat": "cat", "lion": "cat"}, "classes": ["cat", "boat"]},
        {"take": {"ship": "boat"}, "classes": None},
        {"splits": {"all": "a"}},
        {"split.folds": 5, "split.fold": 4, "split.validation": 0},
        {"splits": {"train": "a", "validation": "b", "test": "c"}, "split.validation": 0, "split.test": 0},
        {"splits": {"train": "a", "test": "b"}, "split.test": 0.5, "split.validation": 0.6},  # the share of test is not used
        {"split.test": 0.3, "split.validation": 0.6},
    ],
)
def test_what_goes_together_passes(changes: dict[str, Any], params: Tree) -> None:
    for key, value in changes.items():
        put(params, f"dataset.{key}", value)
    check_clashes(parse(params))


@pytest.mark.parametrize("background", [[0, 0], [0, 0, 0, 0]])
def test_a_background_has_three_shades(background: list[int], params: Tree) -> None:
    put(params, "decode.background", background)
    with pytest.raises(ConfigError, match=r"^decode.background must be three numbers, red, green and blue, but it is \[0, 0") as caught:
        check_clashes(parse(params))
    assert caught.value.key == "decode.background"


def test_a_network_can_t_see_more_than_is_stored(params: Tree) -> None:
    put(params, "training.input", 33)
    with pytest.raises(ConfigError, match=r"training.input is 33 pixels, more than the resize.size=32 that images are stored at") as caught:
        check_clashes(parse(params))
    assert caught.value.key == "training.input"


SOURCE = {"name": "torchvision", "source": "a.pth", "names": "torchvision"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {**SOURCE, "source": None},
            "weights.source is null, and weights=torchvision begins with a file's: give its path or URL, or choose weights=none",
        ),
        (
            {**SOURCE, "names": None},
            "weights.names is null, so nobody knows whose names of layers weights.source has: give ours, torchvision or timm",
        ),
        (
            {**SOURCE, "source": "./bundle/"},
            "weights.source is ./bundle/, which training itself writes: copy it, cp -r bundle start, and name the copy",
        ),
    ],
)
def test_weights_that_nothing_can_be_read_from_are_refused(changes: dict[str, Any], message: str, params: Tree) -> None:
    params["weights"] |= changes
    with pytest.raises(ConfigError) as caught:
        check_clashes(parse(params))
    assert str(caught.value) == message


@pytest.mark.parametrize("source", ["bundle", "bundle/weights.safetensors", "start/../bundle", f"{WORKSPACE}/bundle/"])
def test_weights_in_the_folder_that_training_empties_are_refused_however_they_are_named(source: str, params: Tree) -> None:
    params["weights"] |= {**SOURCE, "source": source}
    with pytest.raises(ConfigError, match=rf"weights\.source is {re.escape(source)}, which training itself writes: copy it, cp -r bundle"):
        check_clashes(parse(params))


@pytest.mark.parametrize("source", ["runs/a/bundle", "bundles/a", "https://host/bundle/net.pth"])
def test_weights_in_another_folder_of_that_name_pass(source: str, params: Tree) -> None:
    params["weights"] |= {**SOURCE, "source": source}
    check_clashes(parse(params))


def test_weights_of_a_named_source_pass_also_before_their_sha256_is_known(params: Tree) -> None:
    params["weights"] |= SOURCE
    check_clashes(parse(params))


def test_an_image_is_mirrored_by_chance_or_in_turn_but_not_both(composed: Compose) -> None:
    params = resolved(composed("augmentation=flip", "augmentation.alternating_flip=true"))
    with pytest.raises(
        ConfigError, match=r"transforms.flip mirrors by chance what augmentation.alternating_flip mirrors in turn"
    ) as caught:
        check_clashes(parse(params))
    assert caught.value.key == "augmentation.transforms.flip"
    put(params, "augmentation.transforms.flip", None)
    check_clashes(parse(params))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"accumulate": 3}, "is 32, which training.accumulate=3 can't share out evenly: 33 is the nearest that can"),
        (
            {"devices": 3, "accumulate": 2},
            "is 32, which training.devices=3 * training.accumulate=2 can't share out evenly: 30 is",
        ),
        ({"nodes": 64}, "is 32, which training.nodes=64 can't share out evenly: 64 is the nearest that can"),
    ],
)
def test_a_batch_that_can_t_be_shared_out_evenly_is_refused(changes: dict[str, int], message: str, params: Tree) -> None:
    params["training"] |= changes
    with pytest.raises(ConfigError) as caught:
        check_clashes(parse(params))
    assert str(caught.value).startswith(f"training.batch_size {message}")
    assert caught.value.key == "training.batch_size"


@pytest.mark.parametrize("changes", [{"devices": 2}, {"devices": 2, "nodes": 4, "accumulate": 4}, {"accumulate": 32}])
def test_a_batch_that_can_be_shared_out_passes(changes: dict[str, int], params: Tree) -> None:
    params["training"] |= changes
    check_clashes(parse(params))
