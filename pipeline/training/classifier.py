"""The LightningModule: steps of training and validation, optimizer and schedule, weight averaging, an epoch's metrics."""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import lightning as L
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from pipeline.config.ranks import at_once
from pipeline.config.schema import Training
from pipeline.dataset.loaders import Batch
from pipeline.dataset.normalise import scaled, scaling
from pipeline.model.layers import constrained
from pipeline.training.device import to_memory_format
from pipeline.training.losses import MicroBatch, loss_weight, split_batch, whole_loss
from pipeline.training.mixup import Mixing

MakeOptimizer = Callable[[nn.Module], Optimizer]
MakeScheduler = Callable[[Optimizer, int], LRScheduler]  # the number of optimizer steps


class Classifier(L.LightningModule):
    """Trains `network`, (B, C, H, W) -> (B, classes), on batches of uint8 (B, H, W, C) and labels (B,); called by loop.py.

    mean, std: of the training images, per channel, in [0, 1].
    Metrics are those of the main scores even where auxiliary heads take part in training, so that training compares with validation.
    Training metrics are those of the augmented images; of two that are mixed, the label of the larger share counts."""

    mean: Tensor
    std: Tensor
    total_steps: int  # of the whole training; set by the loop before it asks for the optimizer

    def __init__(
        self,
        network: nn.Module,
        mean: list[float],
        std: list[float],
        classes: int,
        loss: nn.Module,
        make_optimizer: MakeOptimizer,
        make_scheduler: MakeScheduler,
        mixing: Mixing | None,
        training: Training,
        seed: int,
    ) -> None:
        super().__init__()
        self.network = to_memory_format(network, training.layout)
        self.average = Average(self.network, training.average) if training.average else None
        self.loss = loss
        self.make_optimizer = make_optimizer
        self.make_scheduler = make_scheduler
        self.mixing = mixing
        self.training_config = training
        self.seed = seed
        self.constrained = constrained(network)
        self.loss_limit = training.divergence * math.log(classes)
        self.scaling: tuple[int, tuple[Tensor, Tensor]] | None = None  # of images of that width
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("std", torch.tensor(std))
        if training.compile:
            self.network.compile()
        self.on_train_epoch_start()

    @property
    def kept(self) -> nn.Module:
        """The network that is validated and kept: the moving average where there is one."""
        return self.average.network if self.average else self.network

    def configure_optimizers(self) -> tuple[Optimizer, LRScheduler]:  # type: ignore[override]  # one of each
        """Return the optimizer of the network's parameters, and its schedule."""
        optimizer = self.make_optimizer(self.network)
        return optimizer, self.make_scheduler(optimizer, self.total_steps)

    def on_train_epoch_start(self) -> None:
        """Reset the metrics."""
        self.accumulators = {"train": Accumulator(), "validation": Accumulator()}

    def prepared(self, images: Tensor) -> Tensor:
        """Normalise uint8 images: (B, H, W, C) -> float (B, C, H, W)."""
        width, layout = images.shape[2], self.training_config.layout
        if self.scaling is None or self.scaling[0] != width:
            self.scaling = width, scaling(self.mean, self.std, width, layout)
        return scaled(images, self.scaling[1], layout)

    def micro_batches(self, images: Tensor, labels: Tensor, step: int) -> list[MicroBatch]:
        """Normalise a batch of uint8 images, (B, H, W, C), apply mixup or CutMix, and split it for training.accumulate."""
        seen, others, share = self.prepared(images), labels, 1.0
        if self.mixing:
            seen, others, share = self.mixing(seen, labels, step)
        return split_batch(seen, labels, others, share, self.loss, at_once(self.training_config))

    def training_step(self, micro_batch: MicroBatch) -> tuple[Tensor, Tensor]:  # type: ignore[override]  # one argument, not any
        """Return its share of the batch's loss, () each: with auxiliary heads, for the backward pass, and without, detached."""
        scores, loss, whole = micro_batch.losses(self.network, self.loss, self.network(micro_batch.images))
        self.accumulators["train"].add_scores(scores, micro_batch.larger)
        return whole, loss.detach()

    def forward(self, micro_batch: MicroBatch) -> tuple[Tensor, Tensor]:
        """Run the training step: DDP wraps `forward`."""
        return self.training_step(micro_batch)

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Clip the gradient norm to training.clip."""
        if self.training_config.clip:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.training_config.clip)

    def on_after_optimizer_step(self, step: int) -> None:
        """Enforce weight constraints, then update the moving average. step: counted from 1."""
        for layer in self.constrained:
            layer.constrain()
        if self.average:
            self.average.update(self.network, step)

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Accumulate loss and accuracy of a batch: uint8 (B, H, W, C) and labels (B,)."""
        images, labels = batch
        scores, loss, _ = whole_loss(self.kept, self.loss, self.kept(self.prepared(images)), labels)
        self.accumulators["validation"].add_loss(loss, loss_weight(self.loss, labels))
        self.accumulators["validation"].add_scores(scores, labels)

    def epoch_metrics(self, sum_of_ranks: Callable[[Tensor], Tensor]) -> tuple[int, dict[str, float]]:
        """Return the images that the epoch trained on, and both splits' loss and accuracy. sum_of_ranks: sums a tensor over ranks."""
        totals = {split: sum_of_ranks(accumulator.total()) for split, accumulator in self.accumulators.items()}
        return round(totals["train"][-1].item()), metrics_of(totals)


