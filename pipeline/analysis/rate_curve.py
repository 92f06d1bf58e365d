"""What a range of learning rates does to the loss, and which of them to train with (Smith, arXiv:1506.01186, section 3.3).

As Gugger tells it, "How do you find a good learning rate", 2018: one step for each rate, each a little higher than the one before."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

INERTIA = 0.85  # of the running average: about seven steps count
SETTLED = 10  # steps, before which it is an average of too few
TOO_HIGH = 4.0  # times the lowest average loss: the training has come apart (Gugger)
BELOW = 0.1  # of the rate with the lowest loss, which is the last before it rises
LEAST_FALL = 0.01  # share of the loss at the beginning; less is not worth a rate
NOISES = 7.0  # deviations of the averaged losses; the lowest of 210 without a fall may be 6 below the first ones
AVERAGED = (1 - INERTIA) / (1 + INERTIA) * ((1 + INERTIA**2) / (1 - INERTIA**2)) ** 0.5  # share of the noise that the averages keep
ENOUGH = 60  # steps, from which the noise can be told to a tenth
OF_MEDIAN = 1.4826  # deviation of a normal distribution, in medians of its absolute value


@dataclass(frozen=True)
class RateCurve:
    """A step for each rate; losses may end before the rates where the training came apart."""

    rates: Values  # (steps,) rising
    losses: Values  # (steps,) of each step's batch, finite

    @property
    def smooth(self) -> Values:
        """Return the losses without most of the batches' noise, (steps,): averaged forwards and backwards, so that nothing is late."""
        limit = max(TOO_HIGH * averaged(self.losses)[SETTLED:].min(), self.losses[:SETTLED].max())
        return averaged(averaged(np.minimum(self.losses, limit))[::-1])[::-1]  # without the limit a last leap is seen steps before it

    @property
    def lowest(self) -> int | None:
        """Return the step of the lowest loss; None where the loss did not fall."""
        smooth = self.smooth
        step = SETTLED + int(smooth[SETTLED:].argmin())
        start = smooth[:SETTLED].mean()
        return step if start - smooth[step] > max(LEAST_FALL * start, NOISES * AVERAGED * noise(self.losses[: max(step, ENOUGH)])) else None

    @property
    def steepest(self) -> int | None:
        """Return the step before the lowest loss at which it fell fastest by the logarithm of the rate; None where it did not fall."""
        if (lowest := self.lowest) is None:
            return None
        return int(np.gradient(self.smooth, np.log(self.rates[: len(self.losses)]))[:lowest].argmin())

    @property
    def suggested(self) -> dict[str, float]:
        """Return why -> learning rate; none where the loss did not fall."""
        if self.lowest is None or self.steepest is None:
            return {}
        return {"falls fastest": float(self.rates[self.steepest]), "a tenth of the lowest's": float(self.rates[self.lowest] * BELOW)}


def averaged(losses: Values) -> Values:
    """Return the running average at each step, (steps,), free of the bias of its beginning at 0 (Kingma and Ba, arXiv:1412.6980)."""
    found, average = np.empty_like(losses), 0.0
    for step, loss in enumerate(losses):
        average = INERTIA * average + (1 - INERTIA) * loss
        found[step] = average / (1 - INERTIA ** (step + 1))
    return found


def noise(losses: Values) -> float:
    """Return by how much neighbouring batches differ, as a standard deviation; a trend or a few leaps hardly count."""
    return OF_MEDIAN * float(np.median(np.abs(np.diff(losses)))) / 2**0.5


def came_apart(losses: Values) -> bool:
    """Tell whether the last step's loss ends the test."""
    if not np.isfinite(losses[-1]):
        return True
    average = averaged(losses)[SETTLED:]
    return len(average) > 0 and bool(average[-1] > TOO_HIGH * average.min())
