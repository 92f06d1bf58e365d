"""The store opens where it can, says briefly where it can't, and survives eight processes that open it at once."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.config.errors import NetworkError
from pipeline.config.schema import Config
from pipeline.tracking.relocation import folder_of
from pipeline.tracking.store import Store
from tests.project import ROOT, environment

OPENER = """
import sys
from pathlib import Path
from pipeline.config.schema import Tracking
from pipeline.tracking.store import Store

print("ready", flush=True)
for folder in map(str.strip, sys.stdin):
    print(Store(Tracking("mlflow", None, "images", "model", None, 1), Path(folder)).experiment, flush=True)
"""


def test_a_store_that_can_not_be_reached_is_told_without_its_password(cfg: Config, home: Path) -> None:
    cfg.tracking.uri = "http://user:secret@127.0.0.1:9"
    with pytest.raises(NetworkError, match=r"the MLflow store http://127\.0\.0\.1:9 can't be used: .*refused") as caught:
        Store(cfg.tracking, home)
    assert "secret" not in str(caught.value)


def test_the_embedded_store_lies_in_the_projects_root_with_its_artifacts(store: Store, home: Path) -> None:
    assert (home / "mlflow.db").exists()
    experiment = store.client.get_experiment(store.experiment)
    assert (experiment.name, experiment.artifact_location) == ("images", str(home / "mlruns" / "images"))


@pytest.mark.parametrize("name", ["../../out", "/tmp/out", "ü" * 300])
def test_the_artifacts_of_an_experiment_stay_below_mlruns_whatever_its_name(name: str, cfg: Config, home: Path) -> None:
    cfg.tracking.experiment = name
    store = Store(cfg.tracking, home)
    found = store.client.get_experiment(store.experiment)
    assert found.name == name
    store.client.log_text(store.client.create_run(store.experiment).info.run_id, "text", "a.txt")
    [place] = (home / "mlruns").iterdir()
    assert place.resolve().parent == (home / "mlruns").resolve()
    assert Path(found.artifact_location) == place
    assert len(list(place.rglob("a.txt"))) == 1


@pytest.mark.parametrize("name", ["..", "team/cnn", ".hidden", "a\\b", "x" * 400, 'it\'s 50 % "off"?', "../", " a "])
def test_the_folder_of_an_experiment_is_one_safe_name(name: str) -> None:
    assert re.fullmatch(r"[\w -][\w. -]*", folder_of(name))
    assert len(folder_of(name).encode()) < 256


def test_two_experiments_whose_names_differ_in_what_no_file_s_name_may_hold_have_a_folder_each() -> None:
    assert len({folder_of(name) for name in ("a/b", "a_b", "a:b", "../a_b", "x" * 70, "x" * 71)}) == 6


@pytest.mark.slow
def test_eight_processes_that_open_an_empty_store_at_once_all_succeed_twenty_times(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OPENER]
    openers = [
        subprocess.Popen(command, cwd=ROOT, env=environment(), text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(8)
    ]
    for opener in openers:
        assert opener.stdout
        assert opener.stdout.readline() == "ready\n"
    for attempt in range(20):
        (tmp_path / str(attempt)).mkdir()
        for opener in openers:
            assert opener.stdin
            opener.stdin.write(f"{tmp_path / str(attempt)}\n")
            opener.stdin.flush()
        assert {opener.stdout.readline() for opener in openers if opener.stdout} == {"1\n"}
    for opener in openers:
        opener.communicate()
        assert opener.returncode == 0
