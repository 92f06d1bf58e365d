"""What a trained network looks for, what it makes of some images, and where it is mistaken: reports/pictures."""

import re
from pathlib import Path

import numpy as np
import torch
from torch import nn

from pipeline.analysis.activations import feature_maps, layer_names, rows
from pipeline.analysis.figures.confusion import confusion_page
from pipeline.analysis.figures.film import film_strip
from pipeline.analysis.figures.first_layer import first_layer, moment
from pipeline.analysis.figures.gallery import mistakes
from pipeline.analysis.figures.maps import Answer, way_through
from pipeline.analysis.filters import colour_limit, filter_mosaic, frames, largest, moved
from pipeline.analysis.scores import Labels, confusion, surest_mistakes
from pipeline.answers import Answers, answers, sources
from pipeline.bundle import Bundle, Filters
from pipeline.config.counted import counted
from pipeline.config.schema import Explain
from pipeline.dataset.names import LONGEST, shown


def write_pictures(bundle: Bundle, prepared: Path, pictures: Path, config: Explain, views: str) -> None:
    """Draw every picture that the network has something to show for.

    views: of the test images, as in the report, so that the confusion matrix is that of its accuracy."""
    if bundle.filters is not None:
        kept, limit = bundle.filters[bundle.best_epoch], colour_limit(bundle.filters[0])
        first_layer(kept, limit, f"{moment(bundle.best_epoch)}, kept").save(pictures / "filters.png")
        _draw_film(pictures / "filters_over_time.png", bundle.network, bundle.filters, bundle.best_epoch, config.frames)
    classes = bundle.manifest.classes
    labels: Labels = np.load(prepared / "validation_labels.npy")
    for number, index in enumerate(first_of_each_class(labels, config.images), start=1):
        name = re.sub(r"[^A-Za-z0-9_-]+", "_", classes[labels[index]])[:LONGEST]  # MLflow takes no other letters in a key
        _draw_way(pictures / f"feature_maps-{number}-{name}.png", bundle, prepared, index, classes[labels[index]], config)
    test = answers(bundle, prepared, "test", config.batch_size, views)
    _draw_confusion(pictures / "confusion.png", test)
    _draw_mistakes(pictures / "mistakes.png", test, config.mistakes)


def first_of_each_class(labels: Labels, most: int) -> list[int]:
    """Return the index of the first image of each of the first `most` classes that have one. labels: (N,)."""
    _, indices = np.unique(labels, return_index=True)
    return [int(index) for index in indices[:most]]


def _draw_film(path: Path, network: nn.Module, filters: Filters, kept: int, most: int) -> None:
    """Draw the filters, (epochs + 1, out, in, kh, kw), at some steps on one scale, which the largest weight of all steps sets."""
    _, out, _, height, width = filters.shape
    limit = max(largest(weight) for weight in filters)
    mosaics = {step: filter_mosaic(filters[step], limit) for step in frames(len(filters), kept, most)}
    captions = {step: f"epoch {step}{', kept' * (step == kept)}: moved by {moved(filters[0], filters[step]):.0%}" for step in mosaics}
    captions[0] = "before training"
    layer = next(name for layer, name in layer_names(network).items() if isinstance(layer, nn.Conv2d))
    title = f"{layer}: {counted(out, 'filter')} of {height}×{width} (light adds, dark subtracts)"
    note = "moved by: the length of the change since before training, as a share of the weights' length then"
    film_strip(path, title, note, [(captions[step], mosaic) for step, mosaic in mosaics.items()], limit)


def _draw_way(path: Path, bundle: Bundle, prepared: Path, index: int, actual: str, config: Explain) -> None:
    """Draw the way of a validation image through the network.

    Not of a test image: these are for measuring, and what is looked at again and again gets to be tuned for."""
    image = np.array(np.load(prepared / "validation.npy", mmap_mode="r")[index])  # (H, W, C)
    layers, probabilities = feature_maps(bundle.predictor(), torch.from_numpy(image)[None], config.maps)
    classes = bundle.manifest.classes
    order = np.argsort(-probabilities, kind="stable")[: config.bars].tolist()  # the most probable first
    bars = sorted(order) if len(order) == len(classes) else order
    said = classes[order[0]]
    source = shown(sources(prepared, "validation")[index])
    title = f"{shown(actual)} ({source}): said {shown(said)} with {probabilities[order[0]]:.2f}"
    answer = Answer({classes[i]: float(probabilities[i]) for i in bars}, actual, said)
    way_through(path, title if layers else f"{title}; this network has no feature maps", image, rows(layers, config.rows), answer)


def _draw_confusion(path: Path, test: Answers) -> None:
    right = int((test.predictions == test.labels).sum())
    table = confusion(test.labels, test.predictions, len(test.classes))
    confusion_page(path, f"{right:,} of {counted(len(test.labels), 'test image')} right", table, test.classes)


def _draw_mistakes(path: Path, test: Answers, most: int) -> None:
    wrong = int((test.predictions != test.labels).sum())
    title = f"{wrong:,} of {counted(len(test.labels), 'test image')} mistaken{', the surest first' * bool(wrong)}"
    mistakes(path, title, test.examples(surest_mistakes(test.labels, test.probabilities, most)))
