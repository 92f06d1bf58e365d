"""What a trained network answers on the prepared images of a split."""

import csv
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.analysis.figures.gallery import Example
from pipeline.analysis.scores import Labels, Probabilities
from pipeline.analysis.views import averaged_scores
from pipeline.bundle import Bundle
from pipeline.dataset.progress import IMAGES, Progress

Images = NDArray[np.uint8]  # (N, H, W, C)

BETWEEN = 5  # seconds from one line about the progress to the next


@dataclass(frozen=True)
class Answers:
    images: Images
    labels: Labels
    sources: list[str]  # the files, as in images.csv
    probabilities: Probabilities
    classes: list[str]

    @property
    def predictions(self) -> Labels:
        """The most probable classes, (N,)."""
        predictions: Labels = self.probabilities.argmax(axis=1)
        return predictions

    def examples(self, chosen: Iterable[int]) -> list[Example]:
        return [self.example(i) for i in chosen]

    def example(self, i: int) -> Example:
        row = self.probabilities[i]
        best = int(row.argmax())
        return Example(self.images[i], self.sources[i], self.classes[self.labels[i]], self.classes[best], float(row[best]))


def answers(bundle: Bundle, prepared: Path, split: str, batch_size: int, views: str) -> Answers:
    """Ask the network for every image of a split, with a line now and then. views: of each image, as `averaged_scores` has them."""
    images = np.load(prepared / f"{split}.npy", mmap_mode="r")
    labels: Labels = np.load(prepared / f"{split}_labels.npy")
    progress = Progress(f"looking at {split}", len(images), IMAGES, BETWEEN)
    probabilities = predicted(bundle, images, batch_size, views, progress.add)
    return Answers(images, labels, sources(prepared, split), probabilities, bundle.manifest.classes)


def predicted(
    bundle: Bundle, images: Images, batch_size: int, views: str, count: Callable[[int], None] = lambda images: None
) -> Probabilities:
    """Return (N, classes) probabilities for (N, H, W, C) images.

    views: as `averaged_scores` has them. count: is told of each batch how many images it has."""
    predictor, scores = bundle.predictor(), []
    with torch.inference_mode():
        for start in range(0, len(images), batch_size):
            part = torch.from_numpy(np.array(images[start : start + batch_size]))
            scores.append(averaged_scores(predictor.scores, part, views))
            count(len(part))
    return torch.cat(scores).softmax(dim=1).numpy()


def sources(prepared: Path, split: str) -> list[str]:
    """Return the file that each image of a split came from."""
    with (prepared / "images.csv").open(newline="", encoding="utf-8") as stream:
        return [row["path"] for row in csv.DictReader(stream) if row["split"] == split]
