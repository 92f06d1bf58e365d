"""A search is what its file says, with the command line over it; what can't be searched is refused with its place."""

import json
import re
import shutil
from pathlib import Path

import pytest

from pipeline.config.compose import options
from pipeline.config.errors import ConfigError, DataError
from pipeline.config.schema import Config
from pipeline.config.search import Search, read_search
from pipeline.config.search_points import as_it_stands, check_points
from pipeline.config.sweep_words import Interval, Options
from tests.samples import CONF

HEAD = "name: x\ntrials: 4\n"
GOOD = """\
name: x
trials: 4
space:
  model: lenet,cnn
  optimizer: adamw,sgd
  training.epochs: 2
when:
  optimizer=sgd:
    optimizer.momentum: interval(0.8,0.99)
    optimizer.lr: tag(log,interval(1e-3,1))
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    shutil.copytree(CONF, tmp_path / "conf", ignore=shutil.ignore_patterns("local"))
    return tmp_path


def read(root: Path, text: str, *words: str, **given: object) -> Search:
    (root / "conf" / "search" / "x.yaml").write_text(text)
    return read_search(root, "x", words, given)


def refusal(root: Path, text: str, *words: str, **given: object) -> str:
    with pytest.raises(ConfigError) as raised:
        read(root, text, *words, **given)
    return str(raised.value)


def test_keys_that_vary_are_entries_with_their_lines_and_one_value_is_fixed(root: Path) -> None:
    search = read(root, GOOD)
    assert [(entry.name, entry.place) for entry in search.entries] == [
        ("model", "conf/search/x.yaml:4"),
        ("optimizer", "conf/search/x.yaml:5"),
        ("optimizer.momentum (optimizer=sgd)", "conf/search/x.yaml:9"),
        ("optimizer.lr (optimizer=sgd)", "conf/search/x.yaml:10"),
    ]
    assert search.fixed == ("training.epochs=2",)
    assert (search.settings.trials, search.settings.sampler) == (4, "tpe")  # its own, and that of default.yaml


def test_the_command_line_counts_more_than_the_file(root: Path) -> None:
    search = read(root, GOOD, "model=mlp,cnn", "training.epochs=int(interval(2,9))", sampler="random", trials=7)
    assert {entry.key: entry.values for entry in search.entries if not entry.when} == {
        "model": Options(("mlp", "cnn")),
        "optimizer": Options(("adamw", "sgd")),
        "training.epochs": Interval(2, 9, step=1),
    }
    assert search.fixed == ()
    assert (search.settings.trials, search.settings.sampler) == (7, "random")


def test_a_search_comes_back_from_json(root: Path) -> None:
    search = read(root, GOOD)
    back = Search.from_json(json.loads(json.dumps(search.as_json())))
    assert back.as_json() == search.as_json()
    assert [entry.values for entry in back.entries] == [entry.values for entry in search.entries]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"{HEAD}tirals: 3\n", "conf/search/x.yaml:3: tirals is not a setting of a search; did you mean trials?"),
        (f"{HEAD}model: lenet,cnn\n", "conf/search/x.yaml:3: model is not a setting of a search; keys of the config stand below `space:`"),
        (f"{HEAD}sampler: tep\n", 'conf/search/x.yaml:3: sampler must be one of grid, random, tpe, qmc, but it is "tep"'),
        (f"{HEAD}attempts: 0\n", "conf/search/x.yaml:3: attempts must be "),
        (f"{HEAD}time: soon\n", 'conf/search/x.yaml:3: time must be a time such as 90s, 30m or 2h, but it is "soon"'),
        (f"{HEAD}first: maybe\n", 'conf/search/x.yaml:3: first must be true or false, but it is "maybe"'),
        (f"{HEAD}space:\n  - model\n", "conf/search/x.yaml:4: space must hold keys and their values"),
        (
            f"{HEAD}space:\n  model: [lenet, cnn]\n",
            "conf/search/x.yaml:4: write the values of model as on the command line, such as model: a,b",
        ),
        (f"{HEAD}space:\n  optimizer.lr: interval(1,0)\n", "conf/search/x.yaml:4: optimizer.lr: an interval goes from"),
        (f"{HEAD}space:\n  model: lenet\n", "conf/search/x.yaml: nothing varies; give a key several values"),
        (f"{HEAD}when: 3\n", "conf/search/x.yaml:3: when must hold conditions such as optimizer=sgd"),
        ("- a\n", "conf/search/x.yaml:1: the file must hold a mapping of settings"),
        ("name: x\ntrials: null\nspace:\n  model: a,b\n", "conf/search/x.yaml: the search has no end; give --trials, --time or --patience"),
        (
            GOOD.replace("optimizer=sgd", "optimizer=sdg"),
            "conf/search/x.yaml:9: optimizer=sdg is no choice of this search; did you mean optimizer=sgd?",
        ),
        (
            f"{HEAD}against: seconds\npruner: median\nspace:\n  model: a,b\n",
            "conf/search/x.yaml: no trial is the worse of two objectives before its end; leave out pruner or against",
        ),
        (f"{HEAD}seeds: 3\nspace:\n  seed: 1,2\n", "conf/search/x.yaml:5: seeds repeats each point by seed; leave one of the two out"),
        (
            f"{HEAD}folds: 5\nspace:\n  model: a,b\n  dataset.split.fold: 2\n",
            "conf/search/x.yaml:6: folds repeats each point by dataset.split.fold; leave one of the two out",
        ),
        (f"{GOOD}sampler: grid\n", "conf/search/x.yaml:9: a grid can't try all of an interval; list values of optimizer.momentum"),
    ],
)
def test_a_file_that_can_not_be_searched_is_refused_with_its_line(root: Path, text: str, words: str) -> None:
    assert words in refusal(root, text)


def test_a_word_that_can_not_be_searched_is_refused_as_it_was_typed(root: Path) -> None:
    assert refusal(root, GOOD, "optimizer.lr=interval(1,0)").startswith(
        "the command line (optimizer.lr=interval(1,0)): optimizer.lr: an interval"
    )
    assert '--sampler: sampler must be one of grid, random, tpe, qmc, but it is "tep"' in refusal(root, GOOD, sampler="tep")


def test_the_nearest_file_is_named(root: Path) -> None:
    with pytest.raises(ConfigError, match=re.escape("there is no conf/search/rate.yaml; did you mean rates? there are default, rates")):
        read_search(root, "rate", [], {})


SEARCHES = [name for name in options(CONF, "search") if name != "default"]


@pytest.mark.parametrize("name", SEARCHES)
def test_each_search_of_the_project_can_be_read(root: Path, name: str) -> None:
    assert read_search(root, name, [], {}).entries


@pytest.mark.slow
@pytest.mark.parametrize("name", SEARCHES)
def test_each_value_of_each_search_of_the_project_can_work(root: Path, name: str) -> None:
    check_points(read_search(root, name, [], {}), root, nothing)


def nothing(_: Config) -> None:
    pass


def test_values_that_can_work_pass_and_the_config_as_it_stands_is_a_point(root: Path) -> None:
    words = (
        "model=cnn,lenet",
        "training.epochs=2",
        "training.batch_size=range(16,65,16)",
        "training.clip=null,1",
        "training.average=0.9,0.99",
    )
    search = read(root, HEAD, *words)
    assert check_points(search, root, nothing).training.epochs == 2
    assert as_it_stands(search, root) == {"model": "cnn", "training.batch_size": 32, "training.clip": "null"}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("training.epochs", "trainning.epochs", "conf/search/x.yaml:6: trainning is not a key of conf/; did you mean training?"),
        ("model: lenet,cnn", "model: lenet,cmn", "conf/search/x.yaml:4: there is no conf/model/cmn.yaml; did you mean cnn?"),
        ("model: lenet,cnn", "optimizer.lrr: 1,2", "conf/search/x.yaml:4: optimizer.lrr is not a key of conf/; did you mean optimizer.lr?"),
        ("model: lenet,cnn", "optimizer.lr: 0.1,-1", "conf/search/x.yaml:4: optimizer.lr must be a number above 0, but it is -1"),
        ("model: lenet,cnn", "training.batch_size: range(0,9)", "conf/search/x.yaml:4: training.batch_size must be 1 or more, but it is 0"),
        (
            "interval(0.8,0.99)",
            "interval(0.8,1.2)",
            "conf/search/x.yaml:9: optimizer.momentum must be a number from 0 to below 1, but it is 1.2",
        ),
    ],
)
def test_a_value_that_can_not_work_is_refused_before_the_first_trial(root: Path, old: str, new: str, words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        check_points(read(root, GOOD.replace(old, new, 1)), root, nothing)
    assert words in str(raised.value)


def test_a_key_that_another_choice_does_not_have_belongs_below_a_condition(root: Path) -> None:
    search = read(root, f"{HEAD}space:\n  optimizer: sgd,adamw\n  optimizer.momentum: interval(0.8,0.9)\n")
    with pytest.raises(ConfigError) as raised:
        check_points(search, root, nothing)
    assert str(raised.value) == (
        "conf/search/x.yaml:5: optimizer.momentum is a key with optimizer=sgd and not with optimizer=adamw; "
        "put it below `when:` and that condition, in a file of conf/search/"
    )


def test_images_that_are_not_prepared_are_told_with_the_value_that_asks_for_them(root: Path) -> None:
    def require(cfg: Config) -> None:
        if cfg.resize.size != 32:
            raise DataError(f"no images of {cfg.resize.size}")

    with pytest.raises(ConfigError, match=re.escape("conf/search/x.yaml:4: resize.size=24: no images of 24")):
        check_points(read(root, f"{HEAD}space:\n  resize.size: 32,24\n", "resize.method=crop"), root, require)
