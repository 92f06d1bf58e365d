"""A live run writes to a folder of its own: not to the project's parts by any spelling, nor over what others have made."""

import subprocess
from pathlib import Path

import pytest

from pipeline.config.errors import ConfigError
from pipeline.config.live import PARTS, refuse_folder
from tests.project import ROOT


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "home" / "project"
    for name in ("data/raw", "conf", "pipeline", "runs/old", ".git", ".dvc"):
        (root / name).mkdir(parents=True)
    (root / "params.yaml").touch()
    return root


def refused(path: str, root: Path, key: str = "hydra.run.dir") -> str:
    with pytest.raises(ConfigError) as caught:
        refuse_folder(key, root / path, root)
    assert caught.value.key == key
    return str(caught.value)


@pytest.mark.parametrize("path", [".", "runs/..", "..", "../..", "/", "conf/../runs/old/../.."])
def test_the_project_or_what_holds_it_is_refused(path: str, project: Path) -> None:
    assert "which is the project or holds it" in refused(path, project)


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("data", "data"),
        ("data/raw", "data"),
        ("data/raw/deeper/still", "data"),
        ("data/own/cats", "data"),
        ("bundle", "bundle"),  # which is not there yet
        ("reports/pictures", "reports"),
        ("REPORTS/x", "REPORTS"),  # some file systems do not tell capitals apart
        ("conf/model", "conf"),
        ("pipeline", "pipeline"),
        ("checkpoints/x", "checkpoints"),
        ("journals", "journals"),
        ("mlruns/1", "mlruns"),
        (".git/x", ".git"),
        (".dvc", ".dvc"),
        (".new", ".new"),
        ("runs/../data/raw", "data"),
    ],
)
def test_a_part_of_the_project_is_refused(path: str, part: str, project: Path) -> None:
    assert f"which lies in {part}, a part of the project" in refused(path, project)


@pytest.mark.parametrize("path", ["data/raw", "."])
def test_a_link_is_followed(path: str, project: Path) -> None:
    (project / "runs" / "link").symlink_to(project / path)
    assert "project" in refused("runs/link", project)
    (project.parent / "elsewhere").symlink_to(project / path)
    assert "project" in refused("../elsewhere/new", project) if path != "." else "project" in refused("../elsewhere", project)


def test_a_part_that_is_a_link_itself_is_refused_where_it_leads(project: Path, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (project / "checkpoints").symlink_to(tmp_path / "disk")
    assert "lies in checkpoints" in refused(str(tmp_path / "disk" / "x"), project)


def test_a_file_is_no_folder(project: Path) -> None:
    assert "can't be a folder: params.yaml is a file" in refused("params.yaml/x", project)


@pytest.mark.parametrize("name", ["bundle", "Pictures", "raw", "config.yaml"])
@pytest.mark.parametrize("place", ["../other", "mine"])
def test_a_folder_in_which_others_have_what_would_be_overwritten_is_refused(name: str, place: str, project: Path) -> None:
    (project / place / name).mkdir(parents=True)
    assert f"holds {name.casefold()}, which no live run has left there" in refused(place, project)


def test_the_advice_names_a_folder_or_says_what_to_leave_out(project: Path) -> None:
    assert refused(".", project).endswith("name one of its own, hydra.run.dir=runs/NAME say")
    assert refused("conf", project, "hydra.output_subdir").endswith("leave hydra.output_subdir out")


@pytest.mark.parametrize("path", ["runs/new", "runs/old", "runs", "runs/a/b", "mine", "data2", "../elsewhere", "../projects"])
def test_a_folder_of_its_own_is_taken(path: str, project: Path) -> None:
    refuse_folder("hydra.run.dir", project / path, project)


def test_the_folder_of_an_earlier_live_run_is_taken(project: Path) -> None:
    (project / "runs/old/bundle").mkdir()
    (project / "runs/old/.train.lock").touch()
    refuse_folder("hydra.run.dir", project / "runs/old", project)


def test_a_folder_with_other_things_in_it_is_taken(project: Path) -> None:
    (project / "runs/old/slurm-17.out").touch()
    refuse_folder("hydra.run.dir", project / "runs/old", project)


def test_every_folder_of_the_project_is_a_part_of_it() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    kept = [line.strip("/") for line in (ROOT / ".gitignore").read_text().split("\n") if line.startswith("/") and "." not in line]
    folders = {path.partition("/")[0] for path in [*(name for name in tracked if "/" in name), *kept]}
    assert {name for name in folders if not name.startswith(".")} - {"runs"} == PARTS
