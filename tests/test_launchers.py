"""A sweep under every launcher that comes with the project: real processes, a stage that works, fails, dies or waits by its seed."""

import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from tests.project import Project, cloned, environment, gone

pytestmark = pytest.mark.slow

FAILS, BREAKS, DIES, WAITS, NO_NUMBER = 1, 2, 3, 4, 5  # seeds; any other works

STAGE = f'''
import os, signal, time
from pipeline.config.cli import entry
from pipeline.config.errors import DivergedError

@entry
def main(cfg, places):
    """Do what the seed says."""
    with open("begun", "a") as begun:
        begun.write(f"{{os.getpid()}}\\n")
    if cfg.seed == {FAILS}:
        raise DivergedError("the loss is not a number")
    if cfg.seed == {BREAKS}:
        raise KeyError("of a fault")
    if cfg.seed == {DIES}:
        while len(open("begun").readlines()) < 2:
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGKILL)
    if cfg.seed == {WAITS}:
        time.sleep(600)
    return float("nan") if cfg.seed == {NO_NUMBER} else cfg.seed / 100

if __name__ == "__main__":
    main()
'''

# Tries two seeds, then one more than the better's; a job that fails gives no number.
SWEEPER = """
import math
from dataclasses import dataclass
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper

class Better(Sweeper):
    def setup(self, *, hydra_context, task_function, config):
        self.launcher = Plugins.instance().instantiate_launcher(hydra_context, task_function, config)

    def sweep(self, arguments):
        first = [job.return_value for job in self.launcher.launch([["seed=20"], ["seed=30"], ["seed=1"]], initial_job_idx=0)]
        assert math.isnan(first[2])
        seed = round(100 * min(first[:2])) + 1
        self.launcher.launch([[f"seed={seed}"]], initial_job_idx=3)
        self.launcher.launch([["optimizer.lr=-1"]], initial_job_idx=4)

@dataclass
class Conf:
    _target_: str = "hydra_plugins.better.Better"

ConfigStore.instance().store(group="hydra/sweeper", name="better", node=Conf)
"""

JOBLIB = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
SUBMITIT = ("hydra/launcher=submitit_local",)
LAUNCHERS = pytest.mark.parametrize("launcher", [(), JOBLIB, SUBMITIT], ids=["basic", "joblib", "submitit"])
APART = pytest.mark.parametrize("launcher", [JOBLIB, SUBMITIT], ids=["joblib", "submitit"])


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = cloned(tmp_path_factory.mktemp("launchers") / "project")
    project.write("pipeline/stage/quick.py", STAGE)
    return project


@pytest.fixture
def project(clone: Project) -> Project:
    (clone.root / "begun").unlink(missing_ok=True)
    return clone


def seeds(*numbers: int) -> str:
    return f"seed={','.join(map(str, numbers))}"


def table(output: str) -> list[list[str]]:
    """Return the cells of the sweep's table, which stands there once."""
    assert output.count("job  values") == 1, output
    rows = output.partition("job  values")[2].splitlines()[1:]
    return [row.split(maxsplit=2) for row in rows if row[:4].strip().isdigit()]


@LAUNCHERS
def test_a_failed_job_is_told_with_its_values_and_the_others_are_done(launcher: tuple[str, ...], project: Project) -> None:
    ran = project.live("quick", "-m", *launcher, seeds(10, FAILS, 11))
    assert ran.code == 70
    assert ran.output.count("quick failed: job 1 (seed=1): the loss is not a number\n") == 1
    assert "quick failed: 1 of 3 jobs failed; the table says which and why\n" in ran.output
    assert table(ran.output) == [
        ["0", "seed=10", "validation/loss 0.1000"],
        ["1", "seed=1", "failed: the loss is not a number"],
        ["2", "seed=11", "validation/loss 0.1100"],
    ]


def test_jobs_that_fail_in_different_ways_end_in_1_and_a_fault_shows_where(project: Project) -> None:
    ran = project.live("quick", "-m", seeds(FAILS, BREAKS, NO_NUMBER))
    assert ran.code == 1
    assert "KeyError: 'of a fault'\nquick failed: job 1 (seed=2): unexpected KeyError: 'of a fault'. This is a fault" in ran.output
    assert [row[2][:20] for row in table(ran.output)] == ["failed: the loss is ", "failed: unexpected K", "validation/loss nan"]


