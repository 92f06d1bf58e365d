"""A stage ends with the parameters and the code that it began with, or DVC would call the result of old ones that of new ones."""

import shutil
from pathlib import Path

import pytest

from pipeline.config.errors import BusyError
from pipeline.config.held import held
from pipeline.config.lock import Lock
from tests.project import ROOT


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("params.yaml", "conf.lock", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "pipeline", tmp_path / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_where_nothing_changes_nothing_is_said(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with held(root, "train"):
        pass
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["params.yaml", "conf.lock"])
def test_an_edit_of_meanwhile_is_put_back_and_kept_beside(name: str, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (root / name).read_text()
    with held(root, "train"):
        (root / name).write_text("seed: 7\n")
    assert (root / name).read_text() == before
    assert (root / f"{name}.edited").read_text() == "seed: 7\n"
    assert f"{name} was changed while train was at work" in capsys.readouterr().out


def test_a_file_removed_meanwhile_comes_back(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (root / "params.yaml").read_text()
    with held(root, "evaluate"):
        (root / "params.yaml").unlink()
    assert (root / "params.yaml").read_text() == before
    assert not (root / "params.yaml.edited").exists()


@pytest.mark.parametrize("file", ["pipeline/training/losses.py", "pipeline/model/lenet.py"])  # a file, and one of a folder
def test_a_stage_whose_code_changes_meanwhile_is_not_done(file: str, root: Path) -> None:
    told = f"{file} changed while train was at work, .*Nothing of it counts as done; repeat"
    with pytest.raises(BusyError, match=told), held(root, "train"):
        append(root / file)


def append(file: Path) -> None:
    file.write_text(f"{file.read_text()}# edited\n")


def test_code_of_another_stage_may_change(root: Path) -> None:
    with held(root, "train"):
        append(root / "pipeline" / "report.py")


def fail_after_an_edit(root: Path) -> None:
    with held(root, "train"):
        (root / "params.yaml").write_text("seed: 7\n")
        raise RuntimeError("own reason")


def test_a_stage_that_fails_says_why_and_leaves_the_edit(root: Path) -> None:
    with pytest.raises(RuntimeError, match="own reason"):
        fail_after_an_edit(root)
    assert (root / "params.yaml").read_text() == "seed: 7\n"


def as_experiment(root: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("DVC_EXP_NAME", "night-1")
    return (root / "conf.lock").read_text()


def test_an_experiment_whose_stage_fails_leaves_a_conf_lock_that_dvc_does_not_know(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, parsed = as_experiment(root, monkeypatch), vars(Lock.read(root / "conf.lock"))
    for _ in range(2):  # the same experiment again, too
        with pytest.raises(RuntimeError, match="own reason"):
            fail_after_an_edit(root)
        assert (root / "conf.lock").read_text() != before
        assert vars(Lock.read(root / "conf.lock")) == parsed


def test_an_experiment_whose_stage_ends_leaves_conf_lock_to_the_byte(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = as_experiment(root, monkeypatch)
    with held(root, "train"):
        assert (root / "conf.lock").read_text() != before
    assert (root / "conf.lock").read_text() == before


def test_an_experiment_s_stage_whose_code_changes_meanwhile_counts_as_not_ended(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = as_experiment(root, monkeypatch)
    with pytest.raises(BusyError), held(root, "train"):
        append(root / "pipeline" / "model" / "lenet.py")
    assert (root / "conf.lock").read_text() != before
