"""Page: do two filters learn the same, and does a filter serve one class?"""

from collections import Counter
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.analysis.units import ALIKE, Activities, Activity, Pair, cosines, opposite, redundant
from pipeline.config.wording import counted
from tour.drawing.panels import Panel, panels
from tour.material import Lesson, Material
from tour.page import Block, Page, Picture, Table
from tour.small_training import EPOCHS, RATE, one_convolution, train

FILTERS = 30
SHOWN = 4  # pairs


def activity(layers: nn.Sequential, lesson: Lesson) -> Activity:
    """Return what the maps of some layers do over the training images."""
    counts = Activities(len(lesson.classes))
    with torch.no_grad():
        counts.add(layers(lesson.images), lesson.labels)
    return counts.so_far()


def names_of(values: list[str]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in sorted(Counter(values).items()))


def body(material: Material) -> list[Block]:
    lesson = material.lesson
    made = one_convolution(lesson, material.seed, FILTERS)
    weight = made.get_parameter("layers.conv.weight")
    before = cosines(weight)
    train(made, lesson, torch.optim.Adam(made.parameters(), RATE), EPOCHS, material.seed)
    after = cosines(weight)
    alike, contrary = redundant(after), opposite(after)
    found = activity(nn.Sequential(made.layers[0], made.layers[1]), lesson)
    selective = found.selectivity.sort(descending=True)
    favourites = [lesson.classes[int(found.favourite[unit])] for unit in range(FILTERS) if not found.dead[unit]]
    return [
        "Readers ask two things about filters: can two of them learn the same, and is each there for one class? Both can be measured.",
        "## Can two filters learn the same?",
        "Nothing forbids it. Filters begin from different random weights and see the same images; if two of them drift to the same shape, "
        "the gradient does not push them apart. Two filters are compared by the *cosine* of their weights, less the mean of each: 1 for "
        "the "
        "same shape, 0 for nothing in common, -1 for the same shape with dark and bright exchanged.",
        f"Here are {FILTERS} filters of 3x3 after {EPOCHS} epochs on {lesson.about}: the pairs that are most alike, and the most opposite.",
        Picture("pairs", "Pairs of filters, the most alike and the most opposite", lambda path: _draw(path, weight, after)),
        Table(
            ("", f"cosine above {ALIKE}", f"below -{ALIKE}", "largest", "smallest"),
            [_row("first weights", before), _row("after training", after)],
        ),
        f"{_told(alike, contrary)} Nine weights leave little room: with {FILTERS} filters some must be near each other. In a layer that "
        f"sees "
        "many maps it is rarer. A pair of which one is redundant could be one filter with twice the weight in the next layer; pruning "
        "makes "
        "use of that. The `explain` stage counts such pairs for every layer of a trained network: reports/pictures.",
        "## Is a filter there for one class?",
        "*Selectivity* compares a filter's mean answer to its favourite class with that to the others: 0 if it answers to all alike, 1 "
        "if to "
        "one alone (Morcos et al., arXiv:1803.06959).",
        Table(
            ("filters", "dead", "most selective", "median", "least selective", "favourite classes"),
            [
                (
                    FILTERS,
                    int(found.dead.sum()),
                    f"{selective.values[0]:.2f}",
                    f"{found.selectivity.median():.2f}",
                    f"{selective.values[-1]:.2f}",
                    names_of(favourites),
                )
            ],
        ),
        "No: a first layer's filters look for edges and spots, and every class has some of these. What tells classes apart is which of "
        "them "
        "come together, and that is what the layers above add up. Selectivity grows towards the scores, where each unit is for one class.",
    ]


def _row(name: str, alike: Tensor) -> tuple[object, ...]:
    others = alike[~torch.eye(len(alike), dtype=torch.bool)]
    return name, len(redundant(alike)), len(opposite(alike)), f"{others.max():.2f}", f"{others.min():.2f}"


def _told(alike: list[Pair], contrary: list[Pair]) -> str:
    if not alike and not contrary:
        return "No two of them are the same here, and no two opposite."
    return f"So it happens: {counted(len(alike), 'pair')} the same, {counted(len(contrary), 'pair')} opposite."


def _draw(path: Path, weight: Tensor, alike: Tensor) -> None:
    filters = weight.detach().mean(dim=1).numpy()  # over the input's channels
    upper = torch.triu_indices(len(alike), len(alike), offset=1)
    order = alike[upper[0], upper[1]].argsort(descending=True).tolist()
    chosen = [*order[:SHOWN], *order[-SHOWN:]]
    most = float(np.abs(filters).max())
    shown = []
    for place in chosen:
        one, other = int(upper[0, place]), int(upper[1, place])
        cosine = float(alike[one, other])
        shown += [
            Panel(filters[unit], f"filter {unit}", note, (-most, most), "signs")
            for unit, note in ((one, f"cosine {cosine:+.2f}"), (other, ""))
        ]
    panels(path, "Above the most alike, below the most opposite", shown, columns=2 * SHOWN, size=1.05)


PAGE = Page("similar-filters", "Do two filters learn the same?", "cosines and selectivity of trained filters", body)
