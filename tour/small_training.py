"""Small networks and their trainings for the pages: seconds each."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.optim import Optimizer

from pipeline.model.cnn import CNN
from tour.material import Lesson

Layers = Mapping[str, Mapping[str, Any]]

BATCH = 32  # images
EPOCHS = 12  # of most of the small trainings
RATE = 0.001  # learning rate of their Adam, torch's own default


@dataclass(frozen=True)
class Course:
    """How a training went, epoch by epoch."""

    losses: list[float]  # mean cross-entropy of the training images, nats
    accuracies: list[float]  # share of the held-out images that are right


@dataclass(frozen=True)
class Filters:
    """Filters before a ReLU."""

    count: int
    dead: int  # of these, whose maps are 0 or less everywhere
    nan: int  # of these, whose maps are not numbers somewhere: neither dead nor alive


def one_convolution(lesson: Lesson, seed: int, filters: int = 10) -> CNN:
    """Return convolution 3x3, ReLU, max pooling, scores; 1,010 parameters on the digits."""
    layers: Layers = {
        "conv": {"kind": "conv", "filters": filters, "kernel": 3},
        "relu": {"kind": "relu"},
        "pool": {"kind": "max_pool", "kernel": 2},
        "scores": {"kind": "linear"},
    }
    return network(layers, lesson, seed)


def two_convolutions(lesson: Lesson, seed: int, activation: str = "relu", pool: str = "max_pool") -> CNN:
    """Return two convolutions, each with an activation and a pooling, then scores."""
    layers: Layers = {
        "conv1": {"kind": "conv", "filters": 16, "kernel": 3, "padding": "same"},
        "activation1": {"kind": activation},
        "pool1": {"kind": pool, "kernel": 2},
        "conv2": {"kind": "conv", "filters": 32, "kernel": 3, "padding": "same"},
        "activation2": {"kind": activation},
        "pool2": {"kind": pool, "kernel": 2},
        "scores": {"kind": "linear"},
    }
    return network(layers, lesson, seed)


@functools.cache
def trained(lesson: Lesson, seed: int) -> CNN:
    """Return two convolutions after their training, which several pages look at."""
    network = two_convolutions(lesson, seed)
    train(network, lesson, torch.optim.Adam(network.parameters(), RATE), EPOCHS, seed)
    return network.eval()


def network(layers: Layers, lesson: Lesson, seed: int) -> CNN:
    torch.manual_seed(seed)
    return CNN(layers, in_channels=lesson.channels, num_classes=len(lesson.classes), image_size=lesson.side)


def train(network: CNN, lesson: Lesson, optimizer: Optimizer, epochs: int, seed: int) -> Course:
    """Train in place, by cross-entropy, in an order that the seed decides."""
    order = torch.Generator().manual_seed(seed)
    course = Course([], [])
    for _ in range(epochs):
        batches = torch.randperm(len(lesson.labels), generator=order).split(BATCH)
        losses = [step(network, optimizer, lesson.images[batch], lesson.labels[batch]) * len(batch) for batch in batches]
        course.losses.append(sum(losses) / len(lesson.labels))
        course.accuracies.append(accuracy(network, lesson))
    return course


def step(network: CNN, optimizer: Optimizer, images: Tensor, labels: Tensor) -> float:
    """Go forward, take the loss, go backward, update; return the loss before the update."""
    loss = F.cross_entropy(network(images), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@torch.no_grad()
def accuracy(network: CNN, lesson: Lesson) -> float:
    return (network(lesson.held_out).argmax(dim=1) == lesson.held_out_labels).float().mean().item()


@torch.no_grad()
def filters_left(network: CNN, lesson: Lesson) -> Filters:
    """Return what has become of the filters of the first convolution, by their maps of the training images."""
    maps = network.layers[0](lesson.images).transpose(0, 1).flatten(1)  # (filters, N * H * W)
    return Filters(len(maps), int((maps <= 0).all(dim=1).sum()), int(maps.isnan().any(dim=1).sum()))


def spread(shares: list[float]) -> tuple[float, float]:
    """Return mean and standard deviation."""
    return fmean(shares), stdev(shares)


def standing(shares: list[float], others: list[float]) -> Literal["ahead of", "behind", "not told apart from"]:
    """Return how the mean of some trainings stands to that of others: told apart where they differ by more than both deviations."""
    (mean, deviation), (other, its_deviation) = spread(shares), spread(others)
    if abs(mean - other) <= deviation + its_deviation:
        return "not told apart from"
    return "ahead of" if mean > other else "behind"


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def percent_of(shares: list[float]) -> str:
    mean, deviation = spread(shares)
    return f"{100 * mean:.1f} ± {100 * deviation:.1f} %"


def compared(variants: Mapping[str, Callable[[int], CNN]], lesson: Lesson, seeds: range) -> dict[str, list[float]]:
    """Train each variant from each seed by Adam; return the accuracies of the held-out images at the end."""
    found: dict[str, list[float]] = {}
    for label, make in variants.items():
        found[label] = []
        for seed in seeds:
            network = make(seed)
            course = train(network, lesson, torch.optim.Adam(network.parameters(), RATE), EPOCHS, seed)
            found[label].append(course.accuracies[-1])
        print(f"  {label}: {percent_of(found[label])}", flush=True)
    return found
