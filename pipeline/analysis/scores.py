"""Numbers about predictions: accuracy with its interval, confusion matrix, hardest images, surest mistakes."""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]  # (N,)
Probabilities = NDArray[np.float32]  # (N, classes)


@dataclass(frozen=True)
class Score:
    accuracy: float  # share of right answers, 0..1
    accuracy_interval: tuple[float, float]
    loss: float  # mean cross-entropy, nats
    images: int


def score(labels: Labels, probabilities: Probabilities, confidence: float) -> Score:
    right = int((probabilities.argmax(axis=1) == labels).sum())
    true = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    loss = float(-np.log(np.maximum(true, 1e-12)).mean())
    return Score(round(right / len(labels), 6), wilson_interval(right, len(labels), confidence), round(loss, 6), len(labels))


def wilson_interval(right: int, total: int, confidence: float) -> tuple[float, float]:
    """Return where the accuracy on many more such images lies (Wilson, JASA 22, 1927).

    Unlike p +- z sqrt(p (1 - p) / n) it is sensible near 0 and 1, where good networks are."""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = right / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return round(max(0.0, middle - half), 6), round(min(1.0, middle + half), 6)


def confusion(labels: Labels, predictions: Labels, classes: int) -> NDArray[np.int64]:
    """Return (classes, classes) counts: row = actual, column = predicted."""
    table = np.zeros((classes, classes), np.int64)
    np.add.at(table, (labels, predictions), 1)
    return table


def hardest(labels: Labels, probabilities: Probabilities, most: int) -> NDArray[np.int64]:
    """Return the indices of the images whose true class got the smallest probability: the worst mistakes first."""
    true = probabilities[np.arange(len(labels)), labels]
    return np.argsort(true, kind="stable")[:most]


def surest_mistakes(labels: Labels, probabilities: Probabilities, most: int) -> NDArray[np.int64]:
    """Return the indices of the images that are taken for a wrong class, those first that are so with the highest probability."""
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    return wrong[np.argsort(-probabilities[wrong].max(axis=1), kind="stable")][:most]
