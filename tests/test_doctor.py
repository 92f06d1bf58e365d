"""What a killed dvc leaves half written is found and mended, and nothing else is touched."""

import fcntl
from pathlib import Path

import pytest

from pipeline.command.doctor import ITS_GUARD, WHAT_WAS_MADE, WHO_READS_AND_WRITES, repair
from pipeline.config.errors import BusyError
from tests.project import Project, small_project


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / ".dvc" / "tmp").mkdir(parents=True)
    (tmp_path / WHO_READS_AND_WRITES).write_text('{"write": {}, "read": {}}')
    (tmp_path / WHAT_WAS_MADE).write_text("schema: '2.0'\n")
    return tmp_path


def test_a_sound_project_stays_as_it_is(root: Path) -> None:
    assert repair(root) == []
    assert (root / WHO_READS_AND_WRITES).exists()
    assert (root / WHAT_WAS_MADE).exists()


@pytest.mark.parametrize("content", [b"", b'{"write": {', b"[]", b"\xff\xfe"])
def test_a_half_written_list_of_writers_goes(root: Path, content: bytes) -> None:
    (root / WHO_READS_AND_WRITES).write_bytes(content)
    assert repair(root) == [".dvc/tmp/rwlock was damaged and is removed: a dvc that writes it was killed"]
    assert not (root / WHO_READS_AND_WRITES).exists()


@pytest.mark.parametrize("content", [b"", b"stages: {a: [", b"- stages", b"\xff\xfe"])
def test_a_half_written_dvc_lock_goes(root: Path, content: bytes) -> None:
    (root / WHAT_WAS_MADE).write_bytes(content)
    (told,) = repair(root)
    assert told == "dvc.lock was damaged and is removed; the next `dvc repro` writes it anew"
    assert not (root / WHAT_WAS_MADE).exists()


def test_one_that_git_has_comes_back_by_the_command_that_is_told(root: Path) -> None:
    project = Project(root)
    project.ok("git", "init", "-q")
    project.commit()
    (root / WHAT_WAS_MADE).write_bytes(b"")
    project.ok("git", "add", "dvc.lock")  # from there `git checkout dvc.lock` would bring the damaged one
    (told,) = repair(root)
    assert told == "dvc.lock was damaged and is removed; `git checkout HEAD -- dvc.lock` brings the last one that git has"
    project.ok("git", "checkout", "HEAD", "--", "dvc.lock")
    assert repair(root) == []


def test_while_dvc_writes_nothing_is_judged(root: Path) -> None:
    (root / WHO_READS_AND_WRITES).write_bytes(b"")
    with (root / ITS_GUARD).open("a") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        with pytest.raises(BusyError, match="a dvc is at work here; wait for it, then repeat"):
            repair(root)
    assert (root / WHO_READS_AND_WRITES).exists()


@pytest.mark.parametrize(
    ("damaged", "refusal"),
    [
        pytest.param(WHO_READS_AND_WRITES, "Unable to read RWLock-file '.dvc/tmp/rwlock'", marks=pytest.mark.slow),
        (WHAT_WAS_MADE, "'./dvc.lock' validation failed"),
    ],
)
def test_dvc_goes_on_after_the_doctor_where_it_stopped_before(tmp_path: Path, damaged: Path, refusal: str) -> None:
    project = small_project(tmp_path / "project")
    project.repro("configure")
    (project.root / damaged).write_bytes(b"")
    assert refusal in project.run("dvc", "repro", "configure").output
    assert f"{damaged} was damaged and is removed" in project.ok("python", "-m", "pipeline.command.doctor").output
    project.repro("configure")
    assert project.ok("python", "-m", "pipeline.command.doctor").output.strip() == "nothing is damaged"
