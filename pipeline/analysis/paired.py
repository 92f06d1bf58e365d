"""Do two networks, or two configs, differ? Tests on the same images, and on repetitions with the same seeds or folds."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, ndtri, stdtr

LEVEL = 0.05  # of false alarms, over all comparisons that are made at once
POWER = 0.8  # probability of finding a difference that is there, for which more images are asked


@dataclass(frozen=True)
class Paired:
    """Two networks on the same images.

    only_first, only_second: images that only one gets right. p: probability, 0..1, of numbers as unequal by chance."""

    images: int
    only_first: int
    only_second: int
    p: float

    @property
    def difference(self) -> float:
        """The first's accuracy less the second's, -1..1."""
        return (self.only_first - self.only_second) / self.images

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Return the confidence interval of `difference`, of 1 - level: Wald's with half an image more in each of the four cells
        (Agresti and Min, Statistics in Medicine 24, 2005)."""
        images, one, other = self.images + 2, self.only_first + 0.5, self.only_second + 0.5
        middle = (one - other) / images
        reach = float(ndtri(1 - level / 2)) * math.sqrt(((one + other) / images - middle**2) / images)
        return max(-1.0, middle - reach), min(1.0, middle + reach)

    def images_needed(self, level: float = LEVEL) -> int | None:
        """Return about how many images would show a difference of this size with probability POWER; None: there is none.

        (Connor, Biometrics 43, 1987.)"""
        if self.only_first == self.only_second:
            return None
        unequal, difference = (self.only_first + self.only_second) / self.images, abs(self.difference)
        reach = float(ndtri(1 - level / 2)) * math.sqrt(unequal) + float(ndtri(POWER)) * math.sqrt(unequal - difference**2)
        return math.ceil((reach / difference) ** 2)


def mcnemar(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Paired:
    """Compare which images two networks get right, (N,) each, by McNemar's test with mid-p and two sides.

    Of numbers exactly as unequal half counts: the exact test finds too little (Fagerland et al., BMC Medical Research Methodology 13,
    2013)."""
    one, other = int((first & ~second).sum()), int((second & ~first).sum())
    fewer, alone = min(one, other), one + other
    exactly = float(bdtr(fewer, alone, 0.5) - (bdtr(fewer - 1, alone, 0.5) if fewer else 0.0))
    p = 1.0 if one == other else 2 * float(bdtr(fewer, alone, 0.5)) - exactly
    return Paired(len(first), one, other, p)


def paired_t(first: NDArray[np.float64], second: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the mean of the differences, its standard error, and p, 0..1, of Student's paired t test with two sides. (n,) each, n > 1."""
    differences = first - second
    mean, error = float(differences.mean()), float(differences.std(ddof=1) / np.sqrt(len(differences)))
    if error == 0:
        return mean, error, 0.0 if mean else 1.0
    return mean, error, 2 * float(stdtr(len(differences) - 1, -abs(mean / error)))
