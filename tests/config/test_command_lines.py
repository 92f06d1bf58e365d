"""Hydra's own options stand anywhere among the overrides."""

import pytest

from tests.project import Project, cloned


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return cloned(tmp_path_factory.mktemp("command-lines") / "project")


@pytest.mark.parametrize(
    "words",
    [
        ["optimizer=sgd", "optimizer.lr=0.5", "--cfg", "job", "--package", "optimizer"],
        ["--cfg", "job", "--package", "optimizer", "optimizer=sgd", "optimizer.lr=0.5"],
        ["optimizer=sgd", "--cfg", "job", "optimizer.lr=0.5", "--package", "optimizer"],
        ["--cfg", "job", "~augmentation.transforms.affine", "--package", "optimizer", "optimizer=sgd", "optimizer.lr=0.5"],
    ],
    ids=["after", "before", "between", "around a value that is left out"],
)
def test_the_config_is_printed_with_all_overrides(words: list[str], clone: Project) -> None:
    ran = clone.live("train", *words)
    assert (ran.code, "name: sgd" in ran.output, "lr: 0.5" in ran.output) == (0, True, True)


def test_an_option_whose_value_may_be_left_out_takes_no_override_for_it(clone: Project) -> None:
    ran = clone.live("train", "model=lenet", "--info")
    assert ran.code == 0
    assert "model/lenet" in ran.output
