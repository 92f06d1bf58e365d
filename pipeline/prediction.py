"""Photos → predictions, by the decoder, the resizing and the normalisation that the network was trained with."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.answers import predicted
from pipeline.bundle import Bundle
from pipeline.dataset.names import on_one_line, shown
from pipeline.dataset.reading import contents
from pipeline.dataset.refused import Refused
from pipeline.dataset.stored import stored


@dataclass(frozen=True)
class Prediction:
    path: Path
    label: str  # the most probable class
    probabilities: list[float]  # of all classes, sum 1

    def row(self, classes: list[str]) -> list[str]:
        return [str(self.path), self.label, f"{max(self.probabilities):.6f}", *(f"{p:.6f}" for p in self.probabilities), ""]

    def line(self, classes: list[str], top: int) -> str:
        """Return the answer with the probabilities of all classes in their order, or with the `top` largest where there are more."""
        order = range(len(classes)) if len(classes) <= top else np.argsort(-np.array(self.probabilities), kind="stable")[:top]
        several = "  ".join(f"{shown(classes[i])} {self.probabilities[i]:.3f}" for i in order)
        return f"{on_one_line(str(self.path))}  {shown(self.label)}  {max(self.probabilities):.3f}   ({several})"


@dataclass(frozen=True)
class Unreadable:
    path: Path
    reason: str

    def row(self, classes: list[str]) -> list[str]:
        return [str(self.path), "", "", *("" for _ in classes), self.reason]

    def line(self, classes: list[str], top: int) -> str:
        return f"{on_one_line(str(self.path))}  not read: {self.reason}"


def header(classes: list[str]) -> list[str]:
    """Return the names of a row's columns; those of classes can't be taken for others, whatever the classes are called."""
    return ["path", "class", "probability", *(f"p({name})" for name in classes), "reason"]


def predict(bundle: Bundle, paths: list[Path], batch: int, views: str) -> Iterator[Prediction | Unreadable]:
    """Yield one answer per file, in order; a batch of files is in memory at a time. views: as `averaged_scores` has them."""
    for start in range(0, len(paths), batch):
        yield from _predict_batch(bundle, paths[start : start + batch], views)


def _predict_batch(bundle: Bundle, paths: list[Path], views: str) -> Iterator[Prediction | Unreadable]:
    manifest, how = bundle.manifest, bundle.decoding()
    images, reasons = {}, {}
    for path in paths:
        try:
            images[path], _ = stored(contents(path), manifest.channels, how, manifest.size, manifest.method)  # (size, size, C)
        except Refused as reason:
            reasons[path] = str(reason)
    probabilities = {}
    if images:
        answers = predicted(bundle, np.stack(list(images.values())), len(images), views)  # (B, classes)
        probabilities = dict(zip(images, answers.tolist(), strict=True))
    for path in paths:
        if path in reasons:
            yield Unreadable(path, reasons[path])
        else:
            scores = probabilities[path]
            yield Prediction(path, manifest.classes[int(np.argmax(scores))], scores)
