"""data/raw → data/prepared: preprocess all images, find near-duplicates, split, and pack each split into one array.

Images are processed in chunks: memory holds one chunk per process, plus the path, record and near-duplicates of each image."""

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

IMAGE_COLUMNS = ["path", "sha256", "width", "height", "frames", "format", "class", "split", "status", "reason"]
TWIN_COLUMNS = ["path", "class", "split", "status", "twin", "twin_class", "twin_split", "twin_status", "same", "correlation"]


class SplitWriter:
    """Writes <split>.npy, uint8 (N, H, W, C), and <split>_labels.npy, int64 (N,), chunk by chunk, without knowing N beforehand.

    size: side in pixels."""

    def __init__(self, folder: Path, split: str, size: int, channels: int) -> None:
        self.shape = (size, size, channels)
        self.labels: list[int] = []
        self.label_file = folder / f"{split}_labels.npy"
        self.histogram = np.zeros((channels, 256), np.int64)
        self.digest = hashlib.sha256()
        self.stream = (folder / f"{split}.npy").open("wb")
        self._write_header()

    def append(self, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> None:
        """Write images (N, H, W, C) and their labels (N,)."""
        data = np.ascontiguousarray(images).tobytes()
        self.stream.write(data)
        self.digest.update(data)
        self.labels += labels.tolist()
        for channel, counts in enumerate(self.histogram):
            counts += np.bincount(images[..., channel].ravel(), minlength=256)

    def close(self) -> bytes:
        """Finish both files; return the sha256 of pixels and labels, 32 bytes."""
        self._write_header()
        self.stream.close()
        labels = np.array(self.labels, np.int64)
        save_array(self.label_file, labels)
        self.digest.update(labels.tobytes())
        return self.digest.digest()

    def statistics(self) -> tuple[list[float], list[float]]:
        """Return the mean and standard deviation of each channel, in [0, 1], computed exactly from the histograms, to 6 decimals."""
        values = np.arange(256) / 255
        weights = self.histogram / self.histogram.sum(axis=1, keepdims=True)
        mean = weights @ values
        std = np.sqrt(np.maximum(weights @ values**2 - mean**2, 0))
        return [round(float(m), 6) for m in mean], [round(max(float(s), 1e-6), 6) for s in std]

    def _write_header(self) -> None:
        # NumPy pads the header for a growing first dimension, so the final one has the length of the first and overwrites it.
        self.stream.seek(0)
        header = {"descr": "|u1", "fortran_order": False, "shape": (len(self.labels), *self.shape)}
        npy.write_array_header_1_0(self.stream, header)


def resize(cfg: Config, raw: Path, prepared: Path, page: Path, scratch: Path) -> Manifest:
    """Write the packed splits, images.csv, twins.csv, manifest.json and the data report; return the manifest.

    page: path of the data report. scratch: folder of the chunks, which survive a kill so that the next run resumes.
    Raises DataError for too few images of a class, a class missing from a split, or too many unusable files."""
    samples = read(raw, cfg.dataset)
    classes = cfg.dataset.classes or sorted({sample.label for sample in samples} - {NO_CLASS})
    with chunks(samples, Settings.of(cfg), scratch, cfg.machine.keep) as files:
        splits = assign_splits(samples, *records_of(files, len(samples)), cfg)
        write_tables(prepared, splits)  # before any error is raised, as they give the reasons
        if splits.stray:
            print(stray(splits), flush=True)
        require_usable(splits, cfg.resize)
        counts = count_images(splits, classes)
        require_images(splits, counts, cfg.dataset.split)
        writers = pack(files, splits, classes, prepared, cfg)
    digest = hashlib.sha256("\0".join(classes).encode(errors="surrogatepass"))
    for writer in writers:
        digest.update(writer.close())
    mean, std = writers[0].statistics()  # of the train split
    manifest = Manifest(
        dataset=cfg.dataset.name,
        classes=classes,
        image_shape=writers[0].shape,
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


def require_usable(splits: Splits, config: Resize) -> None:
    """Raise DataError, naming the first unusable file, if their share exceeds resize.max_refused, or if any is with on_bad=stop."""
    refused, total = splits.refused, len(splits.samples)
    if config.on_bad == "stop":
        limit, allowed, remedy = 0.0, "resize.on_bad=stop", "choose resize.on_bad=skip"
    else:
        limit, allowed, remedy = config.max_refused, f"resize.max_refused={config.max_refused}", "raise resize.max_refused"
    if total and len(refused) / total > limit:
        first = f"{shown(splits.samples[refused[0]].path)}: {splits.reason(refused[0])}"
        raise DataError(
            f"{len(refused):,} of {counted(total, 'file')} can't be used, more than {allowed} allows; the first is {first}. "
            f"Remove them, or {remedy}"
        )


def count_images(splits: Splits, classes: list[str]) -> dict[str, dict[str, int]]:
    """Return split → class → number of images used."""
    counts = {split: dict.fromkeys(classes, 0) for split in SPLITS}
    for sample, assigned in zip(splits.samples, splits.assigned, strict=True):
        if assigned != NONE:
            counts[SPLITS[assigned]][sample.label] += 1
    return counts


def pack(files: list[Path], splits: Splits, classes: list[str], prepared: Path, cfg: Config) -> list[SplitWriter]:
    """Write the images of every split in the order of the samples; return the writers, still open, in the order of SPLITS.

    files: the chunks, in the order of the samples."""
    writers = [SplitWriter(prepared, split, cfg.resize.size, cfg.dataset.channels) for split in SPLITS]
    label_of = {name: label for label, name in enumerate(classes)}
    labels = np.array([label_of.get(sample.label, NONE) for sample in splits.samples])
    start = 0
    for path in files:
        chunk = Chunk.read(path)
        used = start + np.flatnonzero(chunk.records["used"])  # sample numbers of chunk.pixels
        for number, writer in enumerate(writers):
            in_split = splits.assigned[used] == number
            writer.append(chunk.pixels[in_split], labels[used[in_split]])
        start += len(chunk.records)
    return writers


def write_tables(prepared: Path, splits: Splits) -> None:
    """Write images.csv, one row per source image, and twins.csv, one row per pair of near-duplicates."""
    write_csv(prepared / "images.csv", IMAGE_COLUMNS, (_image_row(splits, i) for i in range(len(splits.samples))))
    write_csv(prepared / "twins.csv", TWIN_COLUMNS, (_twin_row(splits, pair) for pair in splits.pairs))


def _image_row(splits: Splits, i: int) -> list[object]:
    sample, record = splits.samples[i], splits.records[i]
    file = [sample.path, record["sha256"].decode(), record["width"], record["height"], record["frames"], record["format"].decode()]
    return [*file, sample.label, splits.split_name(i), splits.status(i), splits.reason(i)]


def _twin_row(splits: Splits, pair: np.void) -> list[object]:
    one, other = (
        [splits.samples[i].path, splits.samples[i].label, splits.drawn_name(i), splits.status(i)] for i in (pair["one"], pair["other"])
    )
    return [*one, *other, "bytes" if splits.is_exact(pair) else "picture", f"{pair['correlation']:.4f}"]
