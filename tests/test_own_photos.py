"""data/own, the folder of a person's photos, as `make setup` makes it."""

import shutil
from pathlib import Path

import pytest

from pipeline.config.errors import DataError
from pipeline.dataset.fetch import link_folder
from tests.project import ROOT, Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A repository of what decides how DVC looks at data/own."""
    for name in ("Makefile", ".dvcignore", ".gitignore", ".dvc/config", ".dvc/.gitignore", "data/own.dvc"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    project = Project(tmp_path)
    project.ok("git", "init", "-q")
    project.ok("make", "data/own")
    project.commit()
    return project


def test_dvc_says_nothing_of_a_folder_without_photos_and_leaves_git_as_it_was(project: Project) -> None:
    assert "empty" not in project.repro("data/own.dvc").output
    assert project.ok("git", "status", "--short").output == ""


def test_a_folder_without_photos_is_refused_as_one(project: Project, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="data/own holds no files"):
        link_folder(project.root / "data" / "own", tmp_path / "raw", "data/own", "folder")