def is_per_step(scheduler: LRScheduler) -> bool:
    """Return whether a schedule is stepped after every optimizer step; torch's own are stepped after every epoch here."""
    return getattr(scheduler, "per_step", False)


class Average(nn.Module):
    """An exponential moving average of a network's weights and batch-norm statistics (Polyak and Juditsky, SIAM J. Control 30, 1992).

    average = decay * average + (1 - decay) * value, with a decay of at most (1 + step) / (10 + step), so that the initial
    weights are soon forgotten (as in TensorFlow's ExponentialMovingAverage)."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).requires_grad_(requires_grad=False).eval()
        self.decay = decay
        self.pairs: tuple[list[Tensor], list[Tensor]] | None = None  # (average, network), once both are on their device

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Average in the network's weights after an optimizer step, counted from 1."""
        self.pairs = self.pairs or (_values(self.network), _values(network))
        ours, theirs = self.pairs
        torch._foreach_lerp_(ours, theirs, 1 - min(self.decay, (1 + step) / (10 + step)))
        for mine, value in zip(self.network.buffers(), network.buffers(), strict=True):
            if not value.is_floating_point():
                mine.copy_(value)  # batch norm's count of batches


def _values(network: nn.Module) -> list[Tensor]:
    return [value for value in network.state_dict().values() if value.is_floating_point()]


WAITING = 50  # batches whose scores are kept and counted at once: counting each by itself takes as long as a layer


@dataclass
class Accumulator:
    """Accumulates a split's loss and accuracy over an epoch, on the device; nothing synchronises before `total`."""

    losses: list[Tensor] = field(default_factory=list)  # mean of each batch
    counted: list[Tensor | int] = field(default_factory=list)  # weight of each batch's images in the mean
    right: list[Tensor] = field(default_factory=list)  # correct predictions of some batches
    images: int = 0
    scores: list[tuple[Tensor, Tensor]] = field(default_factory=list)  # with their labels, not counted yet

    def add_loss(self, loss: Tensor, counted: Tensor | int) -> None:
        """Add a batch's mean loss, (), and the weight of its images in the mean (see `losses.counted`)."""
        self.losses.append(loss.detach())
        self.counted.append(counted)

    def add_scores(self, scores: Tensor, labels: Tensor) -> None:
        """Add a batch's predictions. scores: (B, classes). labels: (B,)."""
        self.scores.append((scores.detach(), labels))
        self.images += len(labels)
        if len(self.scores) == WAITING:
            self._count()

    def _count(self) -> None:
        scores, labels = map(torch.cat, zip(*self.scores, strict=True))
        self.right.append((scores.argmax(dim=1) == labels).sum())
        self.scores.clear()

    def total(self) -> Tensor:
        """Return (4,) float64 on the CPU: summed loss, summed weight, correct predictions, images."""
        if self.scores:
            self._count()
        counted = torch.stack([torch.as_tensor(value, dtype=torch.float64) for value in self.counted]).cpu()
        losses, right = (torch.stack(values).double().cpu() for values in (self.losses, self.right))
        return torch.stack([losses @ counted, counted.sum(), right.sum(), torch.tensor(self.images, dtype=torch.float64)])


def metrics_of(totals: dict[str, Tensor]) -> dict[str, float]:
    """Return each split's mean loss and accuracy from its `total`, (4,)."""
    metrics: dict[str, float] = {}
    for split, total in totals.items():
        loss, count, right, images = total.tolist()
        metrics |= {f"{split}/accuracy": right / images, f"{split}/loss": loss / count}
    return metrics
