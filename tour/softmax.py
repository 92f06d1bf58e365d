"""Page: the fully connected part, and probabilities."""

import math
from pathlib import Path

import torch

from tour.drawing.plots import Bars, bars
from tour.material import Material
from tour.page import Block, Page, Picture, Table
from tour.small_training import trained

SCORES = (2.0, 1.0, 0.1)
SHIFT = 100.0  # added to all scores
THREE = (0, 0.1, 0.1, 0.75, 0, 0, 0, 0, 0, 0.05)  # Deshpande's answer for a handwritten 3
ANIMALS = {"cat": 0.80, "dog": 0.15, "bird": 0.05}  # Deshpande's other answer
BOAT = 0.94  # Karn's probability of a boat


def softmax(scores: tuple[float, ...]) -> list[float]:
    """Return exp(score) of each as a share of their sum."""
    return torch.tensor(scores, dtype=torch.float64).softmax(dim=0).tolist()


def lead(probability: float) -> float:
    """Return by how much a score leads all others together, the logarithm of the sum of their exponentials, at this probability."""
    return math.log(probability / (1 - probability))


def surprise(probability: float) -> float:
    """Return the cross-entropy where the true class has this probability, in nats."""
    return -math.log(probability)


def body(material: Material) -> list[Block]:
    answer, shifted = softmax(SCORES), softmax(tuple(score + SHIFT for score in SCORES))
    same = max(abs(a - b) for a, b in zip(answer, shifted, strict=True))
    lesson = material.lesson
    return [
        "After the last pooling the maps are laid out as one long row (*flattened*): LeNet's 16 maps of 5x5 are 400 numbers. A *fully "
        "connected* layer gives each of its units a weight for every number of the row. The last one has a unit for each class, and what "
        "it gives are *scores*, of any size and sign. How long the row is follows from the layers below: Keras ignores the "
        "`input_dim=50` of "
        "Gupta's code.",
        "**Softmax** makes probabilities of them: the exponential of each, as a share of their sum. They lie between 0 and 1 and add up "
        "to 1; the order of the scores stays.",
        Table(
            ("score", "exponential", "softmax"),
            [(score, f"{math.exp(score):.4f}", f"{share:.4f}") for score, share in zip(SCORES, answer, strict=True)],
        ),
        f"Only differences count: with {SHIFT:g} added to each score the largest change is {same:.0e}, which is rounding.",
        Picture("answers", "Answers: two of the tutorials, one of a trained network", lambda path: _draw(path, material)),
        f"Deshpande's answer for a 3 adds up to {sum(THREE):.2f}. (In some copies of the text its first .1 has lost the point.) The loss "
        f"for it is -ln {THREE[3]} = {surprise(THREE[3]):.4f}. Karn's boat has {BOAT}: its score leads all others together by "
        f"ln({BOAT} / {1 - BOAT:.2f}) = {lead(BOAT):.2f}.",
        f"The network at the right was trained in a second on {lesson.about}.",
        "## Is softmax a loss?",
        "No. It has no weights and knows no truth. The *loss* compares probabilities with the truth: it is the cross-entropy, "
        "-ln of the true class's probability ([page](learning)). All networks here give scores. Training hands these to the "
        "loss, which does softmax within, because the logarithm of a tiny probability is better computed from scores; `predict` does "
        "softmax where a person reads the answer.",
    ]


def _draw(path: Path, material: Material) -> None:
    lesson = material.lesson
    network = trained(lesson, material.seed)
    with torch.inference_mode():
        shares = network(lesson.held_out[:1]).softmax(dim=1)[0].tolist()
    actual = lesson.classes[int(lesson.held_out_labels[0])]
    most = sorted(range(len(shares)), key=lambda label: -shares[label])[: len(THREE)]
    groups = [
        Bars("a handwritten 3", {str(digit): (share, 0.0) for digit, share in enumerate(THREE)}, marked="3", decimals=0),
        Bars("a photo of a cat", {name: (share, 0.0) for name, share in ANIMALS.items()}, marked="cat", decimals=0),
        Bars(f"a trained network on an image of {actual}", {lesson.classes[label]: (shares[label], 0.0) for label in sorted(most)}, actual),
    ]
    bars(path, "Probabilities; red: what it is", groups, width=3.5)


PAGE = Page("softmax", "Scores and probabilities", "the fully connected part, softmax, and what it is not", body)
