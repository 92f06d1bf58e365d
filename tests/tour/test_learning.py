"""The tutorials' numbers of pages 10 to 17: probabilities, losses, one step, first weights, splits; and the small trainings."""

import math

import pytest
import torch

from pipeline.model.first_values import xavier, zeros
from pipeline.tour.errata import gigabytes, keras_split
from pipeline.tour.first_weights import begun, xavier_bound
from pipeline.tour.learning import AFTER, BEFORE, EVEN, EVEN_TARGET, gradient_at_output, gradient_at_scores, loss, one_step, updated
from pipeline.tour.material import Lesson
from pipeline.tour.small_training import dead_filters, one_convolution, train
from pipeline.tour.softmax import ANIMALS, SCORES, THREE, lead, softmax, surprise


def test_softmax_of_the_tutorials_scores() -> None:
    assert softmax(SCORES) == pytest.approx([0.6590, 0.2424, 0.0986], abs=5e-5)
    assert sum(softmax(SCORES)) == pytest.approx(1, abs=1e-6)
    assert softmax(tuple(score + 100 for score in SCORES)) == pytest.approx(softmax(SCORES), abs=1e-12)


def test_the_tutorials_answers_are_probabilities() -> None:
    assert sum(THREE) == pytest.approx(1)
    assert max(range(10), key=THREE.__getitem__) == 3
    assert surprise(THREE[3]) == pytest.approx(0.2877, abs=5e-5)
    assert sum(ANIMALS.values()) == pytest.approx(1)
    assert max(ANIMALS, key=ANIMALS.__getitem__) == "cat"


def test_a_boat_of_0_94_leads_all_others_together() -> None:
    assert softmax((lead(0.94), 0.0)) == pytest.approx([0.94, 0.06])


def test_the_error_goes_from_0_55_to_0_06() -> None:
    assert [loss("half squared error", output) for output in (BEFORE, AFTER)] == pytest.approx([0.55, 0.06])
    assert [loss("cross-entropy", output) for output in (BEFORE, AFTER)] == pytest.approx([2.3026, 0.3567], abs=5e-5)


def test_ten_even_answers_cost_ln_10() -> None:
    assert loss("half squared error", EVEN, EVEN_TARGET) == pytest.approx(0.45)
    assert loss("cross-entropy", EVEN, EVEN_TARGET) == pytest.approx(2.302585, abs=5e-7)


def test_the_gradients_of_the_two_losses() -> None:
    assert gradient_at_output(BEFORE) == pytest.approx([0.2, 0.4, -0.9, 0.3])
    assert gradient_at_scores("half squared error", BEFORE) == pytest.approx([0, 0.08, -0.11, 0.03], abs=1e-12)
    assert gradient_at_scores("cross-entropy", BEFORE) == pytest.approx([0.2, 0.4, -0.9, 0.3])


def test_a_step_goes_against_the_gradient() -> None:
    assert updated(1, 0.1, 2) == pytest.approx(0.8)


def test_xaviers_bound_for_ten_5x5_filters_on_colour() -> None:
    assert xavier_bound(10, 5, 3) == pytest.approx(0.13587, abs=5e-6)
    weight = torch.empty(10, 3, 5, 5)
    xavier(weight)
    assert 0.9 * 0.13587 < weight.abs().max() <= 0.13588


def test_keras_validates_on_dogs_only_when_cats_come_first() -> None:
    split = keras_split(11_500, 11_500, 0.3)
    assert (split.train, split.validation) == (16_099, 6_901)
    assert (split.train_dogs, split.validation_dogs) == (4_599, 6_901)
    assert [round(gigabytes(23_000, each), 1) for each in (1, 4)] == [6.2, 24.8]


def test_one_step_lowers_the_loss_and_changes_every_layer_that_has_weights(lesson: Lesson) -> None:
    first, second, layers = one_step(lesson, seed=0)
    assert first == pytest.approx(math.log(3), rel=0.1)
    assert second < first
    assert {name for name, (_, changed) in layers.items() if changed} == {"conv1", "conv2", "scores"}
    assert all(changed == bool(count) for count, changed in layers.values())


def test_a_small_training_learns_and_comes_out_the_same_again(lesson: Lesson) -> None:
    courses = []
    for _ in range(2):
        network = one_convolution(lesson, seed=0)
        courses.append(train(network, lesson, torch.optim.Adam(network.parameters(), 0.01), 20, seed=0))
    assert courses[0].accuracies[-1] == 1
    assert courses[0].losses[-1] < 0.3 * courses[0].losses[0]
    assert courses[0] == courses[1]


def test_a_filter_that_nothing_gets_through_is_dead(lesson: Lesson) -> None:
    network = one_convolution(lesson, seed=0)
    assert dead_filters(network, lesson) == 0
    network.layers.conv.bias.data[:4] = -1e6
    assert dead_filters(network, lesson) == 4


def test_too_high_a_learning_rate_kills_all_filters_on_the_digits(digits: Lesson) -> None:
    found = {}
    for rate in (0.1, 10.0):
        network = one_convolution(digits, seed=0)
        course = train(network, digits, torch.optim.SGD(network.parameters(), rate), 5, seed=0)
        found[rate] = course.accuracies[-1], dead_filters(network, digits)
    assert found[0.1][0] > 0.8
    assert found[0.1][1] == 0
    assert found[10.0][0] < 0.15
    assert found[10.0][1] == 10


def test_nothing_is_learned_from_zeros(lesson: Lesson) -> None:
    network = begun(lesson, zeros, seed=0)
    train(network, lesson, torch.optim.SGD(network.parameters(), 0.1), 3, seed=0)
    assert not network.layers.conv1.weight.any()
