"""kill -9 at any moment of fetch and resize: the next `dvc repro` ends in the very bytes of one that was left alone."""

import hashlib
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.project import Project, draw_images, environment, small_project

pytestmark = pytest.mark.slow

KILLS = 20
EACH = 500  # images per class: enough for chunks in several processes
MADE = ("data/raw", "data/prepared", "reports/data.html")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = small_project(tmp_path / "project")
    shutil.rmtree(project.root / "data" / "own")
    draw_images(project.root / "data" / "own", EACH)
    project.repro("configure")
    return project


def digests(project: Project) -> dict[str, str]:
    """Return path → sha256 of all that the two stages made."""
    paths = [path for place in MADE for path in [project.root / place, *(project.root / place).rglob("*")] if path.is_file()]
    return {str(path.relative_to(project.root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def forget(project: Project) -> None:
    """Bring the project back to before the two stages ran, DVC's caches of them included."""
    for place in (*MADE, ".dvc/cache", "chunks", "dvc.lock"):
        path = project.root / place
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def killed(project: Project, seconds: float) -> bool:
    """Kill `dvc repro resize` and all its processes after so long; tell whether it was still at work."""
    command = ["dvc", "repro", "resize"]
    process = subprocess.Popen(
        command, cwd=project.root, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    time.sleep(seconds)
    was_at_work = process.poll() is None
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return was_at_work


def repeat(project: Project) -> None:
    """Run `dvc repro resize`; after the doctor, where the kill hit DVC itself while it wrote one of its files."""
    ran = project.run("dvc", "repro", "resize")
    if ran.code:
        assert "was damaged and is removed" in project.ok("python", "-m", "pipeline.command.doctor").output, ran.output
        project.repro("resize")


def test_twenty_kills_at_random_moments_leave_nothing_that_a_rerun_does_not_mend(project: Project) -> None:
    forget(project)
    start = time.monotonic()
    project.repro("resize")
    took, undisturbed = time.monotonic() - start, digests(project)
    chance = random.Random(0)
    at_work = 0
    for _ in range(KILLS):
        forget(project)
        at_work += killed(project, chance.uniform(0.2, 1.0) * took)
        repeat(project)
        assert digests(project) == undisturbed
        assert not list((project.root / "chunks").glob("*/*"))
        assert project.ok("dvc", "status", "resize").output.strip() == "Data and pipelines are up to date."
    assert at_work >= KILLS * 3 // 4  # most of the kills hit something
