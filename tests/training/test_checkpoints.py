"""A checkpoint is whole or not there, and is of this training or not used."""

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.config.errors import BusyError, DataError, RankError, Stopped
from pipeline.dataset.files import DAY, sha256
from pipeline.training.checkpoints import Checkpoints, Identity, checkpoints_of, checkpoints_of_rank_0

IDENTITY: Identity = {"config": {"model": {"name": "lenet", "filters": [6, 16]}, "seed": 0}, "data": "d1"}
FLIPS, CUTS = 1000, 100


def state(epoch: int) -> dict[str, Any]:
    return {"epoch": epoch, "weights": torch.arange(20.0) + epoch, "names": ["a", None], "nested": {"rate": 0.1}}


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path / "checkpoints", IDENTITY)


def save(checkpoints: Checkpoints, *epochs: int) -> Path:
    """Save checkpoints of these epochs; return the last one's file."""
    path = checkpoints.folder
    for epoch in epochs:
        checkpoints.save(state(epoch), path := checkpoints.path_of(epoch))
    return path


def files(checkpoints: Checkpoints) -> set[str]:
    return {path.name for path in checkpoints.folder.iterdir()}


def test_what_is_saved_is_loaded(checkpoints: Checkpoints) -> None:
    found = checkpoints.load(save(checkpoints, 3))
    assert torch.equal(found.pop("weights"), state(3).pop("weights"))
    assert found == {"epoch": 3, "names": ["a", None], "nested": {"rate": 0.1}}


def test_the_newest_two_are_kept_each_with_its_checksum(checkpoints: Checkpoints) -> None:
    newest = save(checkpoints, 1, 2, 10, 9, 11)
    kept = {f"epoch-0000{epoch}.{end}" for epoch in (10, 11) for end in ("ckpt", "sha256")}
    assert files(checkpoints) == kept | {"training.json"}
    assert checkpoints.latest() == newest


