"""In a folder that is another user's git says nothing; a run says so, and how to change it."""

from pathlib import Path

import pytest

from pipeline.tracking import provenance
from tests.project import Project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    project = Project(tmp_path / "the project")
    project.write("dvc.yaml", "stages: {}\n")
    project.ok("git", "init", "-q")
    project.commit()
    monkeypatch.setattr(provenance, "WORKSPACE", project.root)
    provenance._note_once.cache_clear()
    return project


def test_git_s_refusal_is_told_once_with_the_command_that_ends_it(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # git's own way to try this
    assert [provenance.code_tags()["commit"] for _ in range(2)] == ["not in git"] * 2
    [line] = capsys.readouterr().err.splitlines()
    told, command, _ = line.split("`")
    assert told == "note: git does not read this folder, which is another user's, so the run does not say its commit; "
    project.ok("sh", "-c", command)
    assert len(provenance.code_tags()["commit"]) == 40


def test_where_there_is_no_git_there_is_nothing_to_allow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(provenance, "WORKSPACE", tmp_path)
    assert provenance.code_tags()["commit"] == "not in git"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert provenance.code_tags()["commit"] == "not in git"
    assert capsys.readouterr().err == ""
