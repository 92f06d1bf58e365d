"""Measure training speed: a few steps on random images, or some seconds under other settings."""

import math
import os
import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.config.build import build
from pipeline.config.ranks import at_once
from pipeline.config.schema import Config
from pipeline.config.wording import counted
from pipeline.dataset.augmentation import Augment
from pipeline.dataset.loaders import Batch, PackedImages, loader
from pipeline.dataset.progress import duration
from pipeline.model.forward_pass import in_mode
from pipeline.training.device import set_up_processor
from pipeline.training.fit import configured_classifier, launch_fabric
from pipeline.training.loop import Loop

BUDGET = 0.5  # seconds for the steps that are measured
STEPS = 2  # that have to fit in, with a smaller batch where necessary
FORWARDS = 3  # forward passes per step: the backward pass computes two gradients
SMALLEST = 2  # images of a batch: the variance of one is undefined
AUGMENTED = 100  # images
AHEAD = 2  # batches that a worker prefetches


@dataclass(frozen=True)
class Speed:
    """Seconds per image, in batches of `batch` images."""

    batch: int
    train: float  # forward, backward, optimizer
    evaluate: float  # forward
    augment: float


def measured(cfg: Config, network: nn.Module, classes: int) -> Speed:
    """Train `network` (which changes) for about a second on random images, on the device and with the threads of a training."""
    loop, draw = loop_of(cfg, network, classes), _random_batches(cfg, classes)

    def step(images: Tensor, labels: Tensor) -> Tensor:
        return loop.train_step((images, labels), cfg.seed)

    batch, seconds = SMALLEST, _seconds(step, *draw(SMALLEST))
    if seconds > BUDGET:
        return Speed(batch, seconds / batch, seconds / batch / FORWARDS, _augmenting(cfg))
    seconds = _seconds(step, *draw(SMALLEST))  # after a first one to warm up
    batch = max(SMALLEST, min(at_once(cfg.training), int(BUDGET / STEPS / seconds * SMALLEST)))
    _seconds(step, *draw(batch))
    seconds = median(_repeated(step, draw(batch)))
    return Speed(batch, seconds / batch, _evaluating(loop, *draw(batch)) / batch, _augmenting(cfg))


def estimate(cfg: Config, speed: Speed, train: int, validation: int) -> Iterator[str]:
    """Yield lines on the time that a training on so many images takes at the measured speed."""
    training = cfg.training
    workers = cfg.machine.workers
    augment = max(0.0, speed.augment / max(1, workers) - (speed.train if workers else 0))  # workers overlap it with the step
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


def loop_of(cfg: Config, network: nn.Module, classes: int) -> Loop:
    """Return the loop of a single-process training, whose steps can be timed one by one. They change the network."""
    cfg = deepcopy(cfg)
    cfg.training.batch_size, cfg.training.accumulate = at_once(cfg.training), 1  # images that one device processes at once
    cfg.training.devices = cfg.training.nodes = 1
    cfg.training.compile, cfg.training.divergence = False, math.inf  # random images may make it diverge
    half = [0.5] * cfg.dataset.channels
    loss = build("loss", cfg.loss, nn.Module)
    return Loop(launch_fabric(cfg.training), configured_classifier(cfg, network.train(), half, half, classes, loss), sys.maxsize)


def _evaluating(loop: Loop, images: Tensor, labels: Tensor) -> float:
    """Return the seconds of a forward pass."""

    def forward(images: Tensor, _: Tensor) -> Tensor:
        scores: Tensor = loop.module.network(loop.module.prepared(images.to(loop.module.device)))
        return scores.sum()

    with in_mode(loop.module, training=False), torch.inference_mode(), loop.fabric.autocast():
        return min(_seconds(forward, images, labels) for _ in range(2))


def _random_batches(cfg: Config, classes: int) -> Callable[[int], tuple[Tensor, Tensor]]:
    side, channels = cfg.training.input or cfg.resize.size, cfg.dataset.channels

    def draw(count: int) -> tuple[Tensor, Tensor]:
        images = torch.randint(0, 256, (count, side, side, channels), dtype=torch.uint8)
        return images, torch.arange(count) % classes

    return draw


def _seconds(work: Callable[[Tensor, Tensor], Tensor], images: Tensor, labels: Tensor) -> float:
    start = perf_counter()
    work(images, labels).item()  # synchronises an accelerator
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
    augment, samples = Augment(augmentation, cfg.seed, cfg.training.input), np.arange(AUGMENTED)
    images = np.random.default_rng(cfg.seed).integers(0, 256, (AUGMENTED, side, side, cfg.dataset.channels), np.uint8)
    augment(images[:1].copy(), 0, samples[:1])  # to warm up
    start = perf_counter()
    augment(images, 0, samples)
    return (perf_counter() - start) / AUGMENTED


def _rate(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 10 else f"{duration(seconds)} {'h' if round(seconds) >= 3600 else 'min'}"


class Trial:
    """Times a training, from loading to optimizer steps, for some seconds under other settings.

    prepared: a folder with the train split. network: freshly initialised; every trial changes it."""

    def __init__(self, cfg: Config, prepared: Path, network: nn.Module, classes: int) -> None:
        self.cfg = cfg
        self.classes = classes
        augment = Augment(cfg.augmentation, cfg.seed, cfg.training.input)
        self.images = PackedImages(prepared, "train", augment)
        self.network = network

    def rate(self, setting: dict[str, Any], seconds: float) -> float:
        """Train for `seconds`, at least one step, with these config values (dotted key -> value); return images per second."""
        cfg = with_values(self.cfg, setting)
        set_up_processor(cfg.training.threads)
        loop = loop_of(cfg, self.network, self.classes)
        batches = self._batches(cfg)
        for batch in islice(batches, 1 + AHEAD * cfg.machine.workers):  # warms up kernels and memory
            loop.train_step(batch, cfg.seed).item()
        done, start = 0, perf_counter()
        for batch in batches:
            loss = loop.train_step(batch, cfg.seed)
            done += len(batch[1])
            if perf_counter() - start > seconds:
                loss.item()  # synchronises an accelerator
                break
        return done / (perf_counter() - start)

    def _batches(self, cfg: Config) -> Iterator[Batch]:
        """Yield batches endlessly, epoch after epoch."""
        training = cfg.training
        batches = loader(self.images, at_once(training), cfg.seed, cfg.machine.workers, training.balance == "sampler")
        for epoch in count():
            batches.sampler.set_epoch(epoch)
            yield from batches


def with_values(cfg: Config, setting: dict[str, Any]) -> Config:
    """Return a copy of the config with other values; dotted key -> value."""
    changed = deepcopy(cfg)
    for key, value in setting.items():
        node, _, name = key.partition(".")
        setattr(getattr(changed, node), name, value)
    return changed


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def precisions() -> list[str]:
    """Return the values of training.precision that the GPU, or else the CPU, supports natively."""
    if torch.cuda.is_available():
        return ["32-true", "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"]
    has_bf16 = any(has for name, has in torch.cpu.get_capabilities().items() if name.endswith("bf16"))
    return ["32-true", "bf16-mixed"] if has_bf16 else ["32-true"]
