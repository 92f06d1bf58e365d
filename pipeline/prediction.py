"""Classify photos with the decoding, resizing and normalisation of the training."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.bundle import Bundle
from pipeline.dataset.decode import preprocess
from pipeline.dataset.files import Refused, contents
from pipeline.dataset.names import on_one_line, shown
from pipeline.dataset.normalise import middle
from pipeline.inference import predict_images

Image = NDArray[np.uint8]  # (H, W, C)


@dataclass(frozen=True)
class Prediction:
    """A classified photo."""

    path: Path
    label: str  # the most probable class
    probabilities: list[float]  # of all classes, sum 1

    def row(self, classes: list[str]) -> list[str]:
        """Return the cells of a table's row, as in `header`."""
        return [str(self.path), self.label, f"{max(self.probabilities):.6f}", *(f"{p:.6f}" for p in self.probabilities), ""]

    def line(self, classes: list[str], top: int) -> str:
        """Return a line to print, with the probabilities of all classes in order, or the `top` largest of more."""
        order = range(len(classes)) if len(classes) <= top else np.argsort(-np.array(self.probabilities), kind="stable")[:top]
        several = "  ".join(f"{shown(classes[i])} {self.probabilities[i]:.3f}" for i in order)
        return f"{on_one_line(str(self.path))}  {shown(self.label)}  {max(self.probabilities):.3f}   ({several})"


@dataclass(frozen=True)
class Unreadable:
    """A file that could not be decoded, with the reason."""

    path: Path
    reason: str

    def row(self, classes: list[str]) -> list[str]:
        """Return the cells of a table's row, as in `header`."""
        return [str(self.path), "", "", *("" for _ in classes), self.reason]

    def line(self, classes: list[str], top: int) -> str:
        """Return a line to print."""
        return f"{on_one_line(str(self.path))}  not read: {self.reason}"


def header(classes: list[str]) -> list[str]:
    """Return the column names of `row`: path, class, probability, p(class) of each class, reason."""
    return ["path", "class", "probability", *(f"p({name})" for name in classes), "reason"]


def predict(bundle: Bundle, paths: list[Path], batch: int, tta: str) -> Iterator[Prediction | Unreadable]:
    """Yield a prediction or the reason for failure for each file, in order; `batch` files are in memory at a time.

    tta: test-time augmentation, as for `averaged_scores`."""
    for start in range(0, len(paths), batch):
        yield from _predict_batch(bundle, paths[start : start + batch], tta)


def _predict_batch(bundle: Bundle, paths: list[Path], tta: str) -> Iterator[Prediction | Unreadable]:
    images, reasons = {}, {}
    for path in paths:
        try:
            images[path] = _prepared(bundle, path)
        except Refused as reason:
            reasons[path] = str(reason)
    probabilities = {}
    if images:
        found = predict_images(bundle, np.stack(list(images.values())), len(images), tta)  # (B, classes)
        probabilities = dict(zip(images, found.tolist(), strict=True))
    for path in paths:
        if path in reasons:
            yield Unreadable(path, reasons[path])
        else:
            scores = probabilities[path]
            yield Prediction(path, bundle.manifest.classes[int(np.argmax(scores))], scores)


def read_photo(bundle: Bundle, path: Path) -> Image:
    """Return a photo as the network sees it. Raises Refused if it can't be read."""
    seen: Image = middle(_prepared(bundle, path)[None], bundle.predictor().side)[0]
    return seen.copy()  # torch wants to be able to write


def _prepared(bundle: Bundle, path: Path) -> Image:
    """Return a photo as data/prepared would hold it. Raises Refused if it can't be read."""
    manifest = bundle.manifest
    return preprocess(contents(path), manifest.channels, bundle.decoding(), manifest.size, manifest.method)[0]
