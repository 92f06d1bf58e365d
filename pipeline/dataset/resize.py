"""data/raw → data/prepared: preprocess all images, find near-duplicates, split, and pack each split into one array.

In chunks, so that memory holds one chunk per process, and of each image its path, record and near-duplicates."""

import hashlib
from pathlib import Path

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from pipeline.config.errors import DataError
from pipeline.config.schema import Config, Resize
from pipeline.config.splits import SPLITS
from pipeline.config.wording import counted
from pipeline.dataset.data_page import stray, write_data_report
from pipeline.dataset.files import save_array, write_csv
from pipeline.dataset.manifest import Manifest, made_from
from pipeline.dataset.names import shown
from pipeline.dataset.near_duplicates import NONE
from pipeline.dataset.prepare import Chunk, Settings, chunks, records_of
from pipeline.dataset.readers import read
from pipeline.dataset.records import NO_CLASS
from pipeline.dataset.splits import Splits, assign_splits, require_images

IMAGES = ["path", "sha256", "width", "height", "frames", "format", "class", "split", "status", "reason"]
TWINS = ["path", "class", "split", "status", "twin", "twin_class", "twin_split", "twin_status", "same", "correlation"]


class Pack:
    """Writes <split>.npy, uint8 (N, H, W, C), and <split>_labels.npy, int64 (N,), whose length need not be known before."""

    def __init__(self, folder: Path, split: str, size: int, channels: int) -> None:
        self.shape = (size, size, channels)
        self.labels: list[int] = []
        self.label_file = folder / f"{split}_labels.npy"
        self.histogram = np.zeros((channels, 256), np.int64)
        self.digest = hashlib.sha256()
        self.stream = (folder / f"{split}.npy").open("wb")
        self._write_header()

    def append(self, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> None:
        """Add images (N, H, W, C) and their labels (N,)."""
        data = np.ascontiguousarray(images).tobytes()
        self.stream.write(data)
        self.digest.update(data)
        self.labels += labels.tolist()
        for channel, counts in enumerate(self.histogram):
            counts += np.bincount(images[..., channel].ravel(), minlength=256)

    def close(self) -> bytes:
        """Finish both files; return the digest of pixels and labels."""
        self._write_header()
        self.stream.close()
        labels = np.array(self.labels, np.int64)
        save_array(self.label_file, labels)
        self.digest.update(labels.tobytes())
        return self.digest.digest()

    def statistics(self) -> tuple[list[float], list[float]]:
        """Return mean and standard deviation per channel in [0, 1], exact from the histograms."""
        values = np.arange(256) / 255
        weights = self.histogram / self.histogram.sum(axis=1, keepdims=True)
        mean = weights @ values
        std = np.sqrt(np.maximum(weights @ values**2 - mean**2, 0))
        return [round(float(m), 6) for m in mean], [round(max(float(s), 1e-6), 6) for s in std]

    def _write_header(self) -> None:
        # NumPy pads the header so that the first dimension can grow; the final header fits over the first.
        self.stream.seek(0)
        header = {"descr": "|u1", "fortran_order": False, "shape": (len(self.labels), *self.shape)}
        npy.write_array_header_1_0(self.stream, header)


def resize(cfg: Config, raw: Path, prepared: Path, page: Path, scratch: Path) -> Manifest:
    """Write the packed splits, images.csv, twins.csv and manifest.json; return the manifest.

    page: path of the data report. scratch: folder of the chunks, which survive a kill.
    Raises DataError for too few images of a class, a class missing from a split, or too many unusable files."""
    samples = read(raw, cfg.dataset)
    classes = cfg.dataset.classes or sorted({sample.label for sample in samples} - {NO_CLASS})
    with chunks(samples, Settings.of(cfg), scratch, cfg.machine.keep) as files:
        splits = assign_splits(samples, *records_of(files, len(samples)), cfg)
        write_tables(prepared, splits)  # before any refusal, as they give the reasons
        if splits.stray:
            print(stray(splits), flush=True)
        refuse_bad(splits, cfg.resize)
        counts = count(splits, classes)
        require_images(splits, counts, cfg.dataset.split)
        packs = pack(files, splits, classes, prepared, cfg)
    digest = hashlib.sha256("\0".join(classes).encode(errors="surrogatepass"))
    for written in packs:
        digest.update(written.close())
    mean, std = packs[0].statistics()
    manifest = Manifest(
        dataset=cfg.dataset.name,
        classes=classes,
        image_shape=packs[0].shape,
        method=cfg.resize.method,
        mean=mean,
        std=std,
        counts=counts,
        refused=len(splits.refused),
        left_out=len(splits.left_out),
        data_digest=digest.hexdigest(),
        made_from=made_from(cfg),
    )
    manifest.write(prepared)
    write_data_report(page, cfg, manifest, splits, prepared)
    return manifest


def refuse_bad(splits: Splits, resize: Resize) -> None:
    """Raise DataError, naming the first file, if more are unusable than resize.max_refused allows."""
    refused, total = splits.refused, len(splits.samples)
    limit = 0 if resize.on_bad == "stop" else resize.max_refused
    if total and len(refused) / total > limit:
        first = f"{shown(splits.samples[refused[0]].path)}: {splits.reason(refused[0])}"
        allowed = "resize.on_bad=stop" if resize.on_bad == "stop" else f"resize.max_refused={resize.max_refused}"
        raise DataError(
            f"{len(refused):,} of {counted(total, 'file')} can't be used, more than {allowed} allows; the first is {first}. "
            f"Remove them, or {'choose resize.on_bad=skip' if resize.on_bad == 'stop' else 'raise resize.max_refused'}"
        )


def count(splits: Splits, classes: list[str]) -> dict[str, dict[str, int]]:
    """Return split → class → number of images used."""
    counts = {split: dict.fromkeys(classes, 0) for split in SPLITS}
    for sample, split in zip(splits.samples, splits.assigned, strict=True):
        if split != NONE:
            counts[SPLITS[split]][sample.label] += 1
    return counts


def pack(files: list[Path], splits: Splits, classes: list[str], prepared: Path, cfg: Config) -> list[Pack]:
    """Write the images of every split in the samples' order; return the packs, still open, in SPLITS' order."""
    packs = [Pack(prepared, split, cfg.resize.size, cfg.dataset.channels) for split in SPLITS]
    label_of = {name: label for label, name in enumerate(classes)}
    labels = np.array([label_of.get(sample.label, NONE) for sample in splits.samples])
    start = 0
    for path in files:
        chunk = Chunk.read(path)
        used = start + np.flatnonzero(chunk.records["used"])
        for number, written in enumerate(packs):
            here = splits.assigned[used] == number
            written.append(chunk.pixels[here], labels[used[here]])
        start += len(chunk.records)
    return packs


def write_tables(prepared: Path, splits: Splits) -> None:
    """Write images.csv, one row per source image, and twins.csv, one row per pair of near-duplicates."""
    write_csv(prepared / "images.csv", IMAGES, (_row(splits, i) for i in range(len(splits.samples))))
    write_csv(prepared / "twins.csv", TWINS, (_pair(splits, pair) for pair in splits.pairs))


def _row(splits: Splits, i: int) -> list[object]:
    sample, record = splits.samples[i], splits.records[i]
    made = [record["width"], record["height"], record["frames"], record["format"].decode()]
    placed = [sample.label, splits.split_name(i), splits.status(i), splits.reason(i)]
    return [sample.path, record["sha256"].decode(), *made, *placed]


def _pair(splits: Splits, pair: np.void) -> list[object]:
    both = [[splits.samples[i].path, splits.samples[i].label, splits.drawn_name(i), splits.status(i)] for i in (pair["one"], pair["other"])]
    return [*both[0], *both[1], "bytes" if splits.is_exact(pair) else "picture", f"{pair['correlation']:.4f}"]
