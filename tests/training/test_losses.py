"""The losses of conf/loss: the tutorials' worked numbers, what equals torch's, and class weights."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.config.build import build
from pipeline.training.losses import BinaryCrossEntropy, Focal, HalfSquaredError, MAPCriterion, whole_loss
from tests.conftest import MakeConfig
from tests.samples import TWO_CLASSES, options

# Karn's boat: dog, cat, boat, bird as the network first says, and after an update.
BEFORE, AFTER, BOAT = [0.2, 0.4, 0.1, 0.3], [0.1, 0.1, 0.7, 0.1], torch.tensor([2])


def scores_of(probabilities: list[float]) -> Tensor:
    """Return scores, (1, classes), of which the softmax makes these."""
    return torch.tensor([probabilities]).log().requires_grad_()


def loss(config: MakeConfig, name: str, **given: Any) -> nn.Module:
    return build("loss", config(f"loss={name}").loss, nn.Module, **given)


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [("half_squared_error", 0.55, 0.06), ("cross_entropy", -math.log(0.1), -math.log(0.7))],  # 2.3026 and 0.3567
)
def test_the_tutorial_s_update_lowers_the_loss_as_it_says(name: str, before: float, after: float, config: MakeConfig) -> None:
    made = loss(config, name)
    assert made(scores_of(BEFORE), BOAT).item() == pytest.approx(before)
    assert made(scores_of(AFTER), BOAT).item() == pytest.approx(after)


@pytest.mark.parametrize(("name", "expected"), [("half_squared_error", [0, 0.08, -0.11, 0.03]), ("cross_entropy", [0.2, 0.4, -0.9, 0.3])])
def test_the_gradients_at_the_scores_are_the_tutorial_s(name: str, expected: list[float], config: MakeConfig) -> None:
    scores = scores_of(BEFORE)
    loss(config, name)(scores, BOAT).backward()
    assert scores.grad is not None
    assert scores.grad[0].tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("name", "expected"), [("half_squared_error", 0.45), ("cross_entropy", 2.302585)])
def test_guessing_among_ten_digits_costs_what_the_tutorial_says(name: str, expected: float, config: MakeConfig) -> None:
    assert loss(config, name)(torch.zeros(1, 10), torch.tensor([3])).item() == pytest.approx(expected)


def test_a_probability_of_three_quarters_costs_0_2877(config: MakeConfig) -> None:
    digits = scores_of([0, 0.1, 0.1, 0.75, 0, 0, 0, 0, 0, 0.05])
    assert loss(config, "cross_entropy")(digits, torch.tensor([3])).item() == pytest.approx(0.2877, abs=1e-4)


def test_the_squared_error_is_summed_over_classes_and_averaged_over_images() -> None:
    both = torch.cat([scores_of(BEFORE), scores_of(AFTER)])
    assert HalfSquaredError()(both, BOAT.expand(2)).item() == pytest.approx((0.55 + 0.06) / 2)


def test_label_smoothing_gives_all_classes_a_part_of_the_target() -> None:
    target = torch.tensor([0.05, 0.05, 0.85, 0.05])
    assert HalfSquaredError(label_smoothing=0.2)(target.log()[None], BOAT).item() == pytest.approx(0, abs=1e-9)


def example(classes: int) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return 3 * torch.randn(12, classes), torch.arange(12) % classes


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_binary_cross_entropy_is_that_of_two_classes(smoothing: float) -> None:
    scores, labels = example(2)
    expected = F.cross_entropy(scores, labels, label_smoothing=smoothing)
    torch.testing.assert_close(BinaryCrossEntropy(smoothing)(scores, labels), expected)


def test_binary_cross_entropy_of_zero_and_one_output_is_torch_s_of_that_output() -> None:
    outputs, labels = torch.tensor([-2.0, 0.5, 30.0]), torch.tensor([1, 1, 0])
    scores = torch.stack([torch.zeros(3), outputs], dim=1)
    torch.testing.assert_close(BinaryCrossEntropy()(scores, labels), nn.BCEWithLogitsLoss()(outputs, labels.float()))


def test_binary_cross_entropy_refuses_more_than_two_classes() -> None:
    with pytest.raises(ValueError, match="binary cross-entropy is for two classes, but there are 3; choose loss=cross_entropy"):
        BinaryCrossEntropy()(*example(3))


@pytest.mark.parametrize("weight", [None, torch.tensor([1.0, 2.0, 5.0])])
def test_focal_loss_of_gamma_0_is_cross_entropy(weight: Tensor | None) -> None:
    scores, labels = example(3)
    torch.testing.assert_close(Focal(0, weight)(scores, labels), F.cross_entropy(scores, labels, weight))


@pytest.mark.parametrize(("probability", "times"), [(0.5, 4), (0.9, 100), (0.968377, 1000)])
def test_focal_loss_is_as_many_times_below_cross_entropy_as_its_paper_says(probability: float, times: float) -> None:
    scores, label = scores_of([probability, 1 - probability]), torch.tensor([0])  # Lin et al., arXiv:1708.02002, section 3.2
    assert F.cross_entropy(scores, label).item() / Focal(2)(scores, label).item() == pytest.approx(times, rel=1e-3)


@pytest.mark.parametrize("gamma", [0, 0.5, 1, 2])
def test_focal_loss_of_an_image_that_is_wholly_sure_has_a_gradient(gamma: float) -> None:
    scores = torch.tensor([[200.0, 0.0], [-200.0, 0.0]], requires_grad=True)
    Focal(gamma)(scores, torch.tensor([0, 0])).backward()
    assert scores.grad is not None
    assert scores.grad[0].tolist() == [0, 0]
    assert scores.grad[1].tolist() == pytest.approx([-0.5, 0.5])


def test_lenet_5s_criterion_is_the_true_class_s_distance_and_the_log_of_all_with_the_bound() -> None:
    distances = torch.tensor([[3.0, 1.0, 60.0]])  # 1 + ln(e^-2 + e^-3 + e^-1 + e^-60) = 1 + ln 0.553002
    assert MAPCriterion(2.0)(-distances, torch.tensor([1])).item() == pytest.approx(0.407606, abs=1e-6)


def test_lenet_5s_criterion_still_draws_a_true_class_that_is_nearest_but_farther_than_the_bound() -> None:
    for distance, slope in ((40.0, 1.0), (0.1, 0.0)):
        distances = torch.tensor([[distance, 80.0]], requires_grad=True)
        MAPCriterion(10.0)(-distances, torch.tensor([0])).backward()
        assert distances.grad is not None
        assert distances.grad.tolist()[0] == pytest.approx([slope, 0], abs=1e-4)


def test_the_multi_margin_loss_wants_the_true_class_s_score_above_the_others_by_the_margin(config: MakeConfig) -> None:
    made = loss(config, "multi_margin")
    scores = torch.tensor([[2.0, 1.5, 0.0, 1.0]])
    assert made(scores, torch.tensor([0])).item() == pytest.approx((0.5 + 0 + 0) / 4)
    assert made(scores * 2, torch.tensor([0])).item() == 0


@pytest.mark.parametrize("name", sorted({*options("loss")} - {"multi_margin"}))  # torch's divides by the number of images
def test_an_image_of_weight_3_counts_as_three(name: str, config: MakeConfig) -> None:
    scores, labels = example(2)
    scores, labels = scores[:2], labels[:2]
    weighted = loss(config, name, weight=torch.tensor([1.0, 3.0]))
    repeated = torch.tensor([0, 1, 1, 1])
    torch.testing.assert_close(weighted(scores, labels), loss(config, name)(scores[repeated], labels[repeated]))


@pytest.mark.parametrize("name", options("loss"))
def test_every_loss_takes_class_weights_and_an_equal_weight_changes_nothing(name: str, config: MakeConfig) -> None:
    classes = 2 if name in TWO_CLASSES else 4
    scores, labels = example(classes)
    weighted = loss(config, name, weight=torch.ones(classes))
    assert weighted.weight is not None
    torch.testing.assert_close(weighted(scores, labels), loss(config, name)(scores, labels))


@pytest.mark.parametrize("name", options("loss"))
def test_every_loss_trains_a_linear_network(name: str, config: MakeConfig) -> None:
    torch.manual_seed(0)
    labels = torch.arange(20) % 2
    images = torch.randn(20, 3) + 3 * labels[:, None]
    network, made = nn.Linear(3, 2), loss(config, name)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.5)
    for _ in range(60):
        optimizer.zero_grad()
        made(network(images), labels).backward()
        optimizer.step()
    assert (network(images).argmax(dim=1) == labels).float().mean() >= 0.95


def test_the_whole_loss_is_that_of_the_scores_and_by_their_weight_those_of_auxiliary_heads() -> None:
    network, loss, labels = nn.Identity(), nn.CrossEntropyLoss(), torch.tensor([0, 2])
    network.auxiliary_weight = 0.3
    main, first, second = torch.randn(3, 2, 3, generator=torch.Generator().manual_seed(0))
    scores, own, whole = whole_loss(network, loss, (main, first, second), labels)
    assert scores is main
    torch.testing.assert_close(own, loss(main, labels))
    torch.testing.assert_close(whole, loss(main, labels) + 0.3 * (loss(first, labels) + loss(second, labels)))
    _, own, whole = whole_loss(nn.Identity(), loss, main, labels)
    torch.testing.assert_close((own, whole), (loss(main, labels), loss(main, labels)))
