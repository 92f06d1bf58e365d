"""Classify photos with the decoding, resizing and normalisation of the training."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.bundle import Bundle
from pipeline.dataset.decode import preprocess
from pipeline.dataset.files import Refused, contents
from pipeline.dataset.names import on_one_line, shown
from pipeline.dataset.normalise import middle
from pipeline.dataset.photos import Photo
from pipeline.inference import predict_images

Image = NDArray[np.uint8]  # (H, W, C)


@dataclass(frozen=True)
class Prediction:
    """A classified photo."""

    photo: Photo
    label: str  # the most probable class
    probabilities: list[float]  # of all classes, sum 1

    def order(self) -> list[int]:
        """Return the numbers of the classes, the most probable first."""
        found: list[int] = np.argsort(-np.array(self.probabilities), kind="stable").tolist()
        return found

    def row(self, classes: list[str]) -> list[str]:
        """Return the cells of a table's row, as in `header`."""
        return [str(self.photo.path), self.label, f"{max(self.probabilities):.6f}", *(f"{p:.6f}" for p in self.probabilities), ""]

    def line(self, classes: list[str], top: int) -> str:
        """Return a line to print, with the probabilities of all classes in order, or the `top` largest of more."""
        order = range(len(classes)) if len(classes) <= top else self.order()[:top]
        several = "  ".join(f"{shown(classes[i])} {self.probabilities[i]:.3f}" for i in order)
        return f"{on_one_line(str(self.photo.path))}  {shown(self.label)}  {max(self.probabilities):.3f}   ({several})"


@dataclass(frozen=True)
class Unreadable:
    """A file that could not be decoded, with the reason."""

    photo: Photo
    reason: str

    def row(self, classes: list[str]) -> list[str]:
        """Return the cells of a table's row, as in `header`."""
        return [str(self.photo.path), "", "", *("" for _ in classes), self.reason]

    def line(self, classes: list[str], top: int) -> str:
        """Return a line to print."""
        return f"{on_one_line(str(self.photo.path))}  not read: {self.reason}"


def header(classes: list[str]) -> list[str]:
    """Return the column names of `row`: path, class, probability, p(class) of each class, reason."""
    return ["path", "class", "probability", *(f"p({name})" for name in classes), "reason"]


def predict(bundle: Bundle, photos: Sequence[Photo], batch: int, tta: str) -> Iterator[Prediction | Unreadable]:
    """Yield a prediction or the reason for failure for each photo, in order; `batch` photos are in memory at a time.

    tta: test-time augmentation, as for `averaged_scores`."""
    for start in range(0, len(photos), batch):
        yield from _predict_batch(bundle, photos[start : start + batch], tta)


def _predict_batch(bundle: Bundle, photos: Sequence[Photo], tta: str) -> Iterator[Prediction | Unreadable]:
    found = [_prepared_or_reason(bundle, photo) for photo in photos]
    images = [image for image in found if not isinstance(image, str)]
    scores = iter(predict_images(bundle, np.stack(images), len(images), tta).tolist() if images else [])  # of (B, classes)
    for photo, image in zip(photos, found, strict=True):
        if isinstance(image, str):
            yield Unreadable(photo, image)
        else:
            probabilities = next(scores)
            yield Prediction(photo, bundle.manifest.classes[int(np.argmax(probabilities))], probabilities)


def _prepared_or_reason(bundle: Bundle, photo: Photo) -> Image | str:
    try:
        return _prepared(bundle, photo.read())
    except Refused as reason:
        return str(reason)


def read_photo(bundle: Bundle, path: Path) -> Image:
    """Return a photo as the network sees it. Raises Refused if it can't be read."""
    seen: Image = middle(_prepared(bundle, contents(path))[None], bundle.predictor().side)[0]
    return seen.copy()  # torch wants to be able to write


def _prepared(bundle: Bundle, data: bytes) -> Image:
    """Return an image file's pixels as data/prepared would hold them. Raises Refused if they can't be read."""
    manifest = bundle.manifest
    return preprocess(data, manifest.channels, bundle.decoding(), manifest.size, manifest.method)[0]
