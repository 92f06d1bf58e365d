"""What the network finds alike: the features of images and photos, the training images nearest to one, a map of many."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pipeline.analysis.features import Nearest, flat_map, last_features
from pipeline.analysis.figures.embedding import embedding_page
from pipeline.analysis.figures.neighbours import Neighbour, Query
from pipeline.bundle import Bundle
from pipeline.config.wording import counted
from pipeline.dataset.normalise import middle, normalised
from pipeline.dataset.progress import IMAGES, Progress
from pipeline.inference import INTERVAL, Images, SplitPredictions, sources


@dataclass(frozen=True)
class Split:
    """A split's images as they lie on disk."""

    images: Images
    classes: list[str]  # of each image
    sources: list[str]  # file names, as in images.csv

    @classmethod
    def read(cls, bundle: Bundle, prepared: Path, split: str) -> "Split":
        """Open a split of data/prepared."""
        labels = np.load(prepared / f"{split}_labels.npy")
        names = [bundle.manifest.classes[label] for label in labels]
        return cls(np.load(prepared / f"{split}.npy", mmap_mode="r"), names, sources(prepared, split))


def features_of(bundle: Bundle, images: Images, batch: int, what: str) -> Iterator[Tensor]:
    """Yield the features, (B, features), of images of 0..255, (N, H, W, C), batch by batch, printing progress. what: is done so."""
    predictor, progress = bundle.predictor(), Progress(what, len(images), IMAGES, INTERVAL)
    for first in range(0, len(images), batch):
        several = torch.from_numpy(np.array(images[first : first + batch]))
        yield last_features(bundle.network, normalised(middle(several, predictor.side), predictor.mean, predictor.std))
        progress.add(len(several))


def with_neighbours(
    bundle: Bundle, train: Split, queries: list[Query], most: int, batch: int, looked_at: int | None = None
) -> list[tuple[Query, list[Neighbour]]]:
    """Return the training images that are most similar to each image, by the cosine of their features.

    looked_at: training images, evenly over all; None: all of them."""
    if not queries:
        return []
    found = Nearest(torch.cat(list(features_of(bundle, np.stack([query.image for query in queries]), batch, "looking"))), most)
    chosen = spread(len(train.images), looked_at)
    for number, features in enumerate(features_of(bundle, train.images[chosen], batch, "looking for similar training images")):
        found.add(features, number * batch)
    return [
        (query, [_neighbour(train, chosen[place], cosine) for place, cosine in zip(places, cosines, strict=True)])
        for query, places, cosines in zip(queries, found.images.tolist(), found.cosines.tolist(), strict=True)
    ]


def spread(count: int, most: int | None) -> list[int]:
    """Return the numbers of at most `most` of `count` images, evenly over all, which may be sorted by class; None: all."""
    return np.unique(np.linspace(0, count - 1, min(count, most or count)).round().astype(int)).tolist()


def _neighbour(train: Split, index: int, cosine: float) -> Neighbour:
    return Neighbour(np.array(train.images[index]), train.sources[index], train.classes[index], cosine)


def draw_map(path: Path, bundle: Bundle, seen: SplitPredictions, most: int, batch: int) -> None:
    """Draw a map of at most `most` test images, evenly over all."""
    chosen = spread(len(seen.images), most)
    features = torch.cat(list(features_of(bundle, seen.images[chosen], batch, "mapping test images")))
    title = f"How the network sees {counted(len(chosen), 'test image')}: similar images lie close together (t-SNE of the last features)"
    embedding_page(path, title, flat_map(features).numpy(), seen.examples(chosen), seen.classes)
