"""The training loop, top to bottom: epochs of optimizer steps, each epoch followed by validation, the schedule and the callbacks."""

import math
import operator
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import reduce
from typing import Any

import numpy as np
import torch
from lightning.fabric import Fabric
from torch import Tensor

from pipeline.dataset.loaders import Batch, Loader
from pipeline.model.forward_pass import in_mode
from pipeline.training.classifier import Classifier, is_per_step
from pipeline.training.distributed import broadcast_buffers, rank_loss_scale
from pipeline.training.divergence import CHECK_EVERY, require_finite, require_plausible
from pipeline.training.losses import MicroBatch, loss_weight


class Callback:
    """Observes a training: override the hooks you need, and add an instance to `callbacks` in fit.py.

    A hook reads the loop's attributes, listed in `Loop.__init__`, and may set `loop.should_stop`. Hooks run in the order of that
    list. State that must survive a kill goes through `state_dict`, as tensors and plain values."""

    def on_train_start(self, loop: "Loop") -> None:
        """Before the first step; when a killed training resumes, after `load_state_dict`."""

    def on_before_step(self, loop: "Loop") -> None:
        """After the backward pass of the whole batch, before the gradients are clipped."""

    def on_step_end(self, loop: "Loop") -> None:
        """After an optimizer step, and after the scheduler's if it is stepped per step."""

    def on_epoch_end(self, loop: "Loop") -> None:
        """After validation and the scheduler's step; `loop.metrics` holds the loss and accuracy of both splits."""

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps of this callback."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""


