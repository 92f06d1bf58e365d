"""Source images → chunks on disk, in parallel: what is finished survives a kill, and memory holds a chunk per process.

A chunk's name says everything that decided it, so the next run takes it as it is or not at all."""

import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from threading import Thread

import cv2
import numpy as np
import psutil
from numpy.typing import NDArray

from pipeline.config.errors import DataError
from pipeline.config.schema import Config, Decode
from pipeline.dataset.files import sha256
from pipeline.dataset.items import Item
from pipeline.dataset.leftovers import lock_of, remove_old
from pipeline.dataset.prepared import RECORD, Loaded, load, prepare
from pipeline.dataset.progress import IMAGES, Progress

CHUNK = 64  # images: the most that a kill loses per process
FEW = 256  # images that are done sooner than processes have started
EVERY = 5  # seconds between two lines of progress
LIBRARIES = ("numpy", "opencv-python-headless", "pillow", "simplejpeg")  # other versions may give other pixels


@dataclass(frozen=True)
class Settings:
    """What decides an image's pixels."""

    decode: Decode
    channels: int
    size: int
    method: str

    @classmethod
    def of(cls, cfg: Config) -> "Settings":
        return cls(cfg.decode, cfg.dataset.channels, cfg.resize.size, cfg.resize.method)

    def digest(self) -> str:
        """Return a digest of these, of the code that decodes and resizes, and of the libraries that do."""
        code = {path.name: sha256(path) for path in sorted(Path(__file__).parent.glob("*.py"))}
        versions = {name: version(name) for name in LIBRARIES}
        return hashlib.sha256(json.dumps([asdict(self), code, versions]).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Chunk:
    """Some images after decoding and resizing."""

    records: NDArray[np.void]  # (n,) of RECORD
    reasons: list[str]  # n: why it was refused, or ""
    pixels: NDArray[np.uint8]  # (used, size, size, C)

    def write(self, path: Path) -> None:
        part = path.with_suffix(f".{os.getpid()}")
        with part.open("wb") as stream:
            np.savez(stream, records=self.records, pixels=self.pixels, reasons=np.array(self.reasons, np.str_))
        part.replace(path)

    @classmethod
    def read(cls, path: Path) -> "Chunk":
        with np.load(path, allow_pickle=False) as arrays:
            return cls(arrays["records"], arrays["reasons"].tolist(), arrays["pixels"])


@contextmanager
def chunks(items: list[Item], settings: Settings, scratch: Path, keep: float) -> Iterator[list[Path]]:
    """Prepare all images and give the chunks' files, in the items' order; they are removed at the end, but kept by a kill.

    keep: days after which those of other settings, which nobody makes any more, are removed. Raises DataError where a decoder dies."""
    folder = scratch / settings.digest()
    scratch.mkdir(parents=True, exist_ok=True)
    with lock_of(folder, is_waiting=True):  # another experiment may prepare the same, and removes the folder at its end
        remove_old(scratch, keep)
        folder.mkdir(exist_ok=True)
        yield list(_made(items, settings, folder))
        shutil.rmtree(folder)


def _made(items: list[Item], settings: Settings, folder: Path) -> Iterator[Path]:
    progress = Progress("resizing", len(items), IMAGES, EVERY)
    parts = [items[start : start + CHUNK] for start in range(0, len(items), CHUNK)]
    make = partial(make_chunk, settings=settings, folder=folder)
    if len(items) <= FEW:
        yield from map(make, parts)
        return
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])  # once for all processes
    with ProcessPoolExecutor(os.cpu_count(), mp_context=context, initializer=_begin_worker, initargs=(os.getpid(),)) as pool:
        try:
            for path, part in zip(pool.map(make, parts), parts, strict=True):
                progress.add(len(part))
                yield path
        except BrokenProcessPool:
            begun = items[progress.done : progress.done + 2 * CHUNK * (os.cpu_count() or 1)]  # what the pool was given
            raise DataError(
                f"a process died while it decoded one of the files from {begun[0].path} to {begun[-1].path}: by lack of memory, or by "
                "a fault of the decoder. What is finished is kept; repeat, or move these files away and find the one by halves"
            ) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # a signal, an error: no more than what is begun


def _begin_worker(main: int) -> None:
    cv2.setNumThreads(0)  # each process has a core
    Thread(target=_end_with, args=(main,), daemon=True).start()


def _end_with(main: int) -> None:
    """End this process when the one that it works for is gone: killed outright, that can't tell its workers."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(main)
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:  # that nobody takes note of in some containers
            time.sleep(0.5)
    os._exit(1)


def make_chunk(items: list[Item], settings: Settings, folder: Path) -> Path:
    """Return the file of the chunk of these images, made if it is not there."""
    loaded = [load(item) for item in items]
    named = json.dumps([[read.sha256, read.why, not item.label, item.why] for read, item in zip(loaded, items, strict=True)])
    path = folder / f"{hashlib.sha256(named.encode()).hexdigest()}.npz"
    if not path.exists():
        _prepared(items, loaded, settings).write(path)
    return path


def _prepared(items: list[Item], loaded: list[Loaded], settings: Settings) -> Chunk:
    records, reasons = np.zeros(len(items), RECORD), [""] * len(items)
    pixels = []
    for i, (item, read) in enumerate(zip(items, loaded, strict=True)):
        records[i], found = prepare(item, read, settings.decode, settings.channels, settings.size, settings.method)
        if isinstance(found, str):
            reasons[i] = found
        else:
            pixels.append(found)
    shape = (len(pixels), settings.size, settings.size, settings.channels)
    return Chunk(records, reasons, np.array(pixels, np.uint8).reshape(shape))


def records_of(files: list[Path], images: int) -> tuple[NDArray[np.void], list[str]]:
    """Return the records of all images and the reasons for which some can't be used, in the items' order."""
    records, reasons = np.empty(images, RECORD), list[str]()
    for path in files:
        with np.load(path, allow_pickle=False) as arrays:
            records[len(reasons) :][: len(arrays["records"])] = arrays["records"]
            reasons += map(sys.intern, arrays["reasons"].tolist())  # a few texts, of which each may stand for thousands
    return records, reasons
