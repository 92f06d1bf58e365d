"""Paired significance tests: do two networks differ on the same images, or two configs on repetitions with the same seeds or folds?"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, ndtri, stdtr

LEVEL = 0.05  # significance level: of false positives, over all comparisons made at once
POWER = 0.8  # probability of detecting a true difference with `images_needed` images


@dataclass(frozen=True)
class Paired:
    """Two networks compared on the same images."""

    images: int
    only_first: int  # images that the first alone gets right
    only_second: int
    p: float  # two-sided p-value, 0..1, of equal accuracies

    @property
    def difference(self) -> float:
        """The first's accuracy minus the second's, -1..1."""
        return (self.only_first - self.only_second) / self.images

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Return the 1 - level confidence interval of `difference`, in -1..1.

        Wald's interval, with half an image added to each of the four cells (Agresti and Min, Statistics in Medicine 24, 2005)."""
        images, only_first, only_second = self.images + 2, self.only_first + 0.5, self.only_second + 0.5
        difference = (only_first - only_second) / images
        variance = ((only_first + only_second) / images - difference**2) / images
        margin = float(ndtri(1 - level / 2)) * math.sqrt(variance)
        return max(-1.0, difference - margin), min(1.0, difference + margin)

    def images_needed(self, level: float = LEVEL) -> int | None:
        """Return about how many images detect a difference of this size with probability POWER; None: there is no difference.

        Source: Connor, Biometrics 43, 1987."""
        if self.only_first == self.only_second:
            return None
        discordant, difference = (self.only_first + self.only_second) / self.images, abs(self.difference)
        under_null = float(ndtri(1 - level / 2)) * math.sqrt(discordant)
        under_difference = float(ndtri(POWER)) * math.sqrt(discordant - difference**2)
        return math.ceil(((under_null + under_difference) / difference) ** 2)


def mcnemar(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Paired:
    """Compare two networks by the two-sided mid-p McNemar test. first, second: whether each gets an image right, (N,).

    Mid-p counts half the probability of the observed outcome, as the exact test is too conservative (Fagerland et al., BMC Medical
    Research Methodology 13, 2013)."""
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    fewer, discordant = min(only_first, only_second), only_first + only_second
    at_most = float(bdtr(fewer, discordant, 0.5))  # P(X <= fewer) for X ~ Binomial(discordant, 1/2)
    below = float(bdtr(fewer - 1, discordant, 0.5)) if fewer else 0.0
    p = 1.0 if only_first == only_second else at_most + below  # 2 P(X <= fewer) - P(X = fewer)
    return Paired(len(first), only_first, only_second, p)


def paired_t(first: NDArray[np.float64], second: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the mean difference, its standard error, and the p-value, 0..1, of the two-sided paired t-test.

    first, second: (n,), n > 1."""
    differences = first - second
    mean, standard_error = float(differences.mean()), float(differences.std(ddof=1) / np.sqrt(len(differences)))
    if standard_error == 0:
        return mean, standard_error, 0.0 if mean else 1.0
    return mean, standard_error, 2 * float(stdtr(len(differences) - 1, -abs(mean / standard_error)))
