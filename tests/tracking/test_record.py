"""What a run logs of its origin suffices to restore it: its uncommitted changes, its config, its packages; what differs here is listed."""

import dataclasses
from pathlib import Path

import pytest

from pipeline.command.restore import require_own_changes
from pipeline.config.errors import DataError, PipelineError
from pipeline.config.schema import Config
from pipeline.dataset.manifest import Manifest
from pipeline.tracking import run as run_module
from pipeline.tracking.comparison import TrackedRun, listed
from pipeline.tracking.events import EventLog
from pipeline.tracking.provenance import LARGEST_PATCH, code_tags, uncommitted
from pipeline.tracking.record import Record, environment_differences, record_of, unequal
from pipeline.tracking.run import Run, begin
from pipeline.tracking.store import Store
from pipeline.tracking.sync import sync_waiting
from tests.project import Project

COMMIT = "5676fcf1" * 5


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A git repository with the files that a run's changes are looked for in."""
    project = Project(tmp_path / "project")
    for name in ("pipeline/loop.py", "pipeline/old.py", "conf/config.yaml", "dvc.yaml", "notes.txt"):
        project.write(name, f"{name}\n")
    project.write(".gitignore", "*.pyc\n")
    project.ok("git", "init", "-q", "-b", "main")
    project.commit()
    return project


def record(patch: bytes | None = None, packages: dict[str, str] | None = None, **tags: str) -> Record:
    run = TrackedRun("1a2b3c4d5e6f", "cnn-digits", "finished", 0, 1, {}, {"commit": COMMIT, "dirty": "false"} | tags)
    return Record(run, {}, None, patch, packages or {}, {})


def change(project: Project) -> None:
    """Change, add and remove files, one of them staged, one of no text."""
    project.write("pipeline/loop.py", "changed\n")
    project.write("conf/model/mine.yaml", "name: mine\n")
    (project.root / "pipeline" / "old.py").unlink()
    (project.root / "pipeline" / "table.bin").write_bytes(bytes(range(256)))
    project.ok("git", "add", "pipeline/loop.py")


def contents(project: Project) -> dict[str, bytes]:
    kept = (path for path in project.root.rglob("*") if path.is_file() and ".git" not in path.parts)
    return {str(path.relative_to(project.root)): path.read_bytes() for path in kept}


def test_without_changes_there_is_no_patch(project: Project) -> None:
    project.write("notes.txt", "of no run\n")
    project.write("pipeline/loop.pyc", "ignored\n")
    assert uncommitted(project.root) == (b"", "")


def test_the_patch_gives_a_clean_checkout_all_that_was_changed_and_leaves_what_is_staged(project: Project, tmp_path: Path) -> None:
    change(project)
    staged = project.ok("git", "status", "--porcelain").output
    patch, why_not = uncommitted(project.root)
    assert why_not == ""
    assert project.ok("git", "status", "--porcelain").output == staged
    project.ok("git", "worktree", "add", "-q", str(tmp_path / "clean"), "HEAD")
    (tmp_path / "patch").write_bytes(patch)
    Project(tmp_path / "clean").ok("git", "apply", "../patch")
    assert contents(Project(tmp_path / "clean")) == contents(project)


def test_changes_with_a_secret_are_not_logged(project: Project) -> None:
    project.write("pipeline/loop.py", f'KEY = "AKIA{"A" * 16}"\n')
    assert uncommitted(project.root) == (b"", "they hold what looks like a secret")


def test_changes_that_are_too_large_are_not_logged(project: Project) -> None:
    project.write("pipeline/table.py", "0\n" * LARGEST_PATCH)
    patch, why_not = uncommitted(project.root)
    assert patch == b""
    assert why_not.endswith("bytes, more than 1,000,000")


def test_a_folder_without_git_has_no_changes(tmp_path: Path) -> None:
    assert uncommitted(tmp_path) == (b"", "")


