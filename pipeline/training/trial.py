"""A training that is timed for some seconds under other settings: the loader, its augmentation, the steps."""

import os
from collections.abc import Iterator
from copy import deepcopy
from itertools import count, islice
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import nn

from pipeline.config.rank import at_once
from pipeline.config.schema import Config
from pipeline.dataset.augmentation import Augment
from pipeline.dataset.loaders import Batch, PackedImages, loader
from pipeline.training.processor import set_up_processor
from pipeline.training.speed import training_step

AHEAD = 2  # batches that a worker makes before they are asked for


class Trial:
    """prepared: a folder with the train split. network: as it is before a training; every trial changes it."""

    def __init__(self, cfg: Config, prepared: Path, network: nn.Module) -> None:
        self.cfg = cfg
        augment = Augment(cfg.augmentation, cfg.seed, cfg.training.input)
        self.images = PackedImages(prepared, "train", augment)
        self.network = network

    def rate(self, setting: dict[str, Any], seconds: float) -> float:
        """Train for `seconds`, at least one step, under the setting (dotted key -> value); return images per second."""
        cfg = with_values(self.cfg, setting)
        set_up_processor(cfg.training.threads)
        step = training_step(cfg, self.network.train())
        batches = self._batches(cfg)
        for images, labels in islice(batches, 1 + AHEAD * cfg.machine.workers):  # the first chooses kernels and takes memory
            step(images, labels).item()
        done, start = 0, perf_counter()
        for images, labels in batches:
            loss = step(images, labels)
            done += len(labels)
            if perf_counter() - start > seconds:
                loss.item()  # which waits for an accelerator
                break
        return done / (perf_counter() - start)

    def _batches(self, cfg: Config) -> Iterator[Batch]:
        """Yield the batches of one epoch after another."""
        training = cfg.training
        batches = loader(self.images, at_once(training), cfg.seed, cfg.machine.workers, training.balance == "sampler")
        for epoch in count():
            batches.sampler.set_epoch(epoch)
            yield from batches


def with_values(cfg: Config, setting: dict[str, Any]) -> Config:
    """Return a copy with some of its values changed; dotted key -> value."""
    changed = deepcopy(cfg)
    for key, value in setting.items():
        node, _, name = key.partition(".")
        setattr(getattr(changed, node), name, value)
    return changed


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def precisions() -> list[str]:
    """Return those that the accelerator, or else the processor, computes by itself."""
    if torch.cuda.is_available():
        return ["32-true", "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"]
    has_bf16 = any(has for name, has in torch.cpu.get_capabilities().items() if name.endswith("bf16"))
    return ["32-true", "bf16-mixed"] if has_bf16 else ["32-true"]
