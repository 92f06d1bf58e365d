"""The stages before a training: where they keep what outlives them, and what they say of the config and of the images."""

import hashlib
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.config.errors import ConfigError
from pipeline.config.schema import Config, SourceFile, Sources
from pipeline.config.yaml_nodes import LOCAL
from pipeline.stage import configure
from tests.config.copies import Copy
from tests.samples import CLASSES, EACH, bars, write_idx_split
from tests.stage.conftest import Stage

Said = Callable[[], list[str]]


@pytest.mark.parametrize(("count", "words"), [(1, "1 original file of mnist"), (2, "2 original files of mnist")])
def test_downloads_are_kept_in_the_project_for_all_its_copies(
    count: int, words: str, stage: Stage, cfg: Config, live: Path, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (mirror := tmp_path / "mirror").mkdir()
    for number in range(count):
        (mirror / f"{number}.gz").write_bytes(bytes([number]))
    sources = {path.stem: SourceFile(name=path.name, sha256=hashlib.sha256(path.read_bytes()).hexdigest()) for path in mirror.iterdir()}
    cfg.dataset.sources = Sources(folder=None, mirrors=[mirror.as_uri()], files=sources)
    stage("fetch")
    assert capsys.readouterr().out.splitlines()[-1] == f"{words} in {live / 'raw'}"
    shutil.rmtree(mirror)
    stage("fetch")  # from what was kept
    assert len(list((live / "raw").iterdir())) == count
    assert (home / "downloads").is_dir()


def test_resize_says_how_many_images_it_made_and_what_that_means(
    stage: Stage, cfg: Config, live: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (live / "prepared").unlink()
    rng = np.random.default_rng(0)
    for split, each in EACH.items():
        labels = [label for label in range(len(CLASSES)) for _ in range(each)]
        write_idx_split(live / "raw", split, np.concatenate([bars(label, each, rng) for label in range(len(CLASSES))]), labels)
    stage("resize")
    said = capsys.readouterr().out.splitlines()
    assert f"12 train, 9 validation, 6 test images of 3 classes in {live / 'prepared'}" in said  # none refused, none left out
    assert any(line.startswith("only 9 validation images choose the epoch") for line in said)
    assert said[-1] == f"the data at a glance: {live / 'data.html'}"
    assert (live / "data.html").exists()


@pytest.fixture
def project(conf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Copy:
    """A project of its own in which the configure stage works."""
    shutil.copytree(conf, tmp_path / "project" / "conf")
    copy = Copy(tmp_path / "project")
    copy.configure()
    monkeypatch.setattr(configure, "WORKSPACE", copy.root)
    monkeypatch.setattr("sys.argv", ["configure"])
    for name in ("DVC_ROOT", "DVC_EXP_NAME"):
        monkeypatch.delenv(name, raising=False)
    return copy


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    def said() -> list[str]:
        configure.main()
        return capsys.readouterr().out.splitlines()

    return said


def test_configure_says_what_stands_above_conf(project: Copy, said: Said) -> None:
    assert said() == ["params.yaml and conf/ agree"]
    project.type("seed", 3)
    assert said() == [
        f"lifted into {LOCAL}: seed=3",
        "above conf/: seed=3 (conf/: 0); `python -m pipeline.command.overrides` lists and clears",
    ]


def test_in_an_experiment_nothing_is_lifted(project: Copy, said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    project.dvc_composes("seed=3")
    monkeypatch.setenv("DVC_EXP_NAME", "grid-1")
    assert said()[0] == "params.yaml: as DVC composed it for this experiment"
    assert (project.param("seed"), project.overrides) == (3, {})


@pytest.mark.parametrize("is_queued", [False, True])
def test_where_a_queued_experiment_lacks_a_file_git_is_named(
    is_queued: bool, project: Copy, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(project.root.parent if is_queued else project.root))
    project.edit("conf/config.yaml", "model: ", "model: none_of_these #")
    with pytest.raises(ConfigError) as refused:
        said()
    assert ("`git add` new ones, then queue it again" in str(refused.value)) == is_queued


@pytest.mark.parametrize("is_shallow", [False, True])
def test_a_copy_of_a_shallow_clone_says_so(
    is_shallow: bool, project: Copy, said: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin = Copy(tmp_path / "origin")
    for number in range(2):
        origin.write("file", str(number))
        subprocess.run(["git", "init", "-q"], cwd=origin.root, check=True)
        origin.commit()
    depth = ["--depth", "1"] if is_shallow else []
    subprocess.run(["git", "clone", "-q", *depth, origin.root.as_uri(), str(tmp_path / "clone")], check=True)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "clone"))
    assert any("this clone is shallow" in line for line in said()) == is_shallow
    monkeypatch.setenv("DVC_ROOT", str(project.root))
    assert not any("this clone is shallow" in line for line in said())