def test_what_a_run_has_logged_is_read_back(
    store: Store, home: Path, cfg: Config, manifest: Manifest, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(project)
    project.write("dvc.lock", "schema: '2.0'\n")
    monkeypatch.setattr(run_module, "WORKSPACE", project.root)
    run = Run(EventLog(home))
    begin(run, dataclasses.asdict(cfg), manifest)
    run.log_lock()
    run.log_changes()
    run.log_metrics({"test/accuracy": 0.1 + 0.2, "train/loss": 1.0}, 1)
    run.end("FINISHED")
    run.events.close()
    sync_waiting(home)
    found = record_of(store, listed(store)[0])
    assert found.config == dataclasses.asdict(cfg)
    assert found.lock == b"schema: '2.0'\n"
    assert found.patch == uncommitted(project.root)[0]
    assert found.test == {"test/accuracy": 0.1 + 0.2}
    assert found.is_local
    assert environment_differences(found, code_tags(), found.packages) == []


def test_a_run_without_a_config_can_not_be_restored(store: Store) -> None:
    store.client.create_run(store.experiment, run_name="bare")
    with pytest.raises(DataError, match=r"the run bare has no config\.yaml in MLflow.*pipeline\.command\.sync"):
        record_of(store, listed(store)[0])


def test_a_run_outside_git_has_no_commit() -> None:
    assert record().commit == COMMIT
    with pytest.raises(DataError, match=r"does not say its commit \(not in git\), so there is no code to restore"):
        _ = record(commit="not in git").commit


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (record(), ""),
        (record(b"patch", dirty="true"), ""),
        (record(dirty="true"), "it logged no patch of them"),
        (record(dirty="true", changes_not_logged="they hold what looks like a secret"), "are not logged, as they hold what looks like a"),
        (record(restored="true"), "recreated from its bundle"),
    ],
)
def test_it_is_said_where_the_code_may_differ(found: Record, said: str) -> None:
    assert said in found.unknown_changes
    assert bool(said) == bool(found.unknown_changes)


def test_what_differs_in_the_environment_is_listed_what_changes_bits_first() -> None:
    then = record(packages={"numpy": "2.1", "Typing_Extensions": "4", "gone": "1"}, python="3.11.6", torch="2.12", device="AVX2")
    told = environment_differences(
        then, {"python": "3.11.7", "torch": "2.12", "device": "AVX512"}, {"numpy": "2.2", "typing-extensions": "4"}
    )
    assert told == ["python 3.11.6 (here 3.11.7)", "device AVX2 (here AVX512)", "gone 1 (here none)", "numpy 2.1 (here 2.2)"]


def test_packages_that_were_not_logged_do_not_count_as_missing() -> None:
    assert environment_differences(record(python="3.11.7"), {"python": "3.11.7"}, {"numpy": "2.2"}) == []


@pytest.mark.parametrize(("tag", "tta"), [("flip", "flip"), ("plain,other=1", None), (None, None)])
def test_only_a_name_counts_as_the_logged_augmentation(tag: str | None, tta: str | None) -> None:
    assert record(**{"tta": tag} if tag else {}).tta == tta


def test_changes_that_a_server_has_are_first_to_be_looked_at(tmp_path: Path) -> None:
    folder, told = tmp_path / "restored" / "1a2b", f"look at {tmp_path}/restored/1a2b.patch, then add --run-changes$"
    for own in (record(b"diff"), dataclasses.replace(record(), is_local=False)):
        require_own_changes(own, folder)
    assert not folder.parent.exists()
    with pytest.raises(PipelineError, match=told):
        require_own_changes(dataclasses.replace(record(b"diff"), is_local=False), folder)
    assert (tmp_path / "restored" / "1a2b.patch").read_bytes() == b"diff"


def test_metrics_are_compared_to_the_last_bit() -> None:
    assert unequal({"test/loss": 0.3, "test/ece": 0.5}, {"test/loss": 0.3, "test/ece": 0.5, "test/new": 1.0}) == []
    assert unequal({"test/loss": 0.1 + 0.2, "test/ece": 0.5}, {"test/loss": 0.3}) == [
        "test/ece was 0.5 and is not measured now",
        "test/loss was 0.30000000000000004, is 0.3: -5.55e-17",
    ]
