"""Nothing is stale and nothing is silently lost, whichever way an edit comes in: the cases stand in tests/what_runs.py."""

from pathlib import Path

import pytest
from filelock import FileLock

from pipeline.config.compose import compose, read_yaml
from pipeline.config.params_lock import Lock
from pipeline.config.tree import with_order
from tests.project import ROOT, Project, small_project
from tests.what_runs import CASES, Case, page


@pytest.fixture(scope="session")
def trained(warm: Path, tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Project:
    """A small project whose line has run and is committed; made once for all processes of this test run."""
    top = tmp_path_factory.getbasetemp() if worker_id == "master" else tmp_path_factory.getbasetemp().parent
    with FileLock(top / "trained.lock"):
        if not (top / "trained").exists():
            project = small_project(top / "making", warm)
            assert len(project.repro().stages) == 7
            project.commit("trained")
            project.root.rename(top / "trained")
    return Project(top / "trained", warm)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.edit} · {case.way}")
def test_exactly_these_stages_run_and_nothing_is_lost(case: Case, trained: Project, tmp_path: Path) -> None:
    project = trained.copy(tmp_path / "project")

    ran = case.do(project)

    assert tuple(ran.stages) == case.runs, ran.output
    assert case.holds(project, ran)
    if ran.code == 0 and case.way not in ("dvc repro -s train", "dvc exp run --queue"):  # these leave the workspace as it was
        assert project.repro().stages == []
        lock = Lock.read(project.root / "conf.lock")
        assert with_order(read_yaml(project.root / "params.yaml")) == with_order(lock.composed())
        assert lock.values == compose(project.root / "conf", [f"{group}={option}" for group, option in lock.chosen.items()])


def test_the_page_says_what_the_cases_say() -> None:
    assert (ROOT / "docs" / "what-runs.md").read_text() == page(), "write it anew: python -m tests.what_runs"
