"""A run comes back from its id: code with its uncommitted changes, config, data, network; and evaluated anew it has the same metrics."""

import re
import shutil
from pathlib import Path

import pytest

from pipeline.config.compose import read_yaml
from tests.project import Project, Ran, small_project

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained(warm: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project that has trained and evaluated with changes that were not committed, which are then undone."""
    project = small_project(tmp_path_factory.mktemp("restore") / "project", warm)
    project.edit("conf/optimizer/adamw.yaml", "lr: 0.003", "lr: 0.004")
    project.write("pipeline/model/mine.py", '"""A network in the making."""\n')
    project.ok("dvc", "exp", "run", "-S", "training.batch_size=8", "-n", "odd", "evaluate")
    project.ok("git", "checkout", "HEAD", "--", "conf/optimizer/adamw.yaml", "params.yaml", "conf.lock")
    (project.root / "pipeline" / "model" / "mine.py").unlink()
    return project


def restore(project: Project, *words: str, **variables: str) -> Ran:
    return project.run("python", "-m", "pipeline.command.restore", *words, timeout=900, **variables)  # it starts five processes


def folder_of(ran: Ran, project: Project) -> Project:
    [named] = re.findall(r"^go on: +cd (\S+) and type `dvc repro`$", ran.output, re.MULTILINE)
    return Project(project.root / named, project.programs)


def test_restored_it_has_the_run_s_code_config_data_and_metrics_and_the_project_stays_as_it_was(trained: Project) -> None:
    before = trained.ok("git", "status", "--porcelain").output
    ran = restore(trained, "odd", "--check")
    assert ran.code == 0, ran.output
    for said in (
        r"^code: +commit \w{8} with the run's changes that were not committed$",
        r"^config: +1 value beyond conf/, in conf/local/overrides.yaml$",
        r"^data: +digest \w{12}, brought by DVC$",
        r"^network: +digest \w{12}, (brought by DVC|copied from bundle)$",
        r"^environment: equal \(Python, torch, device, \d+ packages\)$",
        r"^check: +\d test metrics equal to the bit$",
    ):
        assert re.search(said, ran.output, re.MULTILINE), (said, ran.output)
    there = folder_of(ran, trained)
    params = read_yaml(there.root / "params.yaml")
    assert (params["optimizer"]["lr"], params["training"]["batch_size"]) == (0.004, 8)
    assert (there.root / "pipeline" / "model" / "mine.py").exists()
    assert trained.ok("git", "status", "--porcelain").output == before
    assert "train" not in there.repro("evaluate").stages
    trained.ok("git", "worktree", "remove", "--force", str(there.root.relative_to(trained.root)))
    assert not there.root.exists()


def test_in_another_environment_it_lists_what_differs(trained: Project, tmp_path: Path) -> None:
    ran = restore(trained, "odd", "--to", str(tmp_path / "there"), ATEN_CPU_CAPABILITY="default")
    assert ran.code == 0, ran.output
    assert re.search(r"^environment: device .+ \(here .+ATEN_CPU_CAPABILITY=default\)$", ran.output, re.MULTILINE), ran.output


def test_without_its_data_it_says_what_is_missing_and_how_to_get_it_and_takes_it_once_it_is_there(trained: Project, tmp_path: Path) -> None:
    bare = trained.copy(tmp_path / "bare")
    shutil.rmtree(bare.root / "restored", ignore_errors=True)  # another test's
    shutil.rmtree(bare.root / ".dvc" / "cache")
    shutil.rmtree(bare.root / "data" / "prepared")
    ran = restore(bare, "odd", "--check")
    assert ran.code == 1, ran.output
    assert re.search(
        r"^data: +missing: no prepared images with digest \w{12} are in DVC's cache, data/prepared or runs/$", ran.output, re.M
    )
    assert "restore failed: the data is not there: put the photos back into " in ran.output
    assert "metrics" not in ran.output
    there = folder_of(ran, bare)
    shutil.copytree(trained.root / "data" / "own", there.root / "data" / "own", dirs_exist_ok=True)
    there.repro("resize")
    again = restore(bare, "odd", "--check")
    assert again.code == 0, again.output
    assert re.search(r"^code: +restored before, and left as it is$", again.output, re.M)
    assert re.search(r"^check: +\d test metrics equal to the bit$", again.output, re.M)
