"""Inference: run a trained network over the prepared images of a split."""

import csv
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.analysis.figures.gallery import Example
from pipeline.analysis.metrics import Labels, Probabilities
from pipeline.analysis.tta import averaged_scores
from pipeline.bundle import Bundle
from pipeline.dataset.progress import IMAGES, Progress

Images = NDArray[np.uint8]  # (N, H, W, C)

INTERVAL = 5  # seconds between progress lines


@dataclass(frozen=True)
class SplitPredictions:
    """A split's images with labels and predicted probabilities, in the order of images.csv."""

    images: Images
    labels: Labels
    sources: list[str]  # file names, as in images.csv
    probabilities: Probabilities
    classes: list[str]

    @property
    def predicted(self) -> Labels:
        """The most probable classes, (N,)."""
        predicted: Labels = self.probabilities.argmax(axis=1)
        return predicted

    def examples(self, indices: Iterable[int]) -> list[Example]:
        """Return the examples at these indices."""
        return [self.example(i) for i in indices]

    def example(self, i: int) -> Example:
        """Return image i with its class, its predicted class and the probability of that."""
        row = self.probabilities[i]
        best = int(row.argmax())
        return Example(self.images[i], self.sources[i], self.classes[self.labels[i]], self.classes[best], float(row[best]))


def predict_split(bundle: Bundle, prepared: Path, split: str, batch_size: int, tta: str) -> SplitPredictions:
    """Run the network over a split, printing progress. tta: test-time augmentation, as for `averaged_scores`."""
    images = np.load(prepared / f"{split}.npy", mmap_mode="r")
    labels: Labels = np.load(prepared / f"{split}_labels.npy")
    progress = Progress(f"looking at {split}", len(images), IMAGES, INTERVAL)
    probabilities = predict_images(bundle, images, batch_size, tta, progress.add)
    return SplitPredictions(images, labels, sources(prepared, split), probabilities, bundle.manifest.classes)


def predict_images(
    bundle: Bundle, images: Images, batch_size: int, tta: str, count: Callable[[int], None] = lambda images: None
) -> Probabilities:
    """Return probabilities, (N, classes), for images of 0..255, (N, H, W, C).

    tta: test-time augmentation, as for `averaged_scores`. count: called with the number of images of each batch."""
    predictor, scores = bundle.predictor(), []
    with torch.inference_mode():
        for start in range(0, len(images), batch_size):
            batch = torch.from_numpy(np.array(images[start : start + batch_size]))
            scores.append(averaged_scores(predictor.scores, batch, tta))
            count(len(batch))
    return torch.cat(scores).softmax(dim=1).numpy()


def sources(prepared: Path, split: str) -> list[str]:
    """Return the source file of each image of a split, from images.csv."""
    with (prepared / "images.csv").open(newline="", encoding="utf-8") as stream:
        return [row["path"] for row in csv.DictReader(stream) if row["split"] == split]