class Loop:
    """Trains `module` on the device of `fabric`, which must have been launched.

    steps: optimizer steps of the whole training, which set the length of the schedule."""

    def __init__(self, fabric: Fabric, module: Classifier, steps: int, callbacks: Sequence[Callback] = ()) -> None:
        self.fabric = fabric
        self.module = module
        self.callbacks = callbacks
        fabric.to_device(module)  # before the optimizer is made, which keeps references to the parameters
        self.wrapped = fabric.strategy.setup_module(module)  # in DDP with several ranks, else the module itself
        module.total_steps = steps
        self.optimizer, self.scheduler = module.configure_optimizers()

        self.epoch = 0  # current epoch, counted from 1
        self.epochs: int | None = None  # to train; None: until a callback stops the training
        self.batches_done = 0  # in this epoch
        self.batches: int  # per epoch
        self.step = 0  # optimizer steps done since the start of training
        self.loss: Tensor  # of the last step, ()
        self.lr: float  # learning rate at the start of this epoch
        self.epoch_start: float  # time.perf_counter() before this epoch's first step
        self.training_end: float  # the same after its last step, before validation
        self.images: int  # trained on in this epoch
        self.metrics: dict[str, float]  # of this epoch, after validation
        self.should_stop = False  # set by a callback; takes effect after the current step or epoch

    def fit(self, train: Loader, validation: Loader | None, epochs: int | None, checkpoint: dict[str, Any] | None = None) -> None:
        """Train for `epochs` epochs; None: until a callback stops the training. checkpoint: a `state_dict` to resume from.

        Without `validation` there are no metrics, and `on_epoch_end` is not called.
        Raises DivergedError for metrics that are not finite and for a loss far above chance."""
        self.epochs, self.batches = epochs, len(train)
        if checkpoint:
            self.load_state_dict(checkpoint)
        for callback in self.callbacks:
            callback.on_train_start(self)
        while not self.should_stop and self.epoch != epochs:
            self.epoch += 1
            self._train_epoch(train)
            if validation:
                self._validate(validation)
            if not is_per_step(self.scheduler):  # before the callbacks, one of which writes the checkpoint
                self.scheduler.step()
            if validation:
                for callback in self.callbacks:
                    callback.on_epoch_end(self)

    def _train_epoch(self, train: Loader) -> None:
        """Make one pass over the training batches, cut short if a callback stops the training."""
        self.epoch_start = time.perf_counter()
        self.lr = self.optimizer.param_groups[0]["lr"]
        seeds = dropout_seeds(self.batches, self.module.seed, self.epoch - 1, self.fabric.global_rank)
        train.sampler.set_epoch(self.epoch - 1)
        self.module.on_train_epoch_start()
        self.batches_done = 0
        for batch, seed in zip(train, seeds, strict=True):
            self.loss = self.train_step(batch, seed)
            self.batches_done += 1
            for callback in self.callbacks:
                callback.on_step_end(self)
            if self.should_stop:
                break
        self.training_end = time.perf_counter()

    def train_step(self, batch: Batch, seed: int) -> Tensor:
        """Make one optimizer step on uint8 images (B, H, W, C) and labels (B,); return the loss, (). seed: for dropout."""
        module = self.module
        seed_generators(module.device, seed)
        images, labels = self._to_device(batch)
        weight = loss_weight(module.loss, labels)
        scale = rank_loss_scale(weight)
        micro_batches = module.micro_batches(images, labels, self.step)  # one, unless training.accumulate asks for more
        loss = reduce(operator.add, [self._backward(micro_batch, scale) for micro_batch in micro_batches])
        module.accumulators["train"].add_loss(loss, weight)
        with suppress(NotImplementedError):  # raised for a fused optimizer, which unscales within its step
            self.fabric.strategy.precision.unscale_gradients(self.optimizer)
        for callback in self.callbacks:
            callback.on_before_step(self)
        module.on_before_optimizer_step(self.optimizer)
        self.fabric.strategy.optimizer_step(self.optimizer)
        self.optimizer.zero_grad()
        self.step += 1
        module.on_after_optimizer_step(self.step)
        if is_per_step(self.scheduler):
            self.scheduler.step()
        return loss

    def _backward(self, micro_batch: MicroBatch, scale: Tensor | None) -> Tensor:
        """Accumulate the gradients of a micro-batch; return its share of the batch's loss, (), without auxiliary heads.

        scale: of this rank's loss, (); None: 1."""
        with self.fabric.autocast():
            total, loss = self.wrapped(micro_batch)  # with the losses of auxiliary heads, and without
            is_due = total.device.type == "cpu" or self.batches_done % CHECK_EVERY == 0  # on an accelerator the check is a sync
            if is_due and self.module.loss_limit < math.inf:
                require_finite(total, self.module.network, micro_batch.images, self.step, self.optimizer)
        self.fabric.strategy.backward(total if scale is None else total * scale, None)
        return loss

    def _validate(self, validation: Loader) -> None:
        """Set `images` and `metrics` of this epoch, summed over all ranks. Raises DivergedError for implausible ones."""
        if self.fabric.world_size > 1:
            broadcast_buffers(self.module)
        with in_mode(self.module, training=False), torch.inference_mode(), self.fabric.autocast():
            for index, batch in enumerate(validation):
                self.module.validation_step(self._to_device(batch), index)
        self.images, self.metrics = self.module.epoch_metrics(self._sum_over_ranks)
        require_plausible(self.metrics, self.epoch, self.module.loss_limit, self.optimizer)

    def _to_device(self, batch: Batch) -> Batch:
        images, labels = batch
        return images.to(self.module.device, non_blocking=True), labels.to(self.module.device, non_blocking=True)

    def _sum_over_ranks(self, values: Tensor) -> Tensor:
        if self.fabric.world_size == 1:
            return values
        total: Tensor = self.fabric.all_reduce(values.to(self.module.device), reduce_op="sum")  # type: ignore[assignment]
        return total.cpu()

    def state_dict(self) -> dict[str, Any]:
        """Return the state from which training resumes after this epoch, as tensors and plain values."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "model": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "precision": self.fabric.strategy.precision.state_dict(),  # 16-mixed: the loss scale
            "callbacks": {type(callback).__name__: callback.state_dict() for callback in self.callbacks},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned; training continues with the next epoch."""
        self.epoch, self.step = state["epoch"], state["step"]
        self.module.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        self.fabric.strategy.precision.load_state_dict(state["precision"])
        for callback in self.callbacks:
            callback.load_state_dict(state["callbacks"][type(callback).__name__])


def dropout_seeds(batches: int, seed: int, epoch: int, rank: int) -> list[int]:
    """Return one dropout seed per batch of an epoch on one rank. epoch, rank: from 0.

    Called once before the epoch, as making them one by one takes ten times as long."""
    sequences = (np.random.SeedSequence([seed, epoch, batch, rank]) for batch in range(batches))
    return [int(sequence.generate_state(1, np.uint64)[0]) for sequence in sequences]


def seed_generators(device: torch.device, seed: int) -> None:
    """Seed torch's generators of the CPU and of `device` alone: torch.manual_seed seeds all devices, which takes 0.1 ms a step."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
