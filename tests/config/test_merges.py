"""After a merge: what is torn or mixed is told, and each command that is told leads out."""

import re
from pathlib import Path

import pytest

from pipeline.command.doctor import repair
from pipeline.config.errors import ConfigError
from pipeline.config.merges import GENERATED
from tests.config.copies import LOCAL, Copy
from tests.project import Project, cloned

TRAINING = "conf/training/default.yaml"


@pytest.fixture
def merged(project: Copy) -> Copy:
    """A project in the middle of a merge: both sides have another number of epochs, in conf/ and in all that is generated."""
    project.write(".gitignore", "/data\n")
    project.write("dvc.lock", "epochs: 30\n")
    project.write("reports/metrics.json", '{"epochs": 30}\n')
    project.ok("git", "init", "-q", "-b", "main")
    project.commit()
    for branch, epochs in (("theirs", 8), ("main", 9)):
        project.ok("git", "checkout", "-q", "-B", branch, *(["main"] if branch == "theirs" else []))
        if branch == "main":
            project.ok("git", "reset", "-q", "--hard", "theirs~1")
        project.value(TRAINING, "epochs", epochs)
        project.configure()
        project.write("dvc.lock", f"epochs: {epochs}\n")
        project.write("reports/metrics.json", f'{{"epochs": {epochs}}}\n')
        project.commit(branch)
    assert project.run("git", "merge", "theirs").code == 1
    return project


def settle_conf(project: Copy) -> None:
    project.ok("git", "checkout", "HEAD", "--", TRAINING)


def told(error: pytest.ExceptionInfo[ConfigError], project: Copy) -> str:
    """Run the command that a refusal names; return it."""
    [command] = re.findall(r"`((?:git|rm) [^`]+)`", str(error.value))
    project.ok(*command.split())
    return command


def test_the_doctor_names_all_that_is_torn_and_one_command_settles_it(merged: Copy) -> None:
    settle_conf(merged)
    with pytest.raises(ConfigError, match=r"^params.yaml and conf.lock and dvc.lock and reports/metrics.json in conflict") as refused:
        repair(merged.root)
    assert told(refused, merged) == f"git checkout HEAD -- {' '.join(GENERATED)}"
    assert repair(merged.root) == []
    assert merged.ok("git", "diff", "--name-only", "--diff-filter=U").output == ""
    assert merged.configure() == []
    assert merged.overrides == {}


def test_dvc_lock_alone_is_not_removed_by_the_doctor(merged: Copy) -> None:
    merged.ok("git", "checkout", "HEAD", "--", *(name for name in GENERATED if name != "dvc.lock"))
    with pytest.raises(ConfigError, match=r"^dvc.lock in conflict, by a merge\. .* type `git checkout HEAD -- dvc.lock`, then `dvc repro`"):
        repair(merged.root)
    assert "<<<<<<< " in merged.read("dvc.lock")


@pytest.mark.parametrize("torn", ["params.yaml", "conf.lock"])
def test_of_the_two_that_belong_together_both_are_brought_back(torn: str, merged: Copy) -> None:
    settle_conf(merged)
    merged.ok("git", "checkout", "--theirs", *({"params.yaml", "conf.lock"} - {torn}))
    with pytest.raises(ConfigError, match=rf"^{torn}:\d+: conflict markers of a merge\. What is generated takes either side") as refused:
        merged.configure()
    assert told(refused, merged) == "git checkout HEAD -- params.yaml conf.lock"
    assert merged.configure() == []


def test_what_we_deleted_and_they_changed_comes_from_them(merged: Copy) -> None:
    merged.ok("git", "merge", "--abort")
    merged.ok("git", "rm", "-q", "dvc.lock")
    merged.commit("without")
    assert merged.run("git", "merge", "theirs").code == 1
    merged.ok("git", "checkout", "HEAD", "--", "params.yaml", "conf.lock", "reports/metrics.json")
    with pytest.raises(ConfigError, match="dvc.lock in conflict") as refused:
        repair(merged.root)
    assert told(refused, merged) == "git checkout MERGE_HEAD -- dvc.lock"
    assert repair(merged.root) == []


def test_markers_that_were_committed_lead_to_a_new_start(merged: Copy) -> None:
    merged.commit("with markers")
    with pytest.raises(ConfigError, match="params.yaml and conf.lock and dvc.lock and reports/metrics.json in conflict") as refused:
        repair(merged.root)
    assert told(refused, merged) == f"rm {' '.join(GENERATED)}"
    merged.ok("git", "checkout", "HEAD^1", "--", TRAINING)
    assert merged.configure() == ["params.yaml: composed from conf/"]


def test_a_stash_that_conflicts_is_told_alike(merged: Copy) -> None:
    merged.ok("git", "merge", "--abort")
    merged.value(TRAINING, "epochs", 7)
    merged.configure()
    merged.ok("git", "stash", "-q")
    merged.ok("git", "reset", "-q", "--hard", "theirs")
    assert merged.run("git", "stash", "pop").code == 1
    settle_conf(merged)
    with pytest.raises(ConfigError, match="params.yaml and conf.lock in conflict") as refused:
        repair(merged.root)
    assert told(refused, merged) == "git checkout HEAD -- params.yaml conf.lock"
    assert merged.configure() == []


