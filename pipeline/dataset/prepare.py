"""Preprocess images in parallel into chunks on disk, which survive a kill; memory holds one chunk per process.

A chunk's path contains digests of everything that determines it, so the next run either reuses it as it is or makes another."""

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.config.errors import DataError
from pipeline.config.parent import end_with
from pipeline.config.schema import Config, Decode
from pipeline.dataset.codecs import with_channels
from pipeline.dataset.decode import Decoded, preprocess
from pipeline.dataset.files import Refused, lock_of, remove_old, sha256
from pipeline.dataset.geometry import fit, scaled
from pipeline.dataset.progress import IMAGES, Progress
from pipeline.dataset.records import NO_CLASS, Sample

CHUNK = 64  # images: the most that a kill loses per process
FEW = 256  # images: up to so many are done sooner than processes start
EVERY = 5  # seconds between lines of progress
LIBRARIES = ("numpy", "opencv-python-headless", "pillow", "simplejpeg")  # whose other versions may give other pixels
SIGNATURE = 16  # pixels, height = width, of the gray thumbnail by which images are compared

RECORD = np.dtype(  # of one source image: 343 bytes
    [
        ("sha256", "S64"),  # of the file's bytes, or of the pixels in a packed file
        ("width", np.int32),  # of the upright source, in pixels; 0 if it was refused
        ("height", np.int32),
        ("frames", np.int32),  # in the file; the first is used
        ("format", "S8"),  # by content; empty for pixels from a packed file
        ("used", np.bool_),  # not refused
        ("signature", np.uint8, (SIGNATURE, SIGNATURE)),
        ("tint", np.uint8, 2),  # the mean colour's Cb and Cr (ITU-R 601); 128 is gray
    ]
)


