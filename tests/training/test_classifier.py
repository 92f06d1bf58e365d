import math

import pytest
import torch
from lightning import Trainer
from torch import nn

from pipeline.dataset.manifest import Manifest
from pipeline.model.blocks import CappedConv2d
from pipeline.training.classifier import Classifier


def classifier(manifest: Manifest, network: nn.Module | None = None, seed: int = 0, rate: float = 0.1) -> Classifier:
    return Classifier(
        network or nn.Sequential(nn.Flatten(), nn.Linear(64, 3)),
        manifest,
        nn.CrossEntropyLoss(),
        lambda parameters: torch.optim.SGD(parameters, rate),
        lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 2),
        seed,
        divergence=10,
    )


def batch(count: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randint(0, 256, (count, 8, 8, 1), dtype=torch.uint8), torch.arange(count) % 3


def test_the_network_sees_normalised_images_channels_first(manifest: Manifest) -> None:
    images, _ = batch()
    seen = classifier(manifest, nn.Identity())(images)
    expected = (images.permute(0, 3, 1, 2) / 255 - manifest.mean[0]) / manifest.std[0]
    torch.testing.assert_close(seen, expected, atol=1e-5, rtol=1e-5)


def test_a_step_gives_the_mean_loss_over_the_batch(manifest: Manifest) -> None:
    module = classifier(manifest)
    images, labels = batch()
    module.log_dict = lambda *_, **__: None  # type: ignore[method-assign, assignment]  # there is no trainer to log to
    torch.testing.assert_close(module.step((images, labels), "train"), nn.functional.cross_entropy(module(images), labels))


def test_optimizer_and_schedule_are_those_that_were_given_and_hold_the_network(manifest: Manifest) -> None:
    module = classifier(manifest)
    configured = module.configure_optimizers()
    assert isinstance(configured["optimizer"], torch.optim.SGD)
    assert isinstance(configured["lr_scheduler"], torch.optim.lr_scheduler.StepLR)
    assert configured["optimizer"].param_groups[0]["params"] == list(module.network.parameters())


def test_the_loss_limit_is_a_multiple_of_guessing(manifest: Manifest) -> None:
    assert classifier(manifest).loss_limit == pytest.approx(10 * math.log(3))


def trained(module: Classifier, epochs: int = 2) -> dict[str, float]:
    torch.manual_seed(7)
    batches = [batch(6), batch(2)]
    trainer = Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    loader = torch.utils.data.DataLoader(batches, batch_size=None)
    trainer.fit(module, loader, loader)
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


@pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:.*smaller than the logging interval")
def test_an_epoch_s_metrics_are_means_over_its_images_by_split(manifest: Manifest) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    for parameter in network.parameters():
        nn.init.zeros_(parameter).requires_grad_(False)
    network.append(Bias())  # the one parameter with a gradient, which is zero
    metrics = trained(classifier(manifest, network), epochs=1)
    assert set(metrics) == {"train/loss", "train/accuracy", "validation/loss", "validation/accuracy"}
    assert metrics["validation/loss"] == pytest.approx(math.log(3), abs=1e-5)
    assert metrics["validation/accuracy"] == pytest.approx(3 / 8)  # labels 0 1 2 0 1 2 and 0 1; all said to be 0


class Bias(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.zero = nn.Parameter(torch.zeros(1))

    def forward(self, scores: torch.Tensor) -> torch.Tensor:
        return scores + self.zero * 0


@pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:.*smaller than the logging interval")
def test_dropout_draws_by_seed_and_step_alone(manifest: Manifest) -> None:
    def weights(seed: int, before: int) -> torch.Tensor:
        torch.manual_seed(1)
        network = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 3))
        module = classifier(manifest, network, seed)
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


def logged(module: Classifier) -> dict[str, torch.Tensor]:
    """Return what the module logs, as it comes; there is no trainer to log to."""
    metrics: dict[str, torch.Tensor] = {}
    module.log_dict = lambda values, **_: metrics.update(values)  # type: ignore[method-assign, assignment]
    return metrics


def test_auxiliary_heads_add_their_losses_by_their_weight_in_training_alone(manifest: Manifest) -> None:
    module = classifier(manifest, TwoHeads())
    metrics = logged(module)
    images, labels = batch()
    main, first, second = (nn.functional.cross_entropy(scores, labels) for scores in module(images))
    torch.testing.assert_close(module.step((images, labels), "train"), main + 0.3 * (first + second))
    module.eval()
    torch.testing.assert_close(module.step((images, labels), "validation"), main)
    torch.testing.assert_close(metrics["train/loss"], metrics["validation/loss"])  # both of the main scores


def test_accuracy_is_that_of_the_main_scores(manifest: Manifest) -> None:
    network = TwoHeads()
    for layer, answer in ((network.main, 1), (network.first, 0), (network.second, 2)):
        nn.init.zeros_(layer.weight)
        with torch.no_grad():
            layer.bias.copy_(torch.eye(3)[answer])
    module = classifier(manifest, network)
    metrics = logged(module)
    module.step((batch()[0], torch.tensor([1, 1, 1, 1, 0, 2])), "train")
    assert metrics["train/accuracy"].item() == pytest.approx(4 / 6)


@pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:.*smaller than the logging interval")
def test_auxiliary_heads_learn(manifest: Manifest) -> None:
    network = TwoHeads()
    before = [layer.weight.detach().clone() for layer in (network.main, network.first, network.second)]
    trained(classifier(manifest, network), epochs=1)
    assert all(not torch.equal(layer.weight, old) for layer, old in zip(network.children(), before, strict=True))


@pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:.*smaller than the logging interval")
def test_filters_with_a_constraint_keep_to_it_after_every_step(manifest: Manifest) -> None:
    torch.manual_seed(0)
    capped, free = CappedConv2d(1, 4, 3, max_rms=0.1), nn.Conv2d(4, 4, 3)
    trained(classifier(manifest, nn.Sequential(capped, nn.ReLU(), free, nn.Flatten(), nn.Linear(64, 3)), rate=5.0), epochs=1)
    assert rms(capped).max() <= capped.max_rms + 1e-6
    assert rms(free).max() > capped.max_rms  # so the rate is one that needs holding back


def rms(convolution: nn.Conv2d) -> torch.Tensor:
    return convolution.weight.square().mean(dim=(1, 2, 3)).sqrt()
