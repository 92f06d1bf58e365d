"""Explain a trained network in pictures: filters, feature maps, what units look for, and its mistakes with their attributions."""

from pathlib import Path

import numpy as np
import torch

from pipeline.analysis.activations import feature_maps, rows
from pipeline.analysis.figures.attribution import attribution_page
from pipeline.analysis.figures.confusion import confusion_page, mean_probabilities_page
from pipeline.analysis.figures.feature_maps import feature_map_page
from pipeline.analysis.figures.file_names import stem_of
from pipeline.analysis.figures.gallery import mistakes
from pipeline.analysis.figures.neighbours import Query, neighbours_page
from pipeline.analysis.figures.reliability import reliability_page
from pipeline.analysis.metrics import Labels, confident_mistakes, confusion, mean_probabilities, reliability
from pipeline.analysis.unit_layers import strips
from pipeline.bundle import Bundle
from pipeline.config.schema import Explain
from pipeline.config.wording import counted
from pipeline.dataset.names import shown
from pipeline.dataset.normalise import middle
from pipeline.filter_explanation import write_filter_pictures
from pipeline.inference import SplitPredictions, predict_split, sources
from pipeline.photo_explanation import attributions, class_bars
from pipeline.similarity import Split, draw_map, with_neighbours
from pipeline.unit_explanation import write_made_images, write_unit_pictures


def write_pictures(bundle: Bundle, prepared: Path, pictures: Path, config: Explain, tta: str) -> None:
    """Draw every picture that applies to the network into `pictures`.

    tta: the test-time augmentation of evaluate, so that the confusion matrix matches the accuracy it reports."""
    write_filter_pictures(bundle, pictures, config.frames)
    classes = bundle.manifest.classes
    labels: Labels = np.load(prepared / "validation_labels.npy")
    for number, index in enumerate(first_of_each_class(labels, config.images), start=1):
        name = stem_of(classes[labels[index]])
        _draw_feature_maps(pictures / f"feature_maps-{number}-{name}.png", bundle, prepared, index, classes[labels[index]], config)
    test = predict_split(bundle, prepared, "test", config.batch_size, tta)
    _draw_confusion(pictures / "confusion.png", test)
    _draw_probabilities(pictures, test)
    _draw_mistakes(pictures / "mistakes.png", test, config.mistakes)
    _draw_attributions(pictures, bundle, test, config)
    _draw_neighbours(pictures / "mistakes_nearest.png", bundle, prepared, test, config)
    draw_map(pictures / "map.png", bundle, test, config.map, config.batch_size)
    validation = np.load(prepared / "validation.npy", mmap_mode="r")
    write_unit_pictures(bundle, validation, labels, pictures, config.units, config.batch_size)
    write_made_images(bundle, bundle.predictor().side or validation.shape[1], pictures, config.maximisation)


def first_of_each_class(labels: Labels, most: int) -> list[int]:
    """Return the index of the first image of each class, for the first `most` classes that have any. labels: (N,)."""
    _, indices = np.unique(labels, return_index=True)
    return [int(index) for index in indices[:most]]


def _draw_feature_maps(path: Path, bundle: Bundle, prepared: Path, index: int, actual: str, config: Explain) -> None:
    """Draw the feature maps of a validation image; those of test images, seen again and again, would leak into tuning."""
    image = np.array(np.load(prepared / "validation.npy", mmap_mode="r")[index])  # (H, W, C)
    layers, probabilities = feature_maps(bundle.predictor(), torch.from_numpy(image)[None], config.maps)
    classes = bundle.manifest.classes
    outcome = class_bars(probabilities, classes, config.bars, actual)
    source = shown(sources(prepared, "validation")[index])
    title = f"{shown(actual)} ({source}): predicted {shown(outcome.predicted)} with {probabilities.max():.2f}"
    title += "" if layers else "; this network has no feature maps"
    units = strips(bundle.predictor(), torch.from_numpy(image)[None], config.strip)
    feature_map_page(path, title, image, rows(layers, config.rows), outcome, units)


def _draw_confusion(path: Path, test: SplitPredictions) -> None:
    right = int((test.predicted == test.labels).sum())
    table = confusion(test.labels, test.predicted, len(test.classes))
    confusion_page(path, f"{right:,} of {counted(len(test.labels), 'test image')} right", table, test.classes)


def _draw_probabilities(pictures: Path, test: SplitPredictions) -> None:
    found, images = reliability(test.labels, test.probabilities), counted(len(test.labels), "test image")
    title = f"Is the confidence justified? {images}, calibration error (ECE) {found.error:.3f}"
    reliability_page(pictures / "reliability.png", title, found)
    means = mean_probabilities(test.labels, test.probabilities)
    mean_probabilities_page(pictures / "softmax.png", f"Mean probabilities of each class's images ({images})", means, test.classes)


def _draw_mistakes(path: Path, test: SplitPredictions, most: int) -> None:
    wrong = int((test.predicted != test.labels).sum())
    title = f"{wrong:,} of {counted(len(test.labels), 'test image')} misclassified{', the most confident first' * (wrong > 1)}"
    mistakes(path, title, test.examples(confident_mistakes(test.labels, test.probabilities, most)))


def _draw_attributions(pictures: Path, bundle: Bundle, test: SplitPredictions, config: Explain) -> None:
    """Draw attribution maps of the most confident mistakes, for the predicted class."""
    mistaken = confident_mistakes(test.labels, test.probabilities, config.attributions.images)
    for number, index in enumerate(mistaken, start=1):
        example = test.example(index)
        predicted = shown(example.predicted)
        question = f"predicted {predicted} with {example.probability:.2f}; what in the image points to {predicted}?"
        title = f"{shown(example.actual)} ({shown(example.source)}): {question}"
        image = np.array(middle(test.images[index][None], bundle.predictor().side)[0])  # (H, W, C)
        maps = attributions(bundle, image, example.predicted, config.attributions.places)
        outcome = class_bars(test.probabilities[index], test.classes, config.bars, example.actual)
        attribution_page(pictures / f"mistakes-{number}-{stem_of(example.actual)}.png", title, maps, outcome, test.classes)


def _draw_neighbours(path: Path, bundle: Bundle, prepared: Path, test: SplitPredictions, config: Explain) -> None:
    """Draw the most confident mistakes, each beside the training images that are most similar to it."""
    limits, train = config.neighbours, Split.read(bundle, prepared, "train")
    examples = test.examples(confident_mistakes(test.labels, test.probabilities, limits.mistakes))
    queries = [Query(mistake.image, mistake.source, mistake.actual, mistake.predicted, mistake.probability) for mistake in examples]
    neighbours = with_neighbours(bundle, train, queries, limits.nearest, config.batch_size, limits.images)
    searched = counted(min(limits.images, len(train.images)), "training image")
    neighbours_page(path, f"The most confident mistakes, each beside the most similar of {searched}", neighbours)
