"""Numbers about predictions: accuracy with its interval, confusion matrix, hardest images, surest mistakes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

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
    return Score(round(right / len(labels), 6), exact_interval(right, len(labels), confidence), round(loss, 6), len(labels))


def exact_interval(right: int, total: int, confidence: float) -> tuple[float, float]:
    """Return where the accuracy on many more such images lies (Clopper and Pearson, Biometrika 26, 1934).

    It holds the true accuracy at least as often as `confidence` says, whatever that accuracy is. Near 1, where good networks are,
    shorter intervals do not: Wilson's of 95 % holds 0.999 in 87 % of the tests on 142 images."""
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
    """Return the indices of the images whose true class got the smallest probability: the worst mistakes first."""
    true = probabilities[np.arange(len(labels)), labels]
    return np.argsort(true, kind="stable")[:most]


def surest_mistakes(labels: Labels, probabilities: Probabilities, most: int) -> NDArray[np.int64]:
    """Return the indices of the images that are taken for a wrong class, those first that are so with the highest probability."""
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    return wrong[np.argsort(-probabilities[wrong].max(axis=1), kind="stable")][:most]
