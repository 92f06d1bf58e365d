import shlex
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from pipeline.config import paths as places
from pipeline.config.paths import OUTS, Places


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(places, "WORKSPACE", tmp_path)
    return tmp_path


def left(folder: Path, *names: str) -> None:
    """Leave files of an earlier run."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("old")
        (folder / name).chmod(0o444)  # as DVC leaves them


@pytest.mark.parametrize("name", OUTS)
def test_a_target_is_an_empty_folder_for_each_out(name: str, workspace: Path) -> None:
    left(workspace / OUTS[name], "a.png", "deeper/b.png")
    folder = Places(None).target(name)
    assert folder == workspace / OUTS[name]
    assert list(folder.iterdir()) == []


def test_a_new_target_is_made(workspace: Path) -> None:
    assert list(Places(None).target("pictures").iterdir()) == []


def test_reports_and_pictures_leave_each_other_alone(workspace: Path) -> None:
    left(workspace / "reports", "old.csv", "pictures/filters.png")
    Places(None).target("reports")
    assert [path.name for path in (workspace / "reports").iterdir()] == ["pictures"]
    assert (workspace / "reports" / "pictures" / "filters.png").exists()
    left(workspace / "reports", "new.csv")
    Places(None).target("pictures")
    assert sorted(path.name for path in (workspace / "reports").rglob("*")) == ["new.csv", "pictures"]


def test_a_live_run_has_its_own_folders(workspace: Path) -> None:
    left(workspace / "reports" / "pictures", "filters.png")
    folder = Places(workspace / "runs" / "one").target("pictures")
    assert folder == workspace / "runs" / "one" / "pictures"
    assert (workspace / "reports" / "pictures" / "filters.png").exists()


def test_a_live_run_reads_what_it_made_itself_and_else_dvc_s_outs(workspace: Path) -> None:
    live = workspace / "runs" / "one"
    left(live / "bundle", "weights")
    places = Places(live)
    assert (places.source("bundle"), places.source("prepared")) == (live / "bundle", workspace / "data" / "prepared")
    assert Places(None).source("bundle") == workspace / "bundle"


def test_what_was_made_of_a_live_run_s_own_work_lies_beside_it(workspace: Path) -> None:
    live = workspace / "runs" / "one"
    assert Places(live).beside("reports", "bundle") == workspace / "reports"
    left(live / "bundle", "weights")
    assert Places(live).beside("reports", "bundle") == live / "reports"


def test_a_link_in_a_target_is_removed_and_what_it_leads_to_stays(workspace: Path) -> None:
    left(workspace / "elsewhere", "photo.png")
    (workspace / "reports").mkdir()
    (workspace / "reports" / "link").symlink_to(workspace / "elsewhere")
    Places(None).target("reports")
    assert (workspace / "elsewhere" / "photo.png").exists()
    assert list((workspace / "reports").iterdir()) == []


@pytest.mark.parametrize(
    ("path", "typed"),
    [
        ("runs/one", "runs/one"),
        ("runs/my run", "'runs/my run'"),
        ("runs/it's $HOME", "'runs/it'\"'\"'s $HOME'"),
        ("/else where", "'/else where'"),
    ],
)
def test_a_path_is_shown_as_it_is_typed_in_a_shell(path: str, typed: str, workspace: Path) -> None:
    assert Places(None).show(workspace / path) == typed
    assert shlex.split(typed) == [path]


def test_what_lies_in_the_project_of_a_queued_experiment_is_shown_from_its_root(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(workspace.parent / "home"))
    assert Places(None).show(workspace.parent / "home" / "checkpoints" / "a") == "checkpoints/a"


@pytest.mark.parametrize("name", ["one", "my run", "it's (2), a=b", "Größe ü"])
def test_the_folder_that_is_told_is_the_folder_that_hydra_takes(name: str, workspace: Path) -> None:
    [word] = shlex.split(Places(workspace / "runs" / name).naming)
    override = OverridesParser.create().parse_override(word)
    assert (override.key_or_group, override.value()) == ("hydra.run.dir", f"runs/{name}")