def test_two_equal_points_are_two_jobs(project: Project) -> None:
    ran = project.live("quick", "-m", *JOBLIB, seeds(10, 10))
    assert (ran.code, [row[2] for row in table(ran.output)]) == (0, ["validation/loss 0.1000"] * 2)


@APART
def test_a_job_whose_process_is_killed_is_told_and_what_has_not_begun_goes_on(launcher: tuple[str, ...], project: Project) -> None:
    ran = project.live("quick", "-m", *launcher, seeds(DIES, 10, 11, 12))
    assert ran.code == 1
    assert ran.output.count("quick failed: job 0 (seed=3): its process has ended without a word, as a killed one does") == 1
    assert table(ran.output)[0][2].startswith("failed: its process has ended without a word")
    assert [row[2] for row in table(ran.output)[-2:]] == ["validation/loss 0.1100", "validation/loss 0.1200"]


@APART
@pytest.mark.parametrize(("number", "to_all", "code"), [(signal.SIGTERM, False, 143), (signal.SIGINT, True, 130)], ids=["kill", "ctrl-c"])
def test_a_signal_ends_all_jobs_and_the_table_says_which_are_done(
    launcher: tuple[str, ...], number: int, to_all: bool, code: int, project: Project
) -> None:
    command = ["python", "-m", "pipeline.stage.quick", "-m", *launcher, seeds(10, WAITS, WAITS, 11)[: None if launcher is JOBLIB else -3]]
    sweep = subprocess.Popen(
        command, cwd=project.root, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    jobs = begun(project, 3)
    (os.killpg if to_all else os.kill)(sweep.pid, number)
    output = sweep.communicate(timeout=100)[0]
    assert sweep.returncode == code, output
    assert [row[2].partition(";")[0] for row in table(output)][:1] == ["validation/loss 0.1000"]
    assert ["stopped by signal" in row[2] or "without a word" in row[2] for row in table(output)[1:3]] == [True, True]
    assert [row[2] for row in table(output)[3:]] == ["not started"] * (launcher is JOBLIB)
    assert f"quick failed: stopped by signal {number:d}; what the table calls done is done" in output
    assert {gone(job, 60) for job in jobs} == {True}


def begun(project: Project, count: int) -> list[psutil.Process]:
    """Wait until so many jobs have begun; return their processes, those that live."""
    path = project.root / "begun"
    for _ in range(900):
        pids = {int(line) for line in path.read_text().split()} if path.exists() else set()
        if path.exists() and len(path.read_text().split()) >= count:
            return [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
        time.sleep(0.1)
    raise AssertionError(f"{count} jobs have not begun after 90 s")


def test_a_sweep_whose_process_is_killed_leaves_no_job_behind(project: Project) -> None:
    command = ["python", "-m", "pipeline.stage.quick", "-m", *JOBLIB, seeds(WAITS, WAITS)]
    sweep = subprocess.Popen(command, cwd=project.root, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    jobs = begun(project, 2)
    sweep.kill()
    sweep.wait()
    assert {gone(job, 60) for job in jobs} == {True}


def test_a_sweeper_of_another_s_gets_the_values_and_its_points_are_checked_before_each_batch(project: Project) -> None:
    project.write("hydra_plugins/better.py", SWEEPER)
    ran = project.live("quick", "-m", "hydra/sweeper=better")
    assert ran.code == 78
    assert [row[1:] for row in table(ran.output)] == [
        ["seed=20", "validation/loss 0.2000"],
        ["seed=30", "validation/loss 0.3000"],
        ["seed=1", "failed: the loss is not a number"],
        ["seed=21", "validation/loss 0.2100"],
    ]
    assert "quick failed: point 4 of the sweep (optimizer.lr=-1): the command line (optimizer.lr=-1): optimizer.lr must be" in ran.output


def test_a_sweep_in_the_folder_of_an_earlier_one_tells_its_own_jobs(project: Project) -> None:
    for numbers, codes in (((FAILS, 10), 70), ((10,), 0)):
        ran = project.live("quick", "-m", seeds(*numbers), "hydra.sweep.dir=runs/again")
        assert (ran.code, len(table(ran.output))) == (codes, len(numbers))
    assert Path(project.root, "runs/again/.jobs/0.json").exists()
