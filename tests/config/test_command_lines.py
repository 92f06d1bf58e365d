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


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--cfg", "hydra", "optimizer=sgd"], "  sweep:"),
        (["-c", "hydra", "--package", "hydra.run"], "dir: runs/"),
        (["--cfg", "all", "--resolve"], "seed: "),
        (["--info", "defaults-tree"], "optimizer: "),
        (["--hydra-help", "optimizer=sgd"], "--multirun"),
        (["--help"], "Train the configured network"),
        (["--shell-completion", "install=bash"], "complete -o nospace"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_only_shows_is_never_refused_and_writes_nothing(words: list[str], expected: str, clone: Project) -> None:
    ran = clone.live("train", *words)
    assert (ran.code, expected in ran.output) == (0, True), ran.output
    assert not (clone.root / "runs").exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["hydra.run.dir=."], "the command line (hydra.run.dir=.): hydra.run.dir leads to {root}, which is the project or holds it"),
        (["hydra.output_subdir=../../conf"], "hydra.output_subdir leads to {root}/conf, which lies in conf, a part of the project"),
        (["-m", "seed=1,2", "hydra.sweep.dir=bundle"], "hydra.sweep.dir leads to {root}/bundle, which lies in bundle"),
        (["-m", "seed=1,2", "hydra.sweep.subdir=../../data/raw"], "hydra.sweep.subdir leads to {root}/data/raw, which lies in data"),
        (["-m", "seed=1,2", "hydra.sweep.subdir=x"], "point 1 of the sweep (seed=2): it would write to the folder of point 0"),
        (
            ["-m", "hydra.sweeper.max_batch_size=1", "optimizer.lr=0.1,-1"],
            "point 1 of the sweep (optimizer.lr=-1): the command line (optimizer.lr=-1): optimizer.lr must be",
        ),
        (["-m", "seed=1,2", "training.devices=2", "hydra/launcher=joblib"], "a training on several devices works in a sweep without"),
        (["-m", "seed=1,2", "hydra/launcher=jobib"], "hydra/launcher has no option jobib, but basic, joblib"),
        (["--experimental-rerun", "job.pickle"], "--experimental-rerun runs what is in the file that it names; type the overrides"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_live_run_that_would_do_harm_is_refused_in_one_line_before_anything_is_written(
    words: list[str], expected: str, clone: Project
) -> None:
    ran = clone.live("train", *words)
    assert (ran.code, ran.output.count("\n")) == (78, 1), ran.output
    assert expected.format(root=clone.root.resolve()) in ran.output
    assert clone.ok("git", "status", "--porcelain").output == ""
    assert not (clone.root / "runs").exists()


def test_an_option_whose_value_may_be_left_out_takes_no_override_for_it(clone: Project) -> None:
    ran = clone.live("train", "model=lenet", "--info")
    assert ran.code == 0
    assert "model/lenet" in ran.output
