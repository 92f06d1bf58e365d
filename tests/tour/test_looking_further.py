"""The pages by which the tour goes on: steps to a filter, the way back, the bowl, shuffled pixels, few images, other classes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from tour import backward, weighting
from tour.data_and_depth import convolutions, epochs_of, part
from tour.filter_count import fully_connected
from tour.flattening import shuffled
from tour.looking_inside import made_images, most_exciting, projections
from tour.loss_surface import bowl, outcome
from tour.material import Lesson
from tour.page import Page, numbered, shrink
from tour.similar_filters import activity
from tour.small_training import BATCH, EPOCHS, trained
from tour.transfer import EACH, FROZEN, SCRATCH, TUNED, beginnings, halves


def test_guptas_steps_lead_to_a_filter() -> None:
    single, pairs, wide, others, square = weighting.steps()
    assert (single.shape, pairs.shape, wide.shape, others.shape, square.shape) == ((4, 4), (4, 3), (4, 5), (4, 3), (3, 3))
    assert pairs[0, 0] == pytest.approx(18 * 1 + 54 * 0.3)
    assert others[0, 0] == pytest.approx(18 * 0.1 + 54 * 5)
    assert wide[:, 1:-1] == pytest.approx(pairs)
    assert square == pytest.approx(pairs[:-1] + others[1:])


def test_the_way_back_by_hand_is_autograds() -> None:
    image, weights = (torch.from_numpy(values)[None, None].requires_grad_() for values in (backward.IMAGE, backward.FILTER))
    bias = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    output = F.conv2d(image, weights, bias)
    ((output - torch.from_numpy(backward.TARGET)) ** 2).sum().div(2).backward()
    found = backward.backward(output.detach()[0, 0].numpy())
    assert image.grad is not None
    assert weights.grad is not None
    assert bias.grad is not None
    assert found.image == pytest.approx(image.grad[0, 0].numpy())
    assert found.weights == pytest.approx(weights.grad[0, 0].numpy())
    assert found.bias == pytest.approx(bias.grad.item())


def test_a_weights_gradient_is_written_as_the_sum_that_it_is() -> None:
    error = np.array([[1.0, 2], [-1, 0]])
    assert backward.terms(error, 0, 0) == "1 · 1 + 2 · 2 - 1 · 0 + 0 · 1"


def test_steps_shrink_below_the_highest_rate_and_grow_above_it(digits: Lesson) -> None:
    surface = bowl(digits)
    below, above = (surface.loss(surface.descent(part * surface.highest_rate, 200)) for part in (0.95, 1.05))
    least = surface.loss(surface.lowest[None])[0]
    assert below[-1] == pytest.approx(least, rel=1e-3)
    assert above[-1] > 1000 * above[0]
    assert (surface.loss(surface.lowest + np.array([[0.1, 0], [0, 0.1], [-0.1, 0], [0, -0.1]])) > least).all()
    assert (outcome(below, least), outcome(above, least)) == ("at the bottom", "each step lands higher than the one before")


def test_shuffled_pixels_are_the_same_ones_in_one_other_order_for_all(digits: Lesson) -> None:
    mixed = shuffled(digits, seed=1)
    assert not torch.equal(mixed.images, digits.images)
    assert torch.equal(mixed.images.flatten(1).sort(dim=1).values, digits.images.flatten(1).sort(dim=1).values)
    column = digits.images.flatten(1)[:, 20]
    assert sum(torch.equal(column, other) for other in mixed.images.flatten(1).T) >= 1


def test_a_fully_connected_network_sees_no_difference_if_its_weights_are_shuffled_alike(digits: Lesson) -> None:
    network, mixed = fully_connected(digits, 0), shuffled(digits, seed=1)
    before = network(digits.images)
    order = torch.randperm(digits.side**2, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        network.get_parameter("layers.hidden.weight").copy_(network.get_parameter("layers.hidden.weight")[:, order])
    assert torch.allclose(network(mixed.images), before, atol=1e-5)


def test_fewer_images_get_as_many_steps(digits: Lesson) -> None:
    few = part(digits, 320)
    assert (len(few.images), len(few.labels), len(few.held_out)) == (320, 320, len(digits.held_out))
    steps = EPOCHS * -(-1400 // BATCH)
    assert abs(epochs_of(320, 1400) * (320 // BATCH) - steps) < 320 // BATCH


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_a_network_is_as_deep_as_it_says(depth: int, digits: Lesson) -> None:
    assert [name for name, _ in convolutions(digits, 0, depth).layers.named_children() if name.startswith("conv")] == [
        f"conv{number}" for number in range(1, depth + 1)
    ]


def test_a_filter_that_answers_to_one_class_alone_is_selective(digits: Lesson) -> None:
    is_three = (digits.labels == 3).float()[:, None, None, None]
    found = activity(torch.nn.Sequential(torch.nn.Identity()), Lesson(**(vars(digits) | {"images": is_three})))
    assert (found.selectivity.tolist(), found.favourite.tolist()) == ([1.0], [3])


def test_made_images_are_classified_as_what_they_were_made_for(digits: Lesson) -> None:
    made, said = made_images(trained(digits, 0), digits, seed=0)
    assert made.shape == (10, 8, 8, 1)
    assert sum(place == answer for place, answer in enumerate(said)) >= 8


def test_the_images_of_a_map_are_those_with_its_largest_values(digits: Lesson) -> None:
    network = trained(digits, 0)
    units, found = most_exciting(network, digits)
    peaks = network.layers[:5](digits.images).amax(dim=(2, 3))  # (images, maps)
    assert found.values[units[0], 0].item() == pytest.approx(peaks.max().item())
    assert peaks[found.images[units[0]], units[0]].tolist() == pytest.approx(found.values[units[0]].tolist())
    assert projections(network, digits, found, units[0]).abs().amax(dim=(1, 2, 3)).min() > 0


def test_a_transfer_goes_to_other_classes_with_few_images(digits: Lesson) -> None:
    found = halves(digits)
    assert (found.first.classes, found.second.classes) == (["0", "1", "2", "3", "4"], ["5", "6", "7", "8", "9"])
    assert torch.equal(found.second.labels.bincount(), torch.full((5,), EACH))
    assert found.first.labels.unique().tolist() == [0, 1, 2, 3, 4]
    fives = digits.images[digits.labels == 5]
    assert all((fives == image).flatten(1).all(dim=1).any() for image in found.second.images[found.second.labels == 0])


def test_a_transfer_keeps_the_layers_and_draws_new_scores(digits: Lesson) -> None:
    found = halves(digits)
    networks = {name: begin() for name, begin in beginnings(found, 0).items()}
    frozen, tuned = networks[FROZEN], networks[TUNED]
    assert torch.equal(frozen.get_parameter("layers.conv2.weight"), tuned.get_parameter("layers.conv2.weight"))
    assert not torch.equal(frozen.get_parameter("layers.conv2.weight"), networks[SCRATCH].get_parameter("layers.conv2.weight"))
    assert [name for name, weight in frozen.named_parameters() if weight.requires_grad] == ["layers.scores.weight", "layers.scores.bias"]
    assert all(weight.requires_grad for weight in tuned.parameters())


def test_a_transfer_of_three_classes_is_refused(lesson: Lesson) -> None:
    with pytest.raises(ValueError, match="transfer takes 4 classes or more, these images are of 3"):
        halves(lesson)


def test_a_reference_names_the_page_by_its_number() -> None:
    pages = [Page(name, "", "", lambda _: []) for name in ("one", "two")]
    assert numbered("[Page](two), then [page](one).", pages) == "[Page 2](02-two.md), then [page 1](01-one.md)."
    with pytest.raises(KeyError, match="three"):
        numbered("[page](three)", pages)


def test_a_smooth_picture_is_stored_without_bands(tmp_path: Path) -> None:
    smooth = np.stack(np.meshgrid(np.arange(256), np.arange(256)), axis=-1)
    smooth = np.concatenate([smooth, 255 - smooth[..., :1]], axis=-1).astype(np.uint8)  # (256, 256, 3)
    Image.fromarray(smooth).save(tmp_path / "smooth.png")
    shrink(tmp_path / "smooth.png")
    with Image.open(tmp_path / "smooth.png") as stored:
        assert (np.asarray(stored.convert("RGB")) == smooth).all()
