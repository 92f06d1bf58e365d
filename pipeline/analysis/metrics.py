"""Metrics of predictions: accuracy with its interval, F1, loss, calibration, confusion matrix, hardest images, most confident mistakes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

Labels = NDArray[np.int64]  # (N,)
Probabilities = NDArray[np.float32]  # (N, classes)

BINS = 15  # of equal width, of the confidence: Guo et al., "On Calibration of Modern Neural Networks", 2017
TOP = 5  # classes among which the true one counts as found, where there are more than FEW
FEW = 10


@dataclass(frozen=True)
class Score:
    """The metrics of a split, as in metrics.json."""

    accuracy: float  # 0..1
    accuracy_interval: tuple[float, float]
    macro_f1: float  # mean over the classes that occur among labels or predictions
    weighted_f1: float  # the same, each class weighted by its images
    loss: float  # mean cross-entropy, nats
    ece: float  # expected calibration error, 0..1
    images: int
    top5_accuracy: float | None  # 0..1; None: of so few classes it says nothing


def score(labels: Labels, probabilities: Probabilities, confidence: float) -> Score:
    """Return the metrics of a split. confidence: of the accuracy's interval, in (0, 1)."""
    right = int((probabilities.argmax(axis=1) == labels).sum())
    true = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    table = confusion(labels, probabilities.argmax(axis=1), probabilities.shape[1])
    f1, occurs, images = f1_scores(table), table.sum(axis=0) + table.sum(axis=1) > 0, table.sum(axis=1)
    top5 = (probabilities > true[:, None]).sum(axis=1) < TOP
    return Score(
        accuracy=round(right / len(labels), 6),
        accuracy_interval=exact_interval(right, len(labels), confidence),
        macro_f1=round(float(f1[occurs].mean()), 6),
        weighted_f1=round(float(np.average(f1, weights=images)), 6),
        loss=round(float(-np.log(np.maximum(true, 1e-12)).mean()), 6),
        ece=round(reliability(labels, probabilities).error, 6),
        images=len(labels),
        top5_accuracy=round(float(top5.mean()), 6) if probabilities.shape[1] > FEW else None,
    )


def f1_scores(table: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return each class's F1, the harmonic mean of precision and recall, from a confusion matrix; 0 for a class that is never right."""
    return 2 * table.diagonal() / np.maximum(table.sum(axis=0) + table.sum(axis=1), 1)


@dataclass(frozen=True)
class Reliability:
    """Images by their confidence, the probability of the predicted class, in bins of equal width; 0 where a bin has none, (bins,)."""

    images: NDArray[np.int64]
    confidence: NDArray[np.float64]  # mean
    accuracy: NDArray[np.float64]

    @property
    def error(self) -> float:
        """The expected calibration error: the mean of |accuracy - confidence| over bins, weighted by their images."""
        return float(np.average(np.abs(self.accuracy - self.confidence), weights=self.images))


def reliability(labels: Labels, probabilities: Probabilities, bins: int = BINS) -> Reliability:
    """Return how accurate the answers are at each confidence; bin i holds confidences in (i / bins, (i + 1) / bins]."""
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    bin_of = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    images = np.bincount(bin_of, minlength=bins)
    confident, accurate = (np.bincount(bin_of, values, bins) / np.maximum(images, 1) for values in (confidence, right))
    return Reliability(images, confident, accurate)


def mean_probabilities(labels: Labels, probabilities: Probabilities) -> NDArray[np.float64]:
    """Return the mean softmax of each class's images, (classes, classes): row = actual; NaN for a class without images."""
    classes = probabilities.shape[1]
    found = np.full((classes, classes), np.nan)
    for label in np.unique(labels):
        found[label] = probabilities[labels == label].mean(axis=0, dtype=np.float64)
    return found


def exact_interval(right: int, total: int, confidence: float) -> tuple[float, float]:
    """Return the confidence interval of an accuracy, (low, high) (Clopper and Pearson, Biometrika 26, 1934).

    It covers the true accuracy with at least this probability, whatever that accuracy is. Shorter intervals do not near 1, where good
    networks are: Wilson's of 95 % covers 0.999 in 87 % of tests on 142 images."""
    tail = (1 - confidence) / 2
    low = betaincinv(right, total - right + 1, tail) if right else 0.0
    high = betaincinv(right + 1, total - right, 1 - tail) if right < total else 1.0
    return round(float(low), 6), round(float(high), 6)


def confusion(labels: Labels, predictions: Labels, classes: int) -> NDArray[np.int64]:
    """Return (classes, classes) counts: row = actual, column = predicted."""
    table = np.zeros((classes, classes), np.int64)
    np.add.at(table, (labels, predictions), 1)
    return table


def hardest(labels: Labels, probabilities: Probabilities, most: int) -> NDArray[np.int64]:
    """Return the indices of the images with the lowest probability of their true class, the lowest first."""
    true = probabilities[np.arange(len(labels)), labels]
    return np.argsort(true, kind="stable")[:most]


def confident_mistakes(labels: Labels, probabilities: Probabilities, most: int) -> NDArray[np.int64]:
    """Return the indices of misclassified images, by descending probability of the predicted class."""
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    return wrong[np.argsort(-probabilities[wrong].max(axis=1), kind="stable")][:most]
