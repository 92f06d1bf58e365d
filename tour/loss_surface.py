"""Page: the loss as a surface, and the steps on it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tour.drawing.surfaces import Descent, surfaces
from tour.material import Lesson, Material
from tour.page import Block, Page, Picture, Table

Points = NDArray[np.float64]  # (steps + 1, 2)

PARTS = {"small": 0.03, "large": 0.88, "too large": 1.04}  # of the highest rate with which the steps do not grow
START = (-2.0, 0.6)  # the first weights, from the best ones: off the steepest and the flattest direction, which are the diagonals
STEPS = 12


@dataclass(frozen=True)
class Bowl:
    """The mean half squared error of a unit with two weights and a bias, which is always the best one for them."""

    features: Points  # (images, 2), of mean 0 and deviation 1
    targets: NDArray[np.float64]  # (images,), of mean 0

    def loss(self, weights: Points) -> NDArray[np.float64]:
        """Return the loss of each pair of weights, (N, 2)."""
        errors = weights @ self.features.T - self.targets  # (N, images)
        loss: NDArray[np.float64] = (errors**2).mean(axis=1) / 2
        return loss

    @property
    def curvature(self) -> Points:
        """The second derivatives, (2, 2), which are the same everywhere."""
        return self.features.T @ self.features / len(self.features)

    @property
    def lowest(self) -> Points:
        """The best weights, (2,)."""
        lowest: Points = np.linalg.lstsq(self.features, self.targets, rcond=None)[0].astype(np.float64)
        return lowest

    @property
    def highest_rate(self) -> float:
        """The learning rate above which the steps grow: 2 / the largest curvature."""
        return 2 / float(np.linalg.eigvalsh(self.curvature)[-1])

    def descent(self, rate: float, steps: int) -> Points:
        """Return the weights of a gradient descent, the first ones included."""
        points = [self.lowest + START]
        for _ in range(steps):
            points.append(points[-1] - rate * self.curvature @ (points[-1] - self.lowest))
        return np.array(points)


def bowl(lesson: Lesson) -> Bowl:
    """Return the loss of the question whether an image is of the first class, asked of its two most varied pixels."""
    pixels = lesson.pixels.reshape(len(lesson.pixels), -1).astype(np.float64)
    deviations = pixels.std(axis=0)
    chosen = np.sort(np.argsort(-deviations, kind="stable")[:2])
    features = (pixels[:, chosen] - pixels[:, chosen].mean(axis=0)) / deviations[chosen]
    targets = (lesson.labels == 0).double().numpy()
    return Bowl(features, targets - targets.mean())


def outcome(losses: NDArray[np.float64], least: float) -> str:
    """Say how a descent ended, in the words of the table."""
    if losses[-1] > losses[0]:
        return "each step lands higher than the one before"
    left = (losses[-1] - least) / (losses[0] - least)
    return "at the bottom" if left < 0.001 else f"{left:.1%} of the height is left"


def body(material: Material) -> list[Block]:
    surface = bowl(material.lesson)
    least, highest = float(surface.loss(surface.lowest[None])[0]), surface.highest_rate
    paths = {name: surface.descent(part * highest, STEPS) for name, part in PARTS.items()}
    losses = {name: surface.loss(points) for name, points in paths.items()}
    return [
        "The tutorials draw the loss as a bowl: the weights are the ground, the loss is the height, and learning is to find the lowest "
        "point. "
        "A network has thousands of weights, which no one can draw; here is one with two. It asks of an image whether it is of class "
        f"{material.lesson.classes[0]}, and sees nothing but the two pixels that vary most, of {material.lesson.about}.",
        Picture(
            "bowl",
            "Twelve steps by three learning rates; places beyond the surface are not drawn",
            lambda path: _draw(path, surface, paths),
        ),
        Table(
            ("learning rate", "", "loss at first", f"after {STEPS} steps", "lowest", ""),
            [
                (
                    f"{part * highest:.3g}",
                    name,
                    f"{losses[name][0]:.3f}",
                    f"{losses[name][-1]:.3f}",
                    f"{least:.3f}",
                    outcome(losses[name], least),
                )
                for name, part in PARTS.items()
            ],
        ),
        "The gradient is perpendicular to the lines of equal height, so it points at the lowest point only where the bowl is round. In a "
        "valley that is steeper across than along, a small rate creeps along; a larger one jumps from side to side.",
        f"How large is too large? Across the steepest direction this bowl has a curvature of {2 / highest:.3g}, and a step jumps over "
        f"the middle "
        f"by more than it was away as soon as the rate is above 2 / {2 / highest:.3g} = {highest:.3g}. Then each step lands higher than "
        f"the one "
        "before: the training *diverges*.",
        "A network's loss is no bowl: it has many valleys and ridges, and the curvature differs from place to place. But near any place it "
        "is like one, so the rule holds there: the highest rate that works is set by the steepest direction. That is why a rate that was "
        "fine for hours can suddenly diverge, why batch norm allows higher rates, and why Adam and momentum help in long valleys. "
        "[Page](learning-rate) tries rates on a network; `python -m pipeline.command.tune` finds one for yours.",
    ]


def _draw(path: Path, surface: Bowl, paths: dict[str, Points]) -> None:
    reach = 2.4
    sides = [np.linspace(middle - reach, middle + reach, 41) for middle in surface.lowest]
    ground = np.stack(np.meshgrid(*sides), axis=-1)  # (41, 41, 2)
    heights = surface.loss(ground.reshape(-1, 2)).reshape(ground.shape[:2])
    descents = [
        Descent(f"{name}: η = {PARTS[name] * surface.highest_rate:.3g}", points, surface.loss(points)) for name, points in paths.items()
    ]
    surfaces(path, "The loss of two weights", ("first weight", "second weight", "loss"), ground, heights, descents)


PAGE = Page("loss-surface", "The loss as a bowl", "small steps, good steps, and jumps out of the bowl", body)