def test_state_checksum_and_their_folder_are_on_the_disk_before_the_checkpoint_counts(
    checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed = []

    def fsync(descriptor: int, flush: Callable[[int], None] = os.fsync) -> None:
        flush(descriptor)
        flushed.append((Path(f"/proc/self/fd/{descriptor}").readlink().name, checkpoints.path_of(1).exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    checkpoints.save(state(1), checkpoints.path_of(1))
    assert flushed == [("epoch-000001.partial", False), ("epoch-000001.sha256.partial", False), (checkpoints.folder.name, True)]


def test_without_a_checkpoint_there_is_nothing_to_go_on_from(checkpoints: Checkpoints) -> None:
    assert checkpoints.latest() is None


def test_no_flipped_bit_and_no_lost_byte_is_loaded(checkpoints: Checkpoints) -> None:
    path = save(checkpoints, 1)
    content, chance = path.read_bytes(), random.Random(0)
    damaged = []
    for _ in range(FLIPS):
        bit = chance.randrange(8 * len(content))
        damaged.append(content[: bit // 8] + bytes([content[bit // 8] ^ 1 << bit % 8]) + content[bit // 8 + 1 :])
    damaged += [content[: chance.randrange(len(content))] for _ in range(CUTS)]
    for found in damaged:
        path.write_bytes(found)
        with pytest.raises(DataError, match=r"epoch-000001\.ckpt is damaged: its sha256 is [0-9a-f]{64}, expected [0-9a-f]{64}"):
            checkpoints.load(path)
    path.write_bytes(content)
    assert checkpoints.load(path)["epoch"] == 1


def test_where_the_newest_is_damaged_the_one_before_is_used_and_said(checkpoints: Checkpoints, capsys: pytest.CaptureFixture[str]) -> None:
    save(checkpoints, 1, 2)
    checkpoints.path_of(2).write_bytes(b"")
    assert checkpoints.latest() == checkpoints.path_of(1)
    assert "epoch-000002.ckpt is damaged" in (told := capsys.readouterr().err)
    assert "the one before is used, or the beginning" in told


def test_one_without_its_checksum_is_not_used(checkpoints: Checkpoints, capsys: pytest.CaptureFixture[str]) -> None:
    save(checkpoints, 1).with_suffix(".sha256").unlink()
    assert checkpoints.latest() is None
    assert "expected a checksum beside it" in capsys.readouterr().err


def test_another_trainings_checkpoint_is_refused_with_what_differs(checkpoints: Checkpoints, tmp_path: Path) -> None:
    other = {**IDENTITY, "config": {"model": {"name": "vgg", "filters": [6, 16]}, "seed": 1}}
    theirs = Checkpoints(tmp_path / "other", other)
    save(theirs, 1)
    for file in theirs.folder.glob("epoch-*"):
        shutil.copy(file, checkpoints.folder)
    expected = (
        r"another training: it differs in config\.model\.name \(here 'lenet', there 'vgg'\), config\.seed \(here 0, there 1\)\. Remove"
    )
    with pytest.raises(DataError, match=expected):
        checkpoints.load(checkpoints.path_of(1))


class Payload:
    def __reduce__(self) -> Any:
        return os.mkdir, ("hacked",)


def test_a_checkpoint_runs_no_code(checkpoints: Checkpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = checkpoints.path_of(1)
    torch.save({"weights": Payload(), "identity": IDENTITY}, path)
    path.with_suffix(".sha256").write_text(sha256(path))
    with pytest.raises(DataError, match="is no checkpoint of ours: it holds more than tensors and plain values; none of it was run"):
        checkpoints.load(path)
    assert not (tmp_path / "hacked").exists()


FULL = """
import resource, signal, sys
from pathlib import Path
from tests.training.test_checkpoints import IDENTITY, Checkpoints, state
import torch
checkpoints = Checkpoints(Path(sys.argv[1]), IDENTITY)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
try:
    checkpoints.save(state(2) | {"much": torch.zeros(10_000)}, checkpoints.path_of(2))
except OSError as error:
    print("refused", error.errno)
"""


def test_where_there_is_no_room_the_one_before_stays_and_nothing_else(checkpoints: Checkpoints) -> None:
    save(checkpoints, 1)
    before = files(checkpoints)
    done = subprocess.run([sys.executable, "-c", FULL, checkpoints.folder], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("refused")
    assert files(checkpoints) == before
    assert checkpoints.latest() == checkpoints.path_of(1)


def test_a_training_that_ends_well_leaves_nothing(tmp_path: Path) -> None:
    with checkpoints_of(IDENTITY, tmp_path, keep=1) as checkpoints:
        save(checkpoints, 1)
    assert [path for path in (tmp_path / "checkpoints").iterdir() if path.is_dir()] == []


def test_what_a_process_killed_while_it_removed_them_has_left_is_no_checkpoint_and_goes_with_the_next(tmp_path: Path) -> None:
    with checkpoints_of(IDENTITY, tmp_path, keep=1) as checkpoints:
        shutil.copytree(checkpoints.folder, left := checkpoints.folder.with_name(f"{checkpoints.folder.name}.done"))
        (left / "epoch-000003.ckpt").touch()
        assert checkpoints.latest() is None
    assert [path for path in (tmp_path / "checkpoints").iterdir() if path.is_dir()] == []


def ended_by(error: BaseException, home: Path, *epochs: int) -> Checkpoints:
    """Save checkpoints of these epochs, and end by an error."""
    found = []
    with suppress(type(error)), checkpoints_of(IDENTITY, home, keep=1) as checkpoints:
        found.append(checkpoints)
        save(checkpoints, *epochs)
        raise error
    return found[0]


def test_one_that_fails_or_is_stopped_is_found_by_the_same_and_by_no_other(tmp_path: Path) -> None:
    first = ended_by(ValueError(), tmp_path, 1)
    stop = Stopped(15)
    again = ended_by(stop, tmp_path, 2)
    assert again.name == first.name
    assert again.latest() == first.path_of(2)
    assert stop.then == "the same command resumes after epoch 2"
    with checkpoints_of({**IDENTITY, "data": "d2"}, tmp_path, keep=1) as other:
        assert other.latest() is None
        assert other.name != first.name


def test_a_stop_before_any_checkpoint_says_that_the_command_starts_again(tmp_path: Path) -> None:
    stop = Stopped(15)
    ended_by(stop, tmp_path)
    assert stop.then == "nothing of it counts as done, the same command starts again"


def test_two_equal_trainings_at_the_same_time_have_a_folder_each(tmp_path: Path) -> None:
    with checkpoints_of(IDENTITY, tmp_path, keep=1) as first, checkpoints_of(IDENTITY, tmp_path, keep=1) as second:
        assert first.folder != second.folder
        assert first.name != second.name


def test_a_rank_other_than_0_reads_the_checkpoints_that_rank_0_has_locked_and_changes_nothing(tmp_path: Path) -> None:
    with checkpoints_of(IDENTITY, tmp_path, keep=1, is_shared=True) as checkpoints:
        newest = save(checkpoints, 1, 2)
        (checkpoints.folder / "epoch-000003.partial").touch()  # which is being written
        before = files(checkpoints)
        reader = checkpoints_of_rank_0(IDENTITY, tmp_path)
        assert reader.latest() == newest
        assert reader.load(newest)["epoch"] == 2
        assert files(checkpoints) == before


def test_a_rank_that_comes_before_the_folder_makes_none(tmp_path: Path) -> None:
    assert checkpoints_of_rank_0(IDENTITY, tmp_path).latest() is None
    assert list(tmp_path.iterdir()) == []


def test_of_two_equal_trainings_on_several_ranks_the_second_is_refused(tmp_path: Path) -> None:
    with (
        checkpoints_of(IDENTITY, tmp_path, keep=1, is_shared=True),
        pytest.raises(BusyError, match="another process runs this same training, also on several devices; wait for it or stop it"),
        checkpoints_of(IDENTITY, tmp_path, keep=1, is_shared=True),
    ):
        pass


def test_a_training_whose_helper_died_says_where_it_goes_on(tmp_path: Path) -> None:
    error = RankError("rank 1 died")
    ended_by(error, tmp_path, 3)
    assert str(error) == "rank 1 died; the same command resumes after epoch 3"


def test_what_was_left_is_removed_after_its_days_and_not_while_it_is_used(tmp_path: Path) -> None:
    left = ended_by(ValueError(), tmp_path, 1)
    with checkpoints_of({"n": 1}, tmp_path, keep=1) as used:
        for folder in (left.folder, used.folder):
            for path in [*folder.iterdir(), folder]:
                os.utime(path, (time.time() - 1.1 * DAY,) * 2)
        with checkpoints_of({"n": 2}, tmp_path, keep=2):
            assert left.folder.exists()
        with checkpoints_of({"n": 2}, tmp_path, keep=1):
            assert not left.folder.exists()
            assert used.folder.exists()


def test_a_training_may_begin_in_the_moment_in_which_another_ends(tmp_path: Path) -> None:
    def start_and_end(trainer: int) -> None:
        for n in range(40):
            with checkpoints_of({"trainer": trainer, "n": n}, tmp_path, keep=1):
                pass

    with ThreadPoolExecutor(4) as pool:
        for ended in [pool.submit(start_and_end, trainer) for trainer in range(4)]:
            ended.result()


def test_half_written_files_of_a_killed_process_are_removed(checkpoints: Checkpoints) -> None:
    (checkpoints.folder / "epoch-000001.partial").write_bytes(b"half")
    Checkpoints(checkpoints.folder, IDENTITY)
    assert files(checkpoints) == {"training.json"}
