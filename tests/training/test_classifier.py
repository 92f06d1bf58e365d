import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from lightning.fabric import Fabric
from torch import nn

from pipeline.config.schema import Config, Training
from pipeline.dataset.manifest import Manifest
from pipeline.model.layers import CappedConv2d
from pipeline.training.classifier import Average, Classifier
from pipeline.training.loop import Callback, Loop, dropout_seeds
from pipeline.training.mixup import Mixing


@pytest.fixture
def training(cfg: Config) -> Training:
    return cfg.training


def classifier(
    manifest: Manifest,
    training: Training,
    network: nn.Module | None = None,
    seed: int = 0,
    rate: float = 0.1,
    mixing: Mixing | None = None,
) -> Classifier:
    return Classifier(
        network or nn.Sequential(nn.Flatten(), nn.Linear(64, 3)),
        manifest.mean,
        manifest.std,
        len(manifest.classes),
        nn.CrossEntropyLoss(),
        lambda network: torch.optim.SGD(network.parameters(), rate),
        lambda optimizer, _steps: torch.optim.lr_scheduler.StepLR(optimizer, 2),
        mixing,
        training,
        seed,
    )


def batch(count: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randint(0, 256, (count, 8, 8, 1), dtype=torch.uint8), torch.arange(count) % 3


class Kept(Callback):
    """Keeps something of each epoch's end."""

    def __init__(self, what: Callable[[Loop], Any]) -> None:
        self.what = what
        self.seen: list[Any] = []

    def on_epoch_end(self, loop: Loop) -> None:
        self.seen.append(self.what(loop))


def trained(module: Classifier, epochs: int = 2, sizes: tuple[int, ...] = (6, 2), *callbacks: Callback) -> Loop:
    """Train on batches of these sizes."""
    torch.manual_seed(7)
    return train_on(module, [batch(size) for size in sizes], epochs, *callbacks)


class Stored(torch.utils.data.SequentialSampler):
    """Gives the batches as they are stored, in every epoch."""

    def set_epoch(self, epoch: int) -> None:
        pass


def train_on(module: Classifier, batches: list[Any], epochs: int, *callbacks: Callback, checkpoint: dict[str, Any] | None = None) -> Loop:
    """Train and validate on these batches, from the beginning or from a checkpoint."""
    fabric = Fabric(accelerator="cpu", devices=1)
    fabric.launch()
    loader: Any = torch.utils.data.DataLoader(batches, batch_size=None, sampler=Stored(batches))
    loop = Loop(fabric, module, epochs * len(batches), callbacks)
    loop.fit(loader, loader, epochs, checkpoint)
    return loop


def test_the_network_sees_normalised_images_channels_first(manifest: Manifest, training: Training) -> None:
    images, _ = batch()
    expected = (images.permute(0, 3, 1, 2) / 255 - manifest.mean[0]) / manifest.std[0]
    torch.testing.assert_close(classifier(manifest, training).prepared(images), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("layout", "memory"), [("channels_last", torch.channels_last), ("contiguous", torch.contiguous_format)])
def test_filters_lie_in_memory_as_configured(layout: str, memory: torch.memory_format, manifest: Manifest, training: Training) -> None:
    training.layout = layout
    module = classifier(manifest, training, nn.Sequential(nn.Conv2d(3, 4, 3)))
    assert module.network[0].weight.is_contiguous(memory_format=memory)


def test_optimizer_and_schedule_are_those_that_were_given_and_hold_the_network(manifest: Manifest, training: Training) -> None:
    loop = trained(classifier(manifest, training), epochs=1)
    assert isinstance(loop.optimizer, torch.optim.SGD)
    assert isinstance(loop.scheduler, torch.optim.lr_scheduler.StepLR)
    assert loop.optimizer.param_groups[0]["params"] == list(loop.module.network.parameters())


def test_a_step_follows_the_gradient_of_its_own_batch_alone(manifest: Manifest, training: Training) -> None:
    batches = [batch(), batch()]
    module = classifier(manifest, training)
    one_after_the_other = copy.deepcopy(module.network)
    for images in batches:
        alone = classifier(manifest, training, one_after_the_other)
        train_on(alone, [images], 1)
    train_on(module, batches, 1)
    torch.testing.assert_close(module.network.state_dict(), one_after_the_other.state_dict())


def test_the_loss_limit_is_a_multiple_of_guessing(manifest: Manifest, training: Training) -> None:
    assert classifier(manifest, training).loss_limit == pytest.approx(10 * math.log(3))


def test_an_epoch_s_metrics_are_means_over_its_images_by_split(manifest: Manifest, training: Training) -> None:
    module = classifier(manifest, training, constant(), rate=1e-9)
    loop = trained(module, epochs=1)
    metrics = loop.metrics
    assert set(metrics) == {"train/loss", "train/accuracy", "validation/loss", "validation/accuracy"}
    assert metrics["validation/loss"] == pytest.approx(math.log(3), abs=1e-5)
    assert metrics["validation/accuracy"] == pytest.approx(3 / 8)  # labels 0 1 2 0 1 2 and 0 1; all said to be 0
    assert metrics["train/accuracy"] == pytest.approx(3 / 8)
    assert loop.images == 8


def test_every_image_counts_alike_in_an_epoch_s_loss_whatever_its_batch(manifest: Manifest, training: Training) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    images, labels = batch(8)
    together = train_on(classifier(manifest, training, copy.deepcopy(network), rate=1e-9), [(images, labels)], 1)
    apart = train_on(classifier(manifest, training, network, rate=1e-9), [(images[:7], labels[:7]), (images[7:], labels[7:])], 1)
    assert apart.metrics == pytest.approx(together.metrics, rel=1e-5)


def constant() -> nn.Sequential:
    """A network that gives every class the same score."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    for parameter in network.parameters():
        nn.init.zeros_(parameter).requires_grad_(False)
    return network.append(Bias())  # the one parameter with a gradient, which is zero


class Bias(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.zero = nn.Parameter(torch.zeros(1))

    def forward(self, scores: torch.Tensor) -> torch.Tensor:
        return scores + self.zero * 0


def test_dropout_draws_by_seed_and_step_alone(manifest: Manifest, training: Training) -> None:
    def weights(seed: int, before: int) -> torch.Tensor:
        torch.manual_seed(1)
        network = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 3))
        module = classifier(manifest, training, network, seed)
        torch.rand(before)
        trained(module)
        return network[2].weight.detach().clone()

    assert torch.equal(weights(3, before=0), weights(3, before=11))
    assert not torch.equal(weights(3, before=0), weights(4, before=0))


class TwoHeads(nn.Module):
    """In training the scores and those of two auxiliary heads, as GoogLeNet."""

    auxiliary_weight = 0.3

    def __init__(self) -> None:
        super().__init__()
        self.main, self.first, self.second = (nn.Linear(64, 3) for _ in range(3))

    def forward(self, images: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        values = images.flatten(1)
        return (self.main(values), self.first(values), self.second(values)) if self.training else self.main(values)


def test_auxiliary_heads_learn_and_the_metrics_are_of_the_main_scores(manifest: Manifest, training: Training) -> None:
    network = TwoHeads()
    for layer, answer in ((network.main, 1), (network.first, 0), (network.second, 2)):
        nn.init.zeros_(layer.weight)
        with torch.no_grad():
            layer.bias.copy_(torch.eye(3)[answer])
    before = copy.deepcopy(network)
    metrics = trained(classifier(manifest, training, network, rate=1e-5), epochs=1).metrics
    assert metrics["train/accuracy"] == metrics["validation/accuracy"] == pytest.approx(3 / 8)  # those whose label is 1
    assert metrics["train/loss"] == pytest.approx(metrics["validation/loss"], abs=1e-3)
    assert all(not torch.equal(layer.weight, old.weight) for layer, old in zip(network.children(), before.children(), strict=True))


def test_an_auxiliary_head_s_gradient_counts_by_its_weight(manifest: Manifest, training: Training) -> None:
    network = TwoHeads()
    network.first.load_state_dict(network.main.state_dict())
    before = copy.deepcopy(network)
    module = classifier(manifest, training, network, rate=1e-2)
    trained(module, epochs=1)
    main, first = ((now.bias - old.bias) for now, old in ((network.main, before.main), (network.first, before.first)))
    torch.testing.assert_close(first, 0.3 * main, rtol=0.1, atol=1e-4)  # but for the second of the two steps


def test_filters_with_a_constraint_keep_to_it_after_every_step(manifest: Manifest, training: Training) -> None:
    torch.manual_seed(0)
    capped, free = CappedConv2d(1, 4, 3, max_rms=0.1), nn.Conv2d(4, 4, 3)
    network = nn.Sequential(capped, nn.ReLU(), free, nn.Flatten(), nn.Linear(64, 3))
    training.divergence = 1e6
    trained(classifier(manifest, training, network, rate=5.0), epochs=1)
    assert rms(capped).max() <= capped.max_rms + 1e-6
    assert rms(free).max() > capped.max_rms  # so the rate is one that needs holding back


def rms(convolution: nn.Conv2d) -> torch.Tensor:
    return convolution.weight.square().mean(dim=(1, 2, 3)).sqrt()


def test_an_average_keeps_two_elevenths_three_twelfths_and_so_on_of_itself_until_its_decay_is_less() -> None:
    network = nn.Linear(1, 1)
    nn.init.zeros_(network.weight)
    average, found = Average(network, decay=0.3), []
    nn.init.ones_(network.weight)
    for step in (1, 2, 3, 4):
        average.update(network, step)
        found.append(1 - average.network.weight.item())  # what is left of the 0
    assert found == pytest.approx([2 / 11, 2 / 11 * 3 / 12, 2 / 11 * 3 / 12 * 0.3, 2 / 11 * 3 / 12 * 0.3**2])


def test_an_average_follows_weights_and_batch_norm_as_many_steps_behind_as_its_decay_says() -> None:
    network = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1))
    average = Average(network, decay=0.9)
    for step in range(1, 200):
        with torch.no_grad():
            network[0].weight.fill_(step)
            network[1].running_mean.fill_(step)
            network[1].num_batches_tracked.fill_(step)
        average.update(network, step)
    assert average.network[0].weight.item() == pytest.approx(199 - 9, rel=1e-3)  # nine steps behind a straight line
    assert average.network[1].running_mean.item() == pytest.approx(199 - 9, rel=1e-3)
    assert average.network[1].num_batches_tracked.item() == 199


def test_where_there_is_an_average_it_is_what_is_validated_and_kept(manifest: Manifest, training: Training) -> None:
    training.average = 0.9
    module, images = classifier(manifest, training), batch()
    metrics = train_on(module, [images], 3).metrics
    assert not torch.equal(module.kept[1].weight, module.network[1].weight)
    assert not module.kept[1].weight.requires_grad
    assert metrics["validation/loss"] == pytest.approx(loss_of(module, module.kept, images))
    assert metrics["validation/loss"] != pytest.approx(loss_of(module, module.network, images), rel=1e-3)


def loss_of(module: Classifier, network: nn.Module, images: tuple[torch.Tensor, torch.Tensor]) -> float:
    with torch.no_grad():
        return nn.functional.cross_entropy(network(module.prepared(images[0])), images[1]).item()


def test_an_average_follows_every_step(manifest: Manifest, training: Training) -> None:
    training.average = 0.9
    module = classifier(manifest, training)
    beside = Beside(module.network, 0.9)
    trained(module, 3, (6, 6, 6, 6, 2), beside)
    torch.testing.assert_close(module.kept[1].weight, beside.average.network[1].weight)


class Beside(Callback):
    """Averages a network's weights after each of its steps, counted from 1."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.average = Average(network, decay)
        self.steps = 0

    def on_step_end(self, loop: Loop) -> None:
        self.steps += 1
        self.average.update(loop.module.network, self.steps)


class Brightness(nn.Module):
    """Gives the second of three classes the probability that an image is bright, the first that it is dark."""

    def __init__(self, manifest: Manifest) -> None:
        super().__init__()
        self.mean, self.std = manifest.mean[0], manifest.std[0]
        self.zero = nn.Parameter(torch.zeros(1))  # an optimizer wants something to learn

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        bright = (images.mean(dim=(1, 2, 3)) * self.std + self.mean).clamp(1e-6, 1 - 1e-6)
        return torch.stack([(1 - bright).log(), bright.log(), torch.full_like(bright, -30)], dim=1) + 0 * self.zero


def mixed_epochs(manifest: Manifest, training: Training, epochs: int) -> list[dict[str, float]]:
    """Show the network a dark and a bright image, mixed; return the metrics of each epoch of one step."""
    module = classifier(manifest, training, Brightness(manifest), mixing=Mixing(1.0, None, 0))
    images = torch.tensor([0, 255], dtype=torch.uint8)[:, None, None, None].expand(2, 8, 8, 1).contiguous()
    kept = Kept(lambda loop: dict(loop.metrics))
    train_on(module, [(images, torch.tensor([0, 1]))], epochs, kept)
    return kept.seen


def test_a_mixed_image_costs_least_where_each_label_is_given_its_share(manifest: Manifest, training: Training) -> None:
    # A network whose probabilities are the shares has the entropy of the shares as its loss, and no loss can be smaller.
    for step, metrics in enumerate(mixed_epochs(manifest, training, epochs=6)):
        share = Mixing(1.0, None, 0)(torch.zeros(2, 1, 1, 1), torch.tensor([0, 1]), step)[2]
        entropy = torch.distributions.Bernoulli(share).entropy().item()
        assert metrics["train/loss"] == pytest.approx(entropy, abs=1e-4)


def test_a_mixed_image_is_right_where_the_label_of_the_larger_share_is_found(manifest: Manifest, training: Training) -> None:
    assert [metrics["train/accuracy"] for metrics in mixed_epochs(manifest, training, epochs=6)] == 6 * [1.0]


def test_each_epoch_mixes_anew_and_validation_not_at_all(manifest: Manifest, training: Training) -> None:
    found = mixed_epochs(manifest, training, epochs=6)
    assert len({round(metrics["train/loss"], 4) for metrics in found}) == 6
    assert [metrics["validation/loss"] for metrics in found] == pytest.approx(6 * [0.0], abs=1e-4)


def test_no_two_batches_drop_the_same_units_whatever_epoch_device_or_seed() -> None:
    seeds = [seed for run in (0, 1) for epoch in range(3) for rank in (0, 1) for seed in dropout_seeds(4, run, epoch, rank)]
    assert len(set(seeds)) == len(seeds) == 48


@pytest.mark.parametrize("accumulate", [1, 2, 8])
def test_a_schedule_is_told_how_many_steps_of_the_optimizer_there_will_be(accumulate: int, manifest: Manifest, training: Training) -> None:
    training.accumulate = accumulate
    module, told = classifier(manifest, training), []
    make = module.make_scheduler
    module.make_scheduler = lambda optimizer, steps: told.append(steps) or make(optimizer, steps)
    loop = trained(module, 3, (6, 6, 6, 6, 2))
    assert told == [loop.step] == [15]


def test_a_schedule_of_epochs_moves_once_an_epoch(manifest: Manifest, training: Training) -> None:
    kept = Kept(lambda loop: loop.lr)
    trained(classifier(manifest, training), 5, (6, 6, 6, 6, 2), kept)  # StepLR: a tenth after every second epoch
    assert kept.seen == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001])
