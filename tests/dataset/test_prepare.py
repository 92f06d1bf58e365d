"""Finished chunks outlive a kill, and only what would be made again just so is taken from them."""

import copy
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from filelock import FileLock
from PIL import Image

from pipeline.config.errors import DataError
from pipeline.config.splits import ALL
from pipeline.dataset import prepare as module
from pipeline.dataset.files import DAY
from pipeline.dataset.prepare import Chunk, Settings, chunks, make_chunk, records_of
from pipeline.dataset.records import NO_CLASS, File, Sample
from tests.conftest import MakeConfig
from tests.project import ROOT, environment

KEEP = 14  # days


@pytest.fixture
def settings(config: MakeConfig) -> Settings:
    return Settings.of(config("dataset=folder", "resize.size=8"))


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    """Ten photos, of which one is none, and a note beside the classes."""
    rng = np.random.default_rng(0)
    found = []
    for i in range(10):
        path = tmp_path / f"{i}.png"
        Image.fromarray(rng.integers(0, 256, (12, 10 + i, 3), dtype=np.uint8)).save(path)
        found.append(Sample(path.name, "cat", ALL, File(tmp_path, path.name)))
    (tmp_path / "3.png").write_bytes(b"no photo")
    (tmp_path / "notes.txt").write_text("cats")
    return [*found, Sample("notes.txt", NO_CLASS, ALL, File(tmp_path, "notes.txt"), "not in a class folder")]


def test_a_chunk_read_back_holds_records_reasons_and_the_pixels_of_what_can_be_used(
    samples: list[Sample], settings: Settings, tmp_path: Path
) -> None:
    chunk = Chunk.read(make_chunk(samples, settings, tmp_path))
    assert chunk.reasons == ["", "", "", "not an image", *[""] * 6, "not in a class folder"]
    assert chunk.records["used"].tolist() == [reason == "" for reason in chunk.reasons]
    assert chunk.records["width"].tolist() == [10, 11, 12, 0, *range(14, 20), 0]
    assert chunk.pixels.shape == (9, 8, 8, 3)


def test_a_finished_chunk_is_not_made_again(samples: list[Sample], settings: Settings, tmp_path: Path) -> None:
    path = make_chunk(samples, settings, tmp_path)
    made = path.stat().st_mtime_ns
    assert make_chunk(samples, settings, tmp_path) == path
    assert path.stat().st_mtime_ns == made


def test_another_file_or_another_class_for_it_makes_another_chunk(samples: list[Sample], settings: Settings, tmp_path: Path) -> None:
    first = make_chunk(samples, settings, tmp_path)
    unlabelled = [replace(samples[0], label=NO_CLASS, why="of no class"), *samples[1:]]
    assert make_chunk(unlabelled, settings, tmp_path) != first
    Image.new("RGB", (5, 5)).save(tmp_path / samples[0].path)
    assert make_chunk(samples, settings, tmp_path) != first


def test_other_settings_other_code_and_other_libraries_have_another_folder(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    digests = {settings.digest(), replace(settings, size=16).digest(), replace(settings, method="crop").digest()}
    background = copy.deepcopy(settings.decode)
    background.background = [0, 0, 0]
    digests.add(replace(settings, decode=background).digest())
    monkeypatch.setattr(module, "version", lambda name: "0.0")
    digests.add(settings.digest())
    monkeypatch.setattr(module, "sha256", lambda path: "edited")
    digests.add(settings.digest())
    assert len(digests) == 6


def test_chunks_stay_after_an_error_and_go_when_all_is_done(samples: list[Sample], settings: Settings, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    with pytest.raises(KeyboardInterrupt), chunks(samples, settings, scratch, KEEP):
        raise KeyboardInterrupt
    assert len(list(scratch.glob("*/*.npz"))) == 1
    with chunks(samples, settings, scratch, KEEP) as files:
        assert [path.exists() for path in files] == [True]
    assert list(scratch.glob("*/*")) == []


def test_what_killed_runs_left_long_ago_is_removed_and_nothing_else(samples: list[Sample], settings: Settings, tmp_path: Path) -> None:
    scratch, long_ago = tmp_path / "scratch", time.time() - (KEEP + 1) * DAY
    for name in ("old", "held", "young"):
        (scratch / name).mkdir(parents=True)
        (scratch / name / "chunk.npz").write_bytes(b"")
        if name != "young":
            os.utime(scratch / name / "chunk.npz", (long_ago, long_ago))
            os.utime(scratch / name, (long_ago, long_ago))
    with FileLock(scratch / "held.lock"), chunks(samples, settings, scratch, KEEP):
        assert {path.name for path in scratch.iterdir() if path.is_dir()} == {"held", "young", settings.digest()}


def test_two_experiments_that_prepare_the_same_at_once_both_get_all_their_chunks(
    samples: list[Sample], settings: Settings, tmp_path: Path
) -> None:
    def prepared_by_another() -> int:
        with chunks(samples, settings, tmp_path / "chunks", KEEP) as files:
            return sum(len(Chunk.read(path).reasons) for path in files)

    with ThreadPoolExecutor(1) as other:
        with chunks(samples, settings, tmp_path / "chunks", KEEP):
            found = other.submit(prepared_by_another)
            time.sleep(0.5)  # until the other waits
        assert found.result(timeout=30) == len(samples)


@pytest.mark.parametrize("few", [0, 100])
def test_records_come_in_the_items_order_from_any_number_of_processes(
    few: int, samples: list[Sample], settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FEW", few)
    monkeypatch.setattr(module, "CHUNK", 3)
    with chunks(samples, settings, tmp_path / "scratch", KEEP) as files:
        assert len(files) == 4
        records, reasons = records_of(files, len(samples))
    assert records["width"].tolist() == [10, 11, 12, 0, *range(14, 20), 0]
    assert reasons[3] == "not an image"


def test_a_decoder_that_dies_is_told_with_the_files_that_it_was_at(
    samples: list[Sample], settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FEW", 0)
    monkeypatch.setattr(module, "make_chunk", dies)
    with (
        pytest.raises(
            DataError, match="a process died while decoding one of the files from 0.png to notes.txt: .* find the one by bisection"
        ),
        chunks(samples, settings, tmp_path / "scratch", KEEP),
    ):
        pass


def dies(samples: list[Sample], settings: Settings, folder: Path) -> Path:
    import os

    os._exit(1)


ENDLESS = """
import os, sys, time
from multiprocessing import get_context
from concurrent.futures import ProcessPoolExecutor
from pipeline.dataset.prepare import _begin_worker

if __name__ == "__main__":
    with ProcessPoolExecutor(2, mp_context=get_context("forkserver"), initializer=_begin_worker, initargs=(os.getpid(),)) as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        time.sleep(600)
"""


def test_workers_end_with_the_process_that_they_work_for_also_when_it_is_killed(tmp_path: Path) -> None:
    (tmp_path / "endless.py").write_text(ENDLESS)
    process = subprocess.Popen(
        [sys.executable, tmp_path / "endless.py"], env=environment() | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    worker = psutil.Process(int(process.stdout.readline()))
    process.kill()
    process.wait()
    worker.wait(20)
    process.stdout.close()
