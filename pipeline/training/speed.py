"""How long a training would take, from a few of its steps on random images."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from pipeline.config.build import build
from pipeline.config.counted import counted
from pipeline.config.rank import at_once
from pipeline.config.schema import Config
from pipeline.dataset.normalise import normalised
from pipeline.model.blocks import constrain
from pipeline.training.losses import whole_loss
from pipeline.training.optimizers import parameter_groups
from pipeline.training.processor import laid_out

BUDGET = 0.5  # seconds for the steps that are measured
STEPS = 2  # that find place in it, by a smaller batch where need be
FORWARDS = 3  # forward passes that cost as much as a step, whose backward pass computes two gradients
SMALLEST = 2  # images of a batch: batch norm of one image has no variance
AUGMENTED = 100  # images

MIXED = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


@dataclass(frozen=True)
class Speed:
    """Seconds for one image, in batches of so many."""

    batch: int
    train: float  # forward, backward, optimizer
    evaluate: float  # forward
    augment: float


def measured(cfg: Config, network: nn.Module, classes: int) -> Speed:
    """Train `network` for about a second on random images, on the device and with the threads of a training; it is changed."""
    step = training_step(cfg, network)
    draw = _random_batches(cfg, classes)
    batch, seconds = SMALLEST, _seconds(step, *draw(SMALLEST))
    if seconds > BUDGET:
        return Speed(batch, seconds / batch, seconds / batch / FORWARDS, _augmenting(cfg))
    seconds = _seconds(step, *draw(SMALLEST))  # the first prepared what the later steps have
    batch = max(SMALLEST, min(at_once(cfg.training), int(BUDGET / STEPS / seconds * SMALLEST)))
    _seconds(step, *draw(batch))
    seconds = median(_repeated(step, draw(batch)))
    answer = _forward(cfg, network.eval())
    with torch.inference_mode():
        evaluate = min(_seconds(lambda images, _: answer(images).sum(), *draw(batch)) for _ in range(2))
    return Speed(batch, seconds / batch, evaluate / batch, _augmenting(cfg))


def estimate(cfg: Config, speed: Speed, train: int, validation: int) -> Iterator[str]:
    """Yield what the measured speed means for a training on so many images."""
    training = cfg.training
    workers = cfg.machine.workers
    augment = max(0.0, speed.augment / max(1, workers) - (speed.train if workers else 0))  # workers do it meanwhile
    rate = 1 / (speed.train + augment)
    epoch = train / rate + validation * speed.evaluate
    threads = counted(training.threads, "thread")
    told = f"; augmentation takes {speed.augment * 1e6:,.0f} µs of each image" if speed.augment else ""
    smaller = ""
    if speed.batch < at_once(training):
        smaller = f" (measured in batches of {speed.batch}; one of {at_once(training)} takes too long here for a check)"
    yield f"{_rate(rate)} images/s in training on {threads}{told}{smaller}"
    yield (
        f"an epoch of {counted(train, 'image')} takes {_duration(epoch)}, "
        f"{counted(training.epochs, 'epoch')} {_duration(epoch * training.epochs)}"
    )


def device() -> torch.device:
    return torch.accelerator.current_accelerator() or torch.device("cpu")


def training_step(cfg: Config, network: nn.Module) -> Callable[[Tensor, Tensor], Tensor]:
    """Return what a training does with a batch of uint8 (B, H, W, C) and labels (B,), in its layout and precision; it gives the loss.

    The network moves to the device and changes with every call."""
    forward = _forward(cfg, network)
    loss = build("loss", cfg.loss, nn.Module).to(device())
    optimizer = build("optimizer", cfg.optimizer, Optimizer, parameter_groups(network, cfg.training.decay))

    def step(images: Tensor, labels: Tensor) -> Tensor:
        optimizer.zero_grad()
        with _autocast(cfg.training.precision):
            *_, value = whole_loss(network, loss, forward(images), labels.to(device()))
        value.backward()
        optimizer.step()
        constrain(network)
        return value

    return step


def _forward(cfg: Config, network: nn.Module) -> Callable[[Tensor], Any]:
    """Return what takes uint8 (B, H, W, C) to the network's answer."""
    laid_out(network.to(device()), cfg.training.layout)
    half = torch.full((cfg.dataset.channels,), 0.5, device=device())

    def forward(images: Tensor) -> Any:
        with _autocast(cfg.training.precision):
            return network(normalised(images.to(device()), half, half, cfg.training.layout))

    return forward


def _autocast(precision: str) -> torch.autocast:
    return torch.autocast(device().type, MIXED.get(precision), enabled=precision in MIXED)


def _random_batches(cfg: Config, classes: int) -> Callable[[int], tuple[Tensor, Tensor]]:
    side, channels = cfg.training.input or cfg.resize.size, cfg.dataset.channels

    def draw(count: int) -> tuple[Tensor, Tensor]:
        images = torch.randint(0, 256, (count, side, side, channels), dtype=torch.uint8)
        return images, torch.arange(count) % classes

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
    augmentation, side = cfg.augmentation, cfg.resize.size
    if not any(augmentation.transforms.values()) and not augmentation.alternating_flip and cfg.training.input is None:
        return 0.0
    from pipeline.dataset.augmentation import Augment

    augment, samples = Augment(augmentation, cfg.seed, cfg.training.input), np.arange(AUGMENTED)
    images = np.random.default_rng(cfg.seed).integers(0, 256, (AUGMENTED, side, side, cfg.dataset.channels), np.uint8)
    augment(images[:1].copy(), 0, samples[:1])  # the first prepares what the others have
    start = perf_counter()
    augment(images, 0, samples)
    return (perf_counter() - start) / AUGMENTED


def _rate(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"


def _duration(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02} h" if hours else f"{minutes}:{rest:02} min"
