"""What nothing refers to any more is found, with its size; what a run can resume from, or a process uses, is not."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from pipeline.command import clean
from pipeline.command.clean import freed, listing
from pipeline.dataset.files import lock_of, sha256
from pipeline.tracking.store import Store
from pipeline.tracking.unreferenced import Known, Unreferenced, unreferenced

KNOWN = Known(
    trainings={
        "done": {"finished"},
        "killed": {"killed"},
        "again": {"finished", "killed"},
        "gone": {"deleted"},
        "both": {"deleted", "failed"},
    },
    bundles={},
    runs={"kept": {"finished"}, "gone": {"deleted"}},
    is_complete=True,
)


def checkpoint(home: Path, name: str, folder: str = "") -> Path:
    """Write a checkpoint of 1,000 bytes of a training with this name."""
    place = home / "checkpoints" / (folder or f"key-{name}")
    place.mkdir(parents=True)
    (place / "training.json").write_text(json.dumps({"name": name}))
    (place / "epoch-000001.ckpt").write_bytes(bytes(1000))
    return place


def names(found: list[Unreferenced]) -> set[str]:
    return {item.path.name for item in found}


def test_checkpoints_go_that_no_command_resumes(tmp_path: Path) -> None:
    for name in ("done", "killed", "again", "gone", "both", "never"):
        checkpoint(tmp_path, name)
    checkpoint(tmp_path, "killed", "half.done")
    assert names(unreferenced(tmp_path, KNOWN)) == {"key-done", "key-gone", "key-never", "half.done"}


def test_while_runs_wait_to_be_uploaded_an_unknown_training_keeps_its_checkpoints(tmp_path: Path) -> None:
    checkpoint(tmp_path, "never")
    assert unreferenced(tmp_path, Known({}, {}, {}, is_complete=False)) == []


def test_what_a_process_uses_stays(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path, "done")
    with lock_of(folder, is_waiting=False):
        assert unreferenced(tmp_path, KNOWN) == []
    [found] = unreferenced(tmp_path, KNOWN)
    with lock_of(folder, is_waiting=False):
        assert freed([found], tmp_path) == "freed 0.0 MB in 0 folders; 1 folder in use by now stayed"
    assert folder.exists()


def test_a_live_run_goes_once_its_run_is_deleted_in_mlflow(store: Store, home: Path) -> None:
    for name in ("kept", "gone", "both"):
        (home / "runs" / name / "bundle").mkdir(parents=True)
        (home / "runs" / name / "bundle" / "bundle.json").write_text(name)
    for name, is_deleted in (("kept", False), ("gone", True), ("both", True), ("both", False)):
        digest = sha256(home / "runs" / name / "bundle" / "bundle.json")
        run = store.client.create_run(store.experiment, tags={"bundle": digest})
        if is_deleted:
            store.client.delete_run(run.info.run_id)
    assert names(unreferenced(home, Known.of(store, is_complete=True))) == {"gone"}


def test_a_restored_worktree_goes_with_its_run_and_the_page_of_plots_always(tmp_path: Path) -> None:
    for run in ("kept", "gone"):
        owner = tmp_path / "restored" / run / ".dvc" / "tmp" / "restored"
        owner.parent.mkdir(parents=True)
        owner.write_text(run)
    (tmp_path / "restored" / "notes").mkdir()
    (tmp_path / "dvc_plots").mkdir()
    assert names(unreferenced(tmp_path, KNOWN)) == {"gone", "dvc_plots"}


def test_the_sizes_are_those_that_would_be_freed(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path, "done")
    (folder / "epoch-000001.ckpt").write_bytes(bytes(2_400_000))
    os.link(checkpoint(tmp_path, "killed") / "epoch-000001.ckpt", folder / "linked")
    found = unreferenced(tmp_path, KNOWN)
    assert listing(found, tmp_path) == [
        "    2.4 MB  checkpoints/key-done  checkpoints of a training that has finished",
        "    2.4 MB  in 1 folder",
    ]
    assert freed(found, tmp_path) == "freed 2.4 MB in 1 folder"
    assert not folder.exists()


@pytest.fixture
def project(home: Path, conf: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (home / "conf").symlink_to(conf)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(clean, "WORKSPACE", home)
    subprocess.run(["git", "init", "-q"], cwd=home, check=True)
    return home


def said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    monkeypatch.setattr("sys.argv", ["clean", *words])
    clean.main()
    return capsys.readouterr().out.splitlines()[-1]


def test_nothing_is_removed_before_somebody_agrees(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said(monkeypatch, capsys) == "nothing to free: everything is still referred to"
    folder = checkpoint(project, "never")
    assert said(monkeypatch, capsys) == "nothing was removed; --yes removes what is shown"  # nobody can be asked
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: "y")
    assert said(monkeypatch, capsys) == "nothing was removed; --yes removes what is shown"
    assert folder.exists()
    monkeypatch.setattr("builtins.input", lambda question: "yes")
    assert said(monkeypatch, capsys) == "freed 0.0 MB in 1 folder"
    assert not folder.exists()
    checkpoint(project, "never")
    assert said(monkeypatch, capsys, "--yes") == "freed 0.0 MB in 1 folder"
