"""dvc.yaml gets the files that a stage can depend on, and keeps what else stands there."""

from pathlib import Path

import pytest

from pipeline.command.deps import write_deps
from pipeline.config.compose import read_yaml
from pipeline.config.tree import get
from tests.project import Project

DVC = """\
# mine
stages:
  train:
    cmd: python -m pipeline.stage.train
    deps:
      - data/prepared
      - pipeline/gone.py
    outs:
      - bundle
  explain:
    cmd: python -m pipeline.stage.explain
    deps:
      - bundle
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project of two stages; what train imports imports more, some of it within a function."""
    project = Project(tmp_path)
    project.write("dvc.yaml", DVC)
    project.write("pipeline/stage/train.py", "from pipeline import near\nimport pipeline.config.live\nimport numpy\n")
    project.write("pipeline/stage/explain.py", "print()\n")
    project.write("pipeline/near.py", "def late():\n    from pipeline.far.below import anything\n")
    project.write("pipeline/far/below.py", "import pipeline.near\n")
    project.write("pipeline/config/live.py", "import pipeline.unneeded\n")
    project.write("pipeline/unneeded.py", "")
    return project


def deps(project: Project, stage: str) -> list[str]:
    found: list[str] = get(read_yaml(project.root / "dvc.yaml"), f"stages.{stage}.deps")
    return found


def test_a_stage_depends_on_its_data_all_that_it_imports_and_the_packages(project: Project) -> None:
    assert write_deps(project.root) == ["train", "explain"]
    code = ["pipeline/far/below.py", "pipeline/near.py", "pipeline/stage/train.py"]  # without what surrounds a live run
    assert deps(project, "train") == ["data/prepared", *code, "requirements.lock"]
    assert deps(project, "explain") == ["bundle", "pipeline/stage/explain.py", "requirements.lock"]
    assert project.read("dvc.yaml").startswith("# mine\n")


def test_only_the_stage_whose_imports_changed_is_named_and_an_up_to_date_file_is_not_written(project: Project) -> None:
    write_deps(project.root)
    before = (project.root / "dvc.yaml").stat().st_mtime_ns
    assert write_deps(project.root) == []
    assert (project.root / "dvc.yaml").stat().st_mtime_ns == before
    project.write("pipeline/stage/explain.py", "from pipeline.unneeded import anything\n")
    assert write_deps(project.root) == ["explain"]
