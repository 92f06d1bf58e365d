"""Choose a learning rate from a range test (Smith, arXiv:1506.01186, section 3.3).

One step per rate, each a little higher than the last (Gugger, "How do you find a good learning rate", 2018)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

INERTIA = 0.85  # of the moving average: about seven steps
SETTLED = 10  # steps, before which it averages too few
TOO_HIGH = 4.0  # times the lowest average loss: diverged (Gugger)
BELOW = 0.1  # of the rate with the lowest loss, after which the loss rises
LEAST_FALL = 0.01  # of the initial loss, below which no rate is suggested
NOISES = 7.0  # standard deviations of the averaged losses; without a fall, the lowest of 210 may be 6 below the first
AVERAGED = (1 - INERTIA) / (1 + INERTIA) * ((1 + INERTIA**2) / (1 - INERTIA**2)) ** 0.5  # share of the noise left in the averages
ENOUGH = 60  # steps, which estimate the noise to a tenth
OF_MEDIAN = 1.4826  # standard deviation of a normal distribution over the median of its absolute value


@dataclass(frozen=True)
class RateCurve:
    """One step per rate; fewer losses than rates if the training diverged."""

    rates: Values  # (steps,) rising
    losses: Values  # (steps,), of each step's batch, finite

    @property
    def smooth(self) -> Values:
        """(steps,) losses smoothed by a moving average forwards and backwards, which causes no lag."""
        limit = max(TOO_HIGH * averaged(self.losses)[SETTLED:].min(), self.losses[:SETTLED].max())
        return averaged(averaged(np.minimum(self.losses, limit))[::-1])[::-1]  # unlimited, a final jump would smear backwards

    @property
    def lowest(self) -> int | None:
        """The step of the lowest loss; None if the loss did not fall."""
        smooth = self.smooth
        step = SETTLED + int(smooth[SETTLED:].argmin())
        start = smooth[:SETTLED].mean()
        return step if start - smooth[step] > max(LEAST_FALL * start, NOISES * AVERAGED * noise(self.losses[: max(step, ENOUGH)])) else None

    @property
    def steepest(self) -> int | None:
        """The step before the lowest loss at which it fell fastest over the logarithm of the rate; None if it did not fall."""
        if (lowest := self.lowest) is None:
            return None
        return int(np.gradient(self.smooth, np.log(self.rates[: len(self.losses)]))[:lowest].argmin())

    @property
    def suggested(self) -> dict[str, float]:
        """Reason → learning rate; empty if the loss did not fall."""
        if self.lowest is None or self.steepest is None:
            return {}
        return {"falls fastest": float(self.rates[self.steepest]), "a tenth of the lowest's": float(self.rates[self.lowest] * BELOW)}


def averaged(losses: Values) -> Values:
    """Return the moving average at each step, (steps,), with bias correction (Kingma and Ba, arXiv:1412.6980)."""
    found, average = np.empty_like(losses), 0.0
    for step, loss in enumerate(losses):
        average = INERTIA * average + (1 - INERTIA) * loss
        found[step] = average / (1 - INERTIA ** (step + 1))
    return found


def noise(losses: Values) -> float:
    """Return the standard deviation between neighbouring batches, robust against a trend and a few jumps."""
    return OF_MEDIAN * float(np.median(np.abs(np.diff(losses)))) / 2**0.5


def came_apart(losses: Values) -> bool:
    """Return whether the last loss ends the test: it is not finite, or the average has risen TOO_HIGH."""
    if not np.isfinite(losses[-1]):
        return True
    average = averaged(losses)[SETTLED:]
    return len(average) > 0 and bool(average[-1] > TOO_HIGH * average.min())
