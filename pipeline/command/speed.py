"""How long a training would take, from a few of its steps on random images."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from time import perf_counter

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from pipeline.config.build import build
from pipeline.config.schema import Config
from pipeline.dataset.normalise import normalised
from pipeline.model.blocks import constrain
from pipeline.training.losses import whole_loss

BUDGET = 0.5  # seconds for the steps that are measured
STEPS = 2  # that find place in it, by a smaller batch where need be
FORWARDS = 3  # forward passes that cost as much as a step, whose backward pass computes two gradients
SMALLEST = 2  # images of a batch: batch norm of one image has no variance
AUGMENTED = 100  # images


@dataclass(frozen=True)
class Speed:
    """Seconds for one image, in batches of so many."""

    batch: int
    train: float  # forward, backward, optimizer
    evaluate: float  # forward
    augment: float


def measured(cfg: Config, network: nn.Module, classes: int) -> Speed:
    """Train `network` for about a second on random images, on the device and with the threads of a training; it is changed."""
    device = torch.accelerator.current_accelerator() or torch.device("cpu")
    step = _step(cfg, network.to(device))
    draw = _random_batches(cfg, classes, device)
    batch, seconds = SMALLEST, _seconds(step, *draw(SMALLEST))
    if seconds > BUDGET:
        return Speed(batch, seconds / batch, seconds / batch / FORWARDS, _augmenting(cfg))
    seconds = _seconds(step, *draw(SMALLEST))  # the first prepared what the later steps have
    batch = max(SMALLEST, min(cfg.training.batch_size, int(BUDGET / STEPS / seconds * SMALLEST)))
    _seconds(step, *draw(batch))
    seconds = median(_repeated(step, draw(batch)))
    network.eval()
    with torch.inference_mode():
        evaluate = min(_seconds(lambda images, _: network(images).sum(), *draw(batch)) for _ in range(2))
    return Speed(batch, seconds / batch, evaluate / batch, _augmenting(cfg))


def estimate(cfg: Config, speed: Speed, train: int, validation: int) -> Iterator[str]:
    """Yield what the measured speed means for a training on so many images."""
    training = cfg.training
    augment = max(0.0, speed.augment / max(1, training.workers) - (speed.train if training.workers else 0))  # workers do it meanwhile
    rate = 1 / (speed.train + augment)
    epoch = train / rate + validation * speed.evaluate
    threads = f"{training.threads} thread{'s' * (training.threads > 1)}"
    told = f"; augmentation takes {speed.augment * 1e6:,.0f} µs of each image" if speed.augment else ""
    smaller = ""
    if speed.batch < training.batch_size:
        smaller = f" (measured in batches of {speed.batch}; one of {training.batch_size} takes too long here for a check)"
    yield f"{_rate(rate)} images/s in training on {threads}{told}{smaller}"
    yield f"an epoch of {train:,} images takes {_duration(epoch)}, {training.epochs} epochs {_duration(epoch * training.epochs)}"


def _step(cfg: Config, network: nn.Module) -> Callable[[Tensor, Tensor], Tensor]:
    loss = build("loss", cfg.loss, nn.Module).to(next(network.parameters()).device)
    optimizer = build("optimizer", cfg.optimizer, Optimizer, [weight for weight in network.parameters() if weight.requires_grad])

    def step(images: Tensor, labels: Tensor) -> Tensor:
        optimizer.zero_grad()
        *_, value = whole_loss(network, loss, network(images), labels)
        value.backward()
        optimizer.step()
        constrain(network)
        return value

    return step


def _random_batches(cfg: Config, classes: int, device: torch.device) -> Callable[[int], tuple[Tensor, Tensor]]:
    side, channels = cfg.training.input or cfg.resize.size, cfg.dataset.channels
    half = torch.full((channels,), 0.5, device=device)

    def draw(count: int) -> tuple[Tensor, Tensor]:
        images = torch.randint(0, 256, (count, side, side, channels), dtype=torch.uint8, device=device)
        return normalised(images, half, half), torch.arange(count, device=device) % classes

    return draw


def _seconds(work: Callable[[Tensor, Tensor], Tensor], images: Tensor, labels: Tensor) -> float:
    start = perf_counter()
    work(images, labels).item()  # which waits for an accelerator
    return perf_counter() - start


def _repeated(work: Callable[[Tensor, Tensor], Tensor], batch: tuple[Tensor, Tensor]) -> list[float]:
    found: list[float] = []
    while sum(found) < BUDGET:
        found.append(_seconds(work, *batch))
    return found


def _augmenting(cfg: Config) -> float:
    if not any(cfg.augmentation.transforms.values()) and cfg.training.input is None:
        return 0.0
    from pipeline.dataset.augmentation import Augment

    augment = Augment(cfg.augmentation, cfg.seed, cfg.training.input)
    image = np.random.default_rng(cfg.seed).integers(0, 256, (cfg.resize.size, cfg.resize.size, cfg.dataset.channels), np.uint8)
    augment(image, 0, 0)
    start = perf_counter()
    for sample in range(AUGMENTED):
        augment(image, 0, sample)
    return (perf_counter() - start) / AUGMENTED


def _rate(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"


def _duration(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02} h" if hours else f"{minutes}:{rest:02} min"
