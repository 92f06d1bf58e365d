"""Names with any letters find their runs, experiments and models again."""

from pathlib import Path

import pytest

from pipeline.config.errors import DataError
from pipeline.config.schema import Config
from pipeline.tracking.registry import promote
from pipeline.tracking.resume import resumed_run
from pipeline.tracking.store import Store, conditions
from tests.tracking.conftest import MakeBundle

NAMES = (
    "it's",
    'say "x"',
    'it\'s "x"',
    "ends with \\",
    "back\\slash'",
    "50%",
    "a_b",
    "aXb",
    "ünï",
    "x and y",
    "'",
    "`",
    "a;b -- c",
    "A_B",
)


def test_a_value_that_filters_can_not_hold_is_left_to_the_caller() -> None:
    assert conditions({"tags.a": "it's", "tags.b": "plain"}) == """tags.a = "it's" and tags.b = 'plain'"""
    assert conditions({"tags.a": 'it\'s "x"', "tags.b": "plain"}) == "tags.b = 'plain'"
    assert conditions({"tags.a": "x\\"}) == ""


def test_experiments_of_dvc_and_trainings_find_their_runs_by_any_name(store: Store) -> None:
    for name in NAMES:
        store.client.create_run(store.experiment, run_name=name, tags={"bundle": "abc", "dvc_experiment": name, "training": name})
    by_experiment = [found.info.run_name for name in NAMES if (found := store.run_of("abc", name))]
    by_training = [found.info.run_name for name in NAMES if (found := store.run_tagged({"training": name}))]
    assert by_experiment == by_training == list(NAMES)


def test_what_stages_add_joins_the_run_of_an_experiment_of_any_name(
    home: Path, cfg: Config, trained: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_EXP_NAME", 'it\'s "x"')
    bundle = trained(1.0)
    for step in (1, 2):
        with resumed_run(cfg, bundle, home) as run:
            run.log_metrics({"test/loss": 0.5}, step)
    store = Store(cfg.tracking, home)
    [found] = store.client.search_runs([store.experiment])
    assert found.info.run_name == 'it\'s "x"'


def test_an_experiment_of_any_name_is_found_again_also_when_it_is_renamed(store: Store, cfg: Config, home: Path) -> None:
    for number, name in enumerate(NAMES):
        cfg.tracking.experiment = name
        opened = Store(cfg.tracking, home).experiment
        assert Store(cfg.tracking, home).experiment == opened
        store.client.rename_experiment(opened, f"renamed {number}")
        assert Store(cfg.tracking, home).experiment == opened


def test_a_model_of_any_name_can_have_its_champion(store: Store, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    for name in NAMES:
        store.config.model = name
        store.client.create_registered_model(name)
        store.client.create_model_version(name, str(tmp_path / "model"))
        assert promote(store, "1") == f"{name} version 1 is the champion: no metrics"
        with pytest.raises(DataError, match=r" has no version 2; its versions: 1$"):
            promote(store, "2")
