import os
from pathlib import Path

import pytest

from pipeline.config.compose import read_yaml
from pipeline.config.errors import ConfigError
from pipeline.config.overrides import HEAD, Overrides
from pipeline.config.tree import get

TEXT = """\
# @package _global_
# my notes
defaults:
  - override /model: lenet # small enough

# a slower start
optimizer:
  lr: 1e-4 # tried 1e-3
  weight_decay: 0
training: {epochs: 3}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "local" / "overrides.yaml"


@pytest.fixture
def overrides(path: Path) -> Overrides:
    path.parent.mkdir()
    path.write_text(TEXT)
    return Overrides.read(path)


def test_choices_and_values_are_read(overrides: Overrides) -> None:
    assert overrides.choices == {"model": "lenet"}
    assert set(overrides.values) == {"optimizer", "training"}


def test_without_a_file_nothing_is_overridden_and_none_is_written(path: Path) -> None:
    overrides = Overrides.read(path)
    assert (overrides.choices, overrides.values) == ({}, {})
    overrides.write()
    assert not path.exists()


def test_a_new_file_begins_with_its_package_and_what_it_is(path: Path) -> None:
    overrides = Overrides.read(path)
    overrides.set("training.epochs", 3)
    overrides.choose("model", "lenet")
    overrides.write()
    assert path.read_text().startswith("# @package _global_\n# What this working copy changes")
    assert read_yaml(path) == {"defaults": [{"override /model": "lenet"}], "training": {"epochs": 3}}
    assert Overrides.read(path).choices == {"model": "lenet"}


def test_comments_and_order_survive_a_change(overrides: Overrides, path: Path) -> None:
    overrides.set("optimizer.weight_decay", 0.5)
    overrides.set("seed", 4)
    overrides.write()
    text = path.read_text()
    assert text == TEXT.replace("weight_decay: 0\n", "weight_decay: 0.5\n") + "seed: 4\n"


def test_a_list_is_written_in_one_line_as_in_conf(overrides: Overrides, path: Path) -> None:
    overrides.set("model.sizes", [5, "no"])
    overrides.write()
    assert path.read_text() == TEXT + 'model:\n  sizes: [5, "no"]\n'


def test_writing_what_was_read_changes_nothing(overrides: Overrides, path: Path) -> None:
    overrides.write()
    assert path.read_text() == TEXT


def test_another_choice_drops_the_values_of_the_old_one_and_no_others(overrides: Overrides) -> None:
    assert overrides.choose("optimizer", "sgd") == ["optimizer.lr", "optimizer.weight_decay"]
    assert overrides.choices == {"model": "lenet", "optimizer": "sgd"}
    assert set(overrides.values) == {"training"}


def test_the_same_choice_again_drops_nothing(overrides: Overrides) -> None:
    overrides.set("model.filters", [4, 8])
    assert overrides.choose("model", "lenet") == []
    assert overrides.choices == {"model": "lenet"}
    assert overrides.choose("model", "cnn") == ["model.filters"]
    assert overrides.choices == {"model": "cnn"}


def test_the_last_value_s_removal_removes_its_mapping_and_the_file(path: Path) -> None:
    overrides = Overrides.read(path)
    overrides.set("training.epochs", 3)
    overrides.write()
    overrides.remove("training.epochs")
    overrides.write()
    assert not path.exists()


def refuse(text: str) -> None:
    assert "seed: 4" in text
    raise ConfigError


def test_a_trial_that_fails_leaves_the_file_as_it_was(overrides: Overrides, path: Path) -> None:
    overrides.set("seed", 4)
    with pytest.raises(ConfigError), overrides.on_trial():
        refuse(path.read_text())
    assert path.read_text() == TEXT


def test_a_trial_that_fails_leaves_no_new_file(path: Path) -> None:
    overrides = Overrides.read(path)
    overrides.set("seed", 4)
    with pytest.raises(KeyboardInterrupt), overrides.on_trial():
        raise KeyboardInterrupt
    assert not path.exists()


def test_a_trial_that_passes_keeps_the_change(overrides: Overrides, path: Path) -> None:
    overrides.set("seed", 4)
    with overrides.on_trial():
        pass
    assert "seed: 4" in path.read_text()


QUOTED = """\
# @package _global_
dataset:
  classes: ["no", 'yes', plain] # of a survey
  take: {"off": "on"}
"""


def test_words_that_hydra_would_read_as_something_else_keep_their_quotes(path: Path) -> None:
    path.parent.mkdir()
    path.write_text(QUOTED)
    overrides = Overrides.read(path)
    assert overrides.values == {"dataset": {"classes": ["no", "yes", "plain"], "take": {"off": "on"}}}
    overrides.set("seed", 4)
    overrides.write()
    assert path.read_text() == f"{QUOTED}seed: 4\n"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("dataset.classes", ["no", "off", "cat"]),
        ("dataset.take", {"yes": "no", "1:30": "a"}),
        ("dataset.take.on", "2026-01-01"),
        ("tracking.model", "1_000"),
        ("training.budget", "null"),
        ("tracking.experiment", "a: b # c"),
        ("optimizer.lr", 1e-5),
    ],
)
def test_what_is_set_is_what_hydra_reads(key: str, value: object, path: Path) -> None:
    overrides = Overrides.read(path)
    overrides.set(key, value)
    overrides.write()
    assert get(read_yaml(path), key) == get(Overrides.read(path).values, key) == value


@pytest.mark.parametrize("text", ["defaults:\nseed: 4\n", "seed: 4\ndefaults: null\n"])
def test_an_empty_list_of_choices_is_none(text: str, path: Path) -> None:
    path.parent.mkdir()
    path.write_text(HEAD + text)
    overrides = Overrides.read(path)
    assert overrides.choices == {}
    overrides.choose("model", "lenet")
    overrides.write()
    assert (Overrides.read(path).choices, Overrides.read(path).values) == ({"model": "lenet"}, {"seed": 4})


def test_a_file_that_says_what_it_said_is_not_written(overrides: Overrides, path: Path) -> None:
    os.utime(path, (1, 1))
    overrides.write()
    assert path.stat().st_mtime == 1


def test_a_reader_has_the_old_file_whole(overrides: Overrides, path: Path) -> None:
    with path.open() as reader:
        overrides.set("seed", 4)
        with pytest.raises(ConfigError), overrides.on_trial():
            raise ConfigError
        assert reader.read() == TEXT
        overrides.write()
        reader.seek(0)
        assert reader.read() == TEXT
