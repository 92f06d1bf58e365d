"""A stage ends with the parameters and the code that it began with, or DVC would call the result of old ones that of new ones."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.config.dvc_stage import UNFINISHED, marked_unfinished, unchanged_inputs
from pipeline.config.errors import BusyError
from pipeline.config.params_lock import Lock
from tests.project import ROOT


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("params.yaml", "conf.lock", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "pipeline", tmp_path / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_where_nothing_changes_nothing_is_said(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with unchanged_inputs(root, "train"):
        pass
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["params.yaml", "conf.lock"])
def test_an_edit_of_meanwhile_is_put_back_and_kept_beside(name: str, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (root / name).read_text()
    with unchanged_inputs(root, "train"):
        (root / name).write_text("seed: 7\n")
    assert (root / name).read_text() == before
    assert (root / f"{name}.edited").read_text() == "seed: 7\n"
    assert f"{name} was changed while train was at work" in capsys.readouterr().out


def test_a_file_removed_meanwhile_comes_back(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (root / "params.yaml").read_text()
    with unchanged_inputs(root, "evaluate"):
        (root / "params.yaml").unlink()
    assert (root / "params.yaml").read_text() == before
    assert not (root / "params.yaml.edited").exists()


@pytest.mark.parametrize("file", ["pipeline/training/losses.py", "pipeline/model/lenet.py"])  # a file, and one of a folder
def test_a_stage_whose_code_changes_meanwhile_is_not_done(file: str, root: Path) -> None:
    told = f"{file} changed while train was at work, .*Nothing of it counts as done; repeat"
    with pytest.raises(BusyError, match=told), unchanged_inputs(root, "train"):
        append(root / file)


def append(file: Path) -> None:
    file.write_text(f"{file.read_text()}# edited\n")


def test_code_of_another_stage_may_change(root: Path) -> None:
    with unchanged_inputs(root, "train"):
        append(root / "pipeline" / "report.py")


def fail_after_an_edit(root: Path) -> None:
    with unchanged_inputs(root, "train"):
        (root / "params.yaml").write_text("seed: 7\n")
        raise RuntimeError("own reason")


def test_a_stage_that_fails_says_why_and_leaves_the_edit(root: Path) -> None:
    with pytest.raises(RuntimeError, match="own reason"):
        fail_after_an_edit(root)
    assert (root / "params.yaml").read_text() == "seed: 7\n"


@pytest.fixture
def experiment(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DVC_EXP_NAME", "night-1")
    return root


def fail_early(root: Path) -> None:
    with marked_unfinished(root):
        raise RuntimeError("own reason")


def test_an_experiment_whose_stage_fails_leaves_a_conf_lock_that_dvc_does_not_know(experiment: Path) -> None:
    before, parsed = (experiment / "conf.lock").read_text(), vars(Lock.read(experiment / "conf.lock"))
    for fail in (fail_early, fail_after_an_edit):  # the same experiment again, too
        with pytest.raises(RuntimeError, match="own reason"), marked_unfinished(experiment):
            fail(experiment)
        assert (experiment / "conf.lock").read_text() != before
        assert vars(Lock.read(experiment / "conf.lock")) == parsed


def test_an_experiment_whose_stage_ends_leaves_conf_lock_to_the_byte(experiment: Path) -> None:
    before = (experiment / "conf.lock").read_text()
    with marked_unfinished(experiment), unchanged_inputs(experiment, "train"):
        assert (experiment / "conf.lock").read_text() != before
        (experiment / "conf.lock").write_text("seed: 7\n")
    assert (experiment / "conf.lock").read_text() == before


def test_a_stage_that_ends_leaves_the_mark_of_another_that_failed(experiment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match="own reason"):
        fail_early(experiment)
    marked = (experiment / "conf.lock").read_text()
    with marked_unfinished(experiment), unchanged_inputs(experiment, "explain"):  # as dvc exp run -k goes on
        pass
    monkeypatch.delenv("DVC_EXP_NAME")
    with marked_unfinished(experiment), unchanged_inputs(experiment, "fetch"):
        pass
    assert (experiment / "conf.lock").read_text() == marked


def test_without_an_experiment_nothing_is_marked(root: Path) -> None:
    before = (root / "conf.lock").read_text()
    with marked_unfinished(root):
        assert (root / "conf.lock").read_text() == before


def test_an_experiment_s_stage_whose_code_changes_meanwhile_counts_as_not_ended(experiment: Path) -> None:
    before = (experiment / "conf.lock").read_text()
    with pytest.raises(BusyError), marked_unfinished(experiment), unchanged_inputs(experiment, "train"):
        append(experiment / "pipeline" / "model" / "lenet.py")
    assert (experiment / "conf.lock").read_text() != before


def test_a_stage_is_marked_before_its_config_is_read(tmp_path: Path) -> None:
    (tmp_path / "conf.lock").write_text("values: {}\n")
    script = "import sys; from pathlib import Path; from pipeline.config import cli; cli.WORKSPACE = Path(sys.argv.pop(1)); "
    command = [sys.executable, "-c", f"{script}cli.launch('train', None)", str(tmp_path), "--config-name", "params", "--config-dir", "no"]
    for rank, marks in (("1", 0), ("0", 1)):  # a rank other than 0 leaves that to rank 0
        variables = os.environ | {"DVC_EXP_NAME": "night-1", "DVC_STAGE": "train", "RANK": rank}
        done = subprocess.run(command, env=variables, cwd=ROOT, capture_output=True, text=True, check=False)
        assert "ConfigError" in done.stderr
        assert (tmp_path / "conf.lock").read_text().count(UNFINISHED) == marks
