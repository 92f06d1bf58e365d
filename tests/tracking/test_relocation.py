"""A project that was moved or copied has its artifacts where it is; nothing of another project is touched."""

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.command.doctor import find_artifacts
from pipeline.config.errors import DataError, NetworkError
from pipeline.config.schema import Config
from pipeline.tracking.store import Store
from tests.project import ROOT

ODD = ("a b", "it's", 'say "x"', "h#x", "q?x=1", "p%41x", "100 % ü", "a+b;c&d", "back\\slash")


def run_with_file(store: Store) -> str:
    run = store.client.create_run(store.experiment).info.run_id
    store.client.log_text(run, "text", "a.txt")
    return str(run)


def files(home: Path) -> list[Path]:
    return sorted((home / "mlruns").rglob("a.txt"))


def mentions(database: Path, text: str) -> list[str]:
    """Return the columns that have a text somewhere."""
    connection = sqlite3.connect(database)
    tables = [name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")]
    columns = [(table, row[1]) for table in tables for row in connection.execute(f"pragma table_info({table})")]
    count = "select count(*) from {0} where instr({1}, ?)"
    return [f"{table}.{name}" for table, name in columns if connection.execute(count.format(table, name), [text]).fetchone()[0]]


def test_a_project_may_lie_in_any_folder_and_move_to_any_other(home: Path, cfg: Config, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [run_with_file(Store(cfg.tracking, home))]
    capsys.readouterr()
    for name in ODD:
        old, home = home, home.rename(home.parent / name)
        store = Store(cfg.tracking, home)
        assert capsys.readouterr().err == (f"note: the project was moved or copied here from {old}; mlflow.db now leads to mlruns/ here\n")
        runs.append(run_with_file(store))
        assert len(files(home)) == len(runs)
        assert [len(store.client.list_artifacts(run)) for run in runs] == [1] * len(runs)
        assert not old.exists()
        Store(cfg.tracking, home)
    assert capsys.readouterr().err == ""
    assert sorted(path.name for path in home.parent.iterdir() if path.is_dir()) == [home.name]


def test_a_copy_writes_into_itself_and_the_original_into_its_own(store: Store, home: Path, cfg: Config) -> None:
    run = run_with_file(store)
    copy = Path(shutil.copytree(home, home.parent / "copy"))
    copied = Store(cfg.tracking, copy)
    assert Path(copied.client.get_run(run).info.artifact_uri).is_relative_to(copy)
    run_with_file(copied)
    assert (len(files(home)), len(files(copy))) == (1, 2)
    assert mentions(copy / "mlflow.db", f"{home}/") == []
    run_with_file(Store(cfg.tracking, home))
    assert (len(files(home)), len(files(copy))) == (2, 2)


def test_a_registered_version_moves_along(store: Store, home: Path, cfg: Config) -> None:
    run = run_with_file(store)
    store.client.create_registered_model("mnist")
    place = Path(store.client.get_run(run).info.artifact_uri).relative_to(home)
    store.client.create_model_version("mnist", str(home / place), run)
    moved = home.rename(home.parent / "moved")
    client = Store(cfg.tracking, moved).client
    assert client.get_model_version_download_uri("mnist", "1") == str(moved / place)
    assert mentions(moved / "mlflow.db", f"{home}/") == []


def test_a_link_to_the_project_and_its_own_path_in_turn_change_nothing(
    store: Store, home: Path, cfg: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    run_with_file(store)
    (link := home.parent / "link").symlink_to(home)
    for path in (link, home, link):
        run_with_file(Store(cfg.tracking, path))
    assert capsys.readouterr().err == ""
    assert mentions(home / "mlflow.db", str(link)) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
def test_a_second_mount_of_the_project_and_its_own_path_in_turn_change_nothing(
    store: Store, home: Path, cfg: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    run_with_file(store)
    (mount := home.parent / "mount").mkdir()
    if subprocess.run(["mount", "--bind", home, mount], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        for path in (mount, home, mount):
            run_with_file(Store(cfg.tracking, path))
    finally:
        subprocess.run(["umount", "--lazy", mount], check=True)
    assert capsys.readouterr().err == ""
    assert len(files(home)) == 4


def test_a_database_that_is_linked_from_another_project_is_not_touched(
    store: Store, home: Path, cfg: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    run_with_file(store)
    (other := home.parent / "other").mkdir()
    (other / "mlflow.db").symlink_to(home / "mlflow.db")
    run_with_file(Store(cfg.tracking, other))
    assert capsys.readouterr().err == ""
    assert len(files(home)) == 2


def test_artifacts_that_a_person_has_put_elsewhere_stay_there(store: Store, home: Path, cfg: Config) -> None:
    elsewhere = home.parent / "big disk" / "mine"
    experiment = store.client.create_experiment("mine", str(elsewhere))
    moved = home.rename(home.parent / "moved")
    assert Store(cfg.tracking, moved).client.get_experiment(experiment).artifact_location == str(elsewhere)


def test_a_database_of_another_place_is_told_of_and_mended_by_a_person_only(
    home: Path, cfg: Config, conf: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg.tracking.uri = f"sqlite:///{home.parent / 'shared.db'}"
    run_with_file(Store(cfg.tracking, home))
    capsys.readouterr()
    (other := home.parent / "other").mkdir()
    Store(cfg.tracking, other)
    assert capsys.readouterr().err == ""  # two projects may share a store
    shutil.rmtree(other)
    moved = home.rename(home.parent / "moved")
    store = Store(cfg.tracking, moved)
    assert capsys.readouterr().err == (
        f"note: experiment images has its artifacts in {home}/mlruns/images; if the project was moved from there, "
        "`python -m pipeline.command.doctor --moved` mends it\n"
    )
    shutil.copytree(conf, moved / "conf")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    assert find_artifacts(moved) == [f"the database leads to mlruns/ here, no more to {home}"]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:secret@host:5000")
    with pytest.raises(DataError, match=r"^http://host:5000 is a server, which knows itself where its artifacts lie"):
        find_artifacts(moved)
    run_with_file(Store(cfg.tracking, moved))
    assert len(files(moved)) == 2
    assert capsys.readouterr().err == ""


def test_a_project_without_a_database_gets_none_by_looking_for_its_artifacts(
    conf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copytree(conf, tmp_path / "conf")
    assert find_artifacts(tmp_path) == []
    assert not (tmp_path / "mlflow.db").exists()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql+psycopg://me:7@wombat@127.0.0.1:9/runs")
    with pytest.raises(NetworkError, match="in a password write / [?] # @") as caught:
        find_artifacts(tmp_path)
    assert "wombat" not in str(caught.value)


def environment_made_in(place: Path, project: Path) -> str:
    """Return what make would do in a project whose .venv was made in a place."""
    (project / ".venv" / "bin").mkdir(parents=True, exist_ok=True)
    (project / ".venv" / "pyvenv.cfg").write_text(f"home = /usr/bin\ncommand = {sys.executable} -m venv --clear {place}\n")
    for name in ("Makefile", "requirements.lock", "requirements-torch-cpu.txt"):
        shutil.copy(ROOT / name, project / name)
    (project / ".venv" / "installed-cpu").touch()
    command = ["make", "-n", "setup"]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=True).stdout


def test_an_environment_that_moved_along_is_made_anew_and_make_says_so(tmp_path: Path) -> None:
    (project := tmp_path / "it's mine").mkdir()
    assert "rm -rf .venv" not in environment_made_in(project / ".venv", project)
    said = environment_made_in(tmp_path / "old place" / ".venv", project)
    assert f"its .venv was made in {tmp_path / 'old place' / '.venv'} and is made anew" in said
    assert "rm -rf .venv" in said
    assert "-m venv .venv" in said