def test_in_the_middle_of_a_rebase_it_is_told_alike(merged: Copy) -> None:
    merged.ok("git", "merge", "--abort")
    assert merged.run("git", "rebase", "theirs").code == 1
    settle_conf(merged)
    with pytest.raises(ConfigError, match="params.yaml and conf.lock and dvc.lock and reports/metrics.json in conflict") as refused:
        repair(merged.root)
    told(refused, merged)
    assert merged.configure() == []
    assert merged.param("training.epochs") == 8  # in a rebase HEAD is the other side


def mix(merged: Copy, params: str, lock: str) -> None:
    """Settle conf/ as HEAD has it, and take params.yaml and conf.lock of different sides."""
    merged.ok("git", "checkout", "HEAD", "--", TRAINING, "dvc.lock", "reports/metrics.json")
    merged.ok("git", "checkout", params, "params.yaml")
    merged.ok("git", "checkout", lock, "conf.lock")


@pytest.mark.parametrize("committed", [False, True])
def test_a_mixture_of_two_sides_is_no_edit_by_hand(committed: bool, merged: Copy) -> None:
    mix(merged, "--theirs", "--ours")
    if committed:
        merged.commit("merged")
    with pytest.raises(
        ConfigError, match=r"^params.yaml and conf.lock are of two sides of a merge, and what differs would pass"
    ) as refused:
        merged.configure()
    assert not (merged.root / LOCAL).exists()
    assert told(refused, merged) == f"git checkout {'HEAD^1' if committed else 'HEAD'} -- params.yaml conf.lock"
    assert merged.configure() == []
    assert merged.overrides == {}


def test_a_mixture_whose_params_are_what_conf_composes_to_is_settled(merged: Copy) -> None:
    mix(merged, "--ours", "--theirs")
    before = merged.read("params.yaml")
    assert merged.configure() == []
    assert (merged.read("params.yaml"), merged.overrides) == (before, {})
    assert merged.configure() == []


def test_an_edit_by_hand_in_the_middle_of_a_merge_is_one(merged: Copy) -> None:
    settle_conf(merged)
    merged.ok("git", "checkout", "HEAD", "--", "params.yaml", "conf.lock")
    merged.type("seed", 5)
    assert "lifted into conf/local/overrides.yaml: seed=5" in merged.configure()


def test_a_file_that_people_write_is_settled_by_hand(merged: Copy) -> None:
    merged.write(LOCAL, "# @package _global_\n<<<<<<< HEAD\nseed: 1\n=======\nseed: 2\n>>>>>>> theirs\n")
    settle_conf(merged)
    with pytest.raises(ConfigError, match=rf"^{LOCAL}:2: conflict markers of a merge\. Keep .*type `git add {LOCAL}`, then repeat"):
        merged.configure()


@pytest.mark.parametrize("missing", ["params.yaml", "conf.lock"])
def test_half_a_state_is_led_out_of_by_each_command(missing: str, merged: Copy, tmp_path: Path) -> None:
    merged.ok("git", "merge", "--abort")
    merged.value(TRAINING, "epochs", 7)
    if missing == "params.yaml":
        merged.configure()  # conf.lock is newer than what git has
    merged.ok("git", "rm", "-q", "--cached", missing)
    (merged.root / missing).unlink()
    with pytest.raises(ConfigError, match=f"^{missing} is missing") as refused:
        merged.configure()
    back, anew = re.findall(r"`((?:git|rm) [^`]+)`", str(refused.value))
    for number, command in enumerate((back, anew)):
        other = Copy(merged.copy(tmp_path / str(number)).root)
        other.ok(*command.split())
        other.configure()
        assert other.param("training.epochs") == 7
        assert other.overrides == {}


def test_an_experiment_needs_no_record_of_an_earlier_one(project: Copy) -> None:
    (project.root / "conf.lock").unlink()
    assert project.experiment("seed=5") == ["params.yaml: as DVC composed it for this experiment"]
    assert project.lock.changed == {"seed": 5}


@pytest.mark.slow
def test_in_a_shallow_clone_a_copy_of_dvc_says_that_its_result_will_be_lost(tmp_path: Path) -> None:
    whole = cloned(tmp_path / "whole")
    whole.ok("git", "commit", "-q", "--allow-empty", "-m", "second")
    whole.ok("git", "clone", "-q", "--depth", "1", f"file://{whole.root}", str(tmp_path / "shallow"))
    shallow = Project(tmp_path / "shallow")
    note = "note: this clone is shallow, and DVC loses what it runs in a copy, without a word; type `git fetch --unshallow` first"
    assert note in shallow.ok("dvc", "exp", "run", "--temp", "-S", "seed=4", "configure").output
    assert shallow.ok("dvc", "exp", "list").output == ""
    shallow.ok("git", "fetch", "-q", "--unshallow")
    assert note not in shallow.ok("dvc", "exp", "run", "--temp", "-n", "kept", "-S", "seed=5", "configure").output
    assert "kept" in shallow.ok("dvc", "exp", "list").output
