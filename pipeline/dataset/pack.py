"""One split as two .npy files: images that are appended and read by memory map, and their labels."""

import hashlib
from pathlib import Path

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray


class Pack:
    """Writes <split>.npy, uint8 (N, H, W, C), and <split>_labels.npy, int64 (N,)."""

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
        np.save(self.label_file, labels)
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
        # numpy leaves room in the header for the first dimension to grow, so the final one fits over the first.
        self.stream.seek(0)
        header = {"descr": "|u1", "fortran_order": False, "shape": (len(self.labels), *self.shape)}
        npy.write_array_header_1_0(self.stream, header)
