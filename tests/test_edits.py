"""Random scripts of edits: after each, `dvc repro` has trained what was wanted last, and nothing needlessly or lost in silence.

What is wanted is kept by tests/edits/intent.py, which knows nothing of how configure works. Most scripts are played in one
process (tests/edits/fast.py), some also with real commands, which shows that the fast ones can be believed."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from tests.edits.fast import FastWorkspace, fast_workspace
from tests.edits.real import RealWorkspace, real_workspace
from tests.edits.remembered import remembered_compositions
from tests.edits.run import Run
from tests.edits.script import Failed, improvise, replay, shortened

SCRIPTS, TOGETHER = 300, 20  # scripts in all, and in a test
REAL = (39, 47, 57, 70)  # seeds of short scripts: experiments, a branch, edits of conf/, params.yaml and overrides; 7 trainings


@pytest.fixture(scope="module", autouse=True)
def compositions() -> Iterator[None]:
    with remembered_compositions():
        yield


@pytest.fixture(scope="session")
def up_to_date(tmp_path_factory: pytest.TempPathFactory) -> FastWorkspace:
    return fast_workspace(tmp_path_factory.mktemp("fast") / "project")


@pytest.fixture
def fast_run(up_to_date: FastWorkspace, tmp_path: Path) -> Callable[[], Run]:
    """Makes a working copy in which everything is up to date, in the place of the one before."""

    def make() -> Run:
        for name in ("project", "clone"):
            shutil.rmtree(tmp_path / name, ignore_errors=True)
        return Run(up_to_date.copied(tmp_path / "project"), up_to_date.clone(tmp_path / "clone"))

    return make


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> RealWorkspace:
    """A project whose line to train has run; made once for all processes of this test run."""
    top = tmp_path_factory.getbasetemp() if worker_id == "master" else tmp_path_factory.getbasetemp().parent
    with FileLock(top / "line_to_train.lock"):
        if not (top / "line_to_train").exists():
            real_workspace(top / "making_line_to_train").root.rename(top / "line_to_train")
    return RealWorkspace(top / "line_to_train")


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, SCRIPTS, TOGETHER))
def test_after_any_script_of_edits_the_next_repro_trains_what_was_wanted_last(first: int, fast_run: Callable[[], Run]) -> None:
    for seed in range(first, first + TOGETHER):
        try:
            improvise(seed, fast_run())
        except Failed as failed:
            pytest.fail(f"seed {seed}: {shortened(failed, fast_run)}", pytrace=False)


@pytest.mark.slow
@pytest.mark.parametrize("seed", REAL)
def test_real_commands_come_to_the_same(seed: int, fast_run: Callable[[], Run], trained: RealWorkspace, tmp_path: Path) -> None:
    fast = fast_run()
    script = improvise(seed, fast)
    real = Run(trained.copied(tmp_path / "real"), fast_run().intent.clone)
    replay(script, real)
    assert real.trace == fast.trace