@dataclass(frozen=True)
class Settings:
    """What, beside the file, determines an image's pixels."""

    decode: Decode
    channels: int
    size: int
    method: str

    @classmethod
    def of(cls, cfg: Config) -> "Settings":
        """Return the settings in a config."""
        return cls(cfg.decode, cfg.dataset.channels, cfg.resize.size, cfg.resize.method)

    def digest(self) -> str:
        """Return a digest of the settings, and of the code and the library versions that decode and resize."""
        code = {path.name: sha256(path) for path in sorted(Path(__file__).parent.glob("*.py"))}
        versions = {name: version(name) for name in LIBRARIES}
        return hashlib.sha256(json.dumps([asdict(self), code, versions]).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Chunk:
    """Up to CHUNK source images, preprocessed."""

    records: NDArray[np.void]  # (n,) of RECORD
    reasons: list[str]  # n: why an image was refused; empty where it was not
    pixels: NDArray[np.uint8]  # (used, size, size, C): of those that were not

    def write(self, path: Path) -> None:
        """Write an .npz file atomically."""
        part = path.with_suffix(f".{os.getpid()}")
        with part.open("wb") as stream:
            np.savez(stream, records=self.records, pixels=self.pixels, reasons=np.array(self.reasons, np.str_))
        part.replace(path)

    @classmethod
    def read(cls, path: Path) -> "Chunk":
        """Read a file written by `write`."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(arrays["records"], arrays["reasons"].tolist(), arrays["pixels"])


@contextmanager
def chunks(samples: list[Sample], settings: Settings, scratch: Path, keep: float) -> Iterator[list[Path]]:
    """Preprocess all samples and yield the chunks' files in the samples' order. On success they are removed at the end.

    keep: days after which the chunks of other settings, left by a kill, are removed. Raises DataError if a decoder crashes."""
    folder = scratch / settings.digest()
    scratch.mkdir(parents=True, exist_ok=True)
    with lock_of(folder, is_waiting=True):  # another experiment may prepare the same and then remove the folder
        remove_old(scratch, keep)
        folder.mkdir(exist_ok=True)
        yield list(_chunk_files(samples, settings, folder))
        shutil.rmtree(folder)


def _chunk_files(samples: list[Sample], settings: Settings, folder: Path) -> Iterator[Path]:
    """Make the chunks, in parallel if there are many; yield their files in the samples' order. Raises DataError if a decoder crashes."""
    progress = Progress("resizing", len(samples), IMAGES, EVERY)
    parts = [samples[start : start + CHUNK] for start in range(0, len(samples), CHUNK)]
    make = partial(make_chunk, settings=settings, folder=folder)
    if len(samples) <= FEW:
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
            begun = samples[progress.done : progress.done + 2 * CHUNK * (os.cpu_count() or 1)]  # in a process, or next in line for one
            raise DataError(
                f"a process died while decoding one of the files from {begun[0].path} to {begun[-1].path}: out of memory, or by "
                "a bug in the decoder. What is finished is kept; repeat, or move these files away and find the one by bisection"
            ) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # on a signal or an error, finish only what is running


def _begin_worker(parent: int) -> None:
    cv2.setNumThreads(0)  # there is a process per core already
    end_with(parent)


def make_chunk(samples: list[Sample], settings: Settings, folder: Path) -> Path:
    """Return the file of the chunk of these samples, which is made if it does not exist."""
    digests = [_digest(sample) for sample in samples]
    identity = [[*digest, sample.label == NO_CLASS, sample.why] for digest, sample in zip(digests, samples, strict=True)]
    path = folder / f"{hashlib.sha256(json.dumps(identity).encode()).hexdigest()}.npz"
    if not path.exists():
        _preprocessed(samples, digests, settings).write(path)
    return path


def _digest(sample: Sample) -> tuple[str, str]:
    """Return the sha256 of a sample's bytes, or an empty one and why they can't be read."""
    if isinstance(sample.content, np.ndarray):
        return hashlib.sha256(sample.content.tobytes()).hexdigest(), ""
    try:
        return sample.content.digest(), ""
    except Refused as reason:
        return "", str(reason)


def _preprocessed(samples: list[Sample], digests: list[tuple[str, str]], settings: Settings) -> Chunk:
    """Return the chunk of samples whose digests are given, each with why it can't be read, or an empty string."""
    records, reasons = np.zeros(len(samples), RECORD), [""] * len(samples)
    pixels = []
    for i, (sample, (digest, unreadable)) in enumerate(zip(samples, digests, strict=True)):
        if sample.label == NO_CLASS or unreadable:
            reasons[i] = sample.why or unreadable
        else:
            try:
                records[i], image = record_and_pixels(sample, settings)
                pixels.append(image)
            except Refused as reason:
                reasons[i] = str(reason)
        records[i]["sha256"] = digest.encode()
    shape = (len(pixels), settings.size, settings.size, settings.channels)
    return Chunk(records, reasons, np.array(pixels, np.uint8).reshape(shape))


def record_and_pixels(sample: Sample, settings: Settings) -> tuple[NDArray[np.void], NDArray[np.uint8]]:
    """Return a sample's RECORD () without its sha256, and its pixels (size, size, channels). Raises Refused."""
    record = np.zeros((), RECORD)
    image, source = _resized(sample, settings)
    # Without the bars of letterboxes, which would make unrelated images alike.
    compared = fit(source.pixels, settings.size, "stretch", source.extent) if settings.method == "letterbox" else image
    record["used"], record["signature"], record["tint"] = True, signature(compared), tint(compared)
    record["height"], record["width"] = source.height, source.width
    record["frames"], record["format"] = source.frames, source.format
    return record, image


def _resized(sample: Sample, settings: Settings) -> tuple[NDArray[np.uint8], Decoded]:
    """Return a sample's resized pixels and the image that they were made of."""
    size, method, channels = settings.size, settings.method, settings.channels
    if not isinstance(sample.content, np.ndarray):
        return preprocess(sample.content.read_bytes(), channels, settings.decode, size, method)
    height, width = sample.content.shape[:2]
    pixels = with_channels(sample.content.reshape(height, width, -1), channels)
    return fit(pixels, size, method), Decoded(pixels, width, height, reduced=1, format="", frames=1)


def signature(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the (16, 16) gray thumbnail of (H, W, C), which re-encoding, resizing or a shift by a pixel hardly change."""
    return scaled(with_channels(image, 1), SIGNATURE, SIGNATURE, image.shape[:2])[..., 0]


def tint(image: NDArray[np.uint8]) -> list[int]:
    """Return Cb and Cr of the mean colour of (H, W, C), which tell apart the same pattern in two colours."""
    if image.shape[2] == 1:
        return [128, 128]
    mean = np.round(cv2.mean(image)[:3]).astype(np.uint8)  # forty times faster than numpy's
    _, cr, cb = cv2.cvtColor(mean[None, None], cv2.COLOR_RGB2YCrCb)[0, 0]
    return [int(cb), int(cr)]


def records_of(files: list[Path], images: int) -> tuple[NDArray[np.void], list[str]]:
    """Return the RECORDs of all samples, (images,), and why each was refused, or an empty string. files: of the chunks, in order."""
    records = np.empty(images, RECORD)
    reasons: list[str] = []
    for path in files:
        with np.load(path, allow_pickle=False) as arrays:  # not Chunk.read, which would read the pixels too
            chunk = arrays["records"]
            records[len(reasons) : len(reasons) + len(chunk)] = chunk
            reasons += map(sys.intern, arrays["reasons"].tolist())  # few distinct ones: saves memory
    return records, reasons
