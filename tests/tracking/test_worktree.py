"""A run's data and network are found by their digests alone; what has another digest, or is damaged, is not taken."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline.config.errors import DataError
from pipeline.dataset.files import sha256
from pipeline.dataset.manifest import Manifest
from pipeline.tracking.worktree import Worktree, digest_of
from tests.project import Project
from tests.tracking.test_record import COMMIT, record


@pytest.fixture
def worktree(tmp_path: Path) -> Worktree:
    """One that is empty, of a project that is a git repository."""
    project = Project(tmp_path / "project")
    project.write("pipeline/loop.py", "")
    project.ok("git", "init", "-q", "-b", "main")
    project.commit()
    return Worktree(tmp_path / "worktree", project.root)


def test_the_digest_of_images_on_disk_is_that_of_their_manifest(prepared: Path, manifest: Manifest) -> None:
    assert digest_of(prepared) == manifest.data_digest


@pytest.mark.parametrize("place", ["data/prepared", "runs/mine/prepared"])
def test_the_data_is_copied_from_the_project_or_a_live_run(place: str, worktree: Worktree, prepared: Path, manifest: Manifest) -> None:
    shutil.copytree(prepared, worktree.project / place)
    said, is_there = worktree.find_data(manifest.data_digest)
    assert said == f"digest {manifest.data_digest[:12]}, copied from {place}"
    assert is_there
    assert digest_of(worktree.folder / "data" / "prepared") == manifest.data_digest


def test_images_that_are_not_what_their_manifest_says_are_refused(worktree: Worktree, prepared: Path, manifest: Manifest) -> None:
    there = worktree.project / "data" / "prepared"
    shutil.copytree(prepared, there)
    images = np.load(there / "test.npy")
    images[-1, 0, 0, 0] ^= 1
    np.save(there / "test.npy", images)
    said, is_there = worktree.find_data(manifest.data_digest)
    assert "data/prepared says that it has digest" in said
    assert said.endswith("it is damaged")
    assert not is_there


def test_other_images_than_the_run_s_are_no_data_of_it(worktree: Worktree, prepared: Path) -> None:
    shutil.copytree(prepared, worktree.folder / "data" / "prepared")
    said, is_there = worktree.find_data("0" * 64)
    assert said == "missing: no prepared images with digest 000000000000 are in DVC's cache, data/prepared or runs/"
    assert not is_there
    assert not (worktree.folder / "data" / "prepared").exists()


def test_the_network_is_the_one_with_the_run_s_digest(worktree: Worktree, written_bundle: Path) -> None:
    shutil.copytree(written_bundle, worktree.project / "runs" / "mine" / "bundle")
    (worktree.project / "bundle").mkdir()
    (worktree.project / "bundle" / "bundle.json").write_text("{}")
    digest = sha256(written_bundle / "bundle.json")
    assert worktree.find_bundle(digest) == (f"digest {digest[:12]}, copied from runs/mine/bundle", True)
    assert sha256(worktree.folder / "bundle" / "bundle.json") == digest
    assert worktree.find_bundle("0" * 64) == ("missing: no network with digest 000000000000 is in DVC's cache, bundle/ or runs/", False)


def test_a_folder_with_files_of_others_is_not_written_to(worktree: Worktree) -> None:
    worktree.folder.mkdir()
    (worktree.folder / "mine.txt").touch()
    with pytest.raises(DataError, match=r"exists and is not this run's; name another folder by --to"):
        worktree.create(record())
    assert [path.name for path in worktree.folder.iterdir()] == ["mine.txt"]


def test_a_commit_that_git_has_not_is_told_with_the_ways_to_get_it(worktree: Worktree) -> None:
    with pytest.raises(DataError, match=rf"the commit {COMMIT[:8]} of the run is not in this repository; fetch it .*--unshallow"):
        worktree.create(record())


def test_changes_that_do_not_apply_leave_no_worktree(worktree: Worktree) -> None:
    head = Project(worktree.project).ok("git", "rev-parse", "HEAD").output.strip()
    with pytest.raises(DataError, match=rf"the run's changes do not apply to commit {head[:8]}: error: "):
        worktree.create(record(b"no patch\n", commit=head))
    assert not worktree.folder.exists()
    assert "worktree" not in Project(worktree.project).ok("git", "worktree", "list").output.replace(str(worktree.project), "")
