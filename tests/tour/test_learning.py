"""The tutorials' numbers of pages 10 to 17: probabilities, losses, one step, first weights, splits; and the small trainings."""

import math
from dataclasses import replace
from itertools import combinations

import pytest
import torch

from pipeline.model.init import xavier, zeros
from tour.choices import of_sigmoid, of_sums, standings
from tour.errata import gigabytes, keras_split
from tour.filter_count import gains
from tour.first_weights import begun, most_frequent, xavier_bound
from tour.learning import (
    AFTER,
    BEFORE,
    BOAT,
    EVEN,
    THREE,
    change,
    changed,
    gradient_at_output,
    gradient_at_scores,
    loss,
    one_step,
    updated,
)
from tour.learning_rate import fate, outcome
from tour.material import Lesson
from tour.small_training import Course, Filters, filters_left, one_convolution, standing, train
from tour.softmax import ANIMALS, SCORES, lead, softmax, surprise
from tour.softmax import THREE as ANSWER


def test_softmax_of_the_tutorials_scores() -> None:
    assert softmax(SCORES) == pytest.approx([0.6590, 0.2424, 0.0986], abs=5e-5)
    assert sum(softmax(SCORES)) == pytest.approx(1, abs=1e-6)
    assert softmax(tuple(score + 100 for score in SCORES)) == pytest.approx(softmax(SCORES), abs=1e-12)


def test_the_tutorials_answers_are_probabilities() -> None:
    assert sum(ANSWER) == pytest.approx(1)
    assert max(range(10), key=ANSWER.__getitem__) == 3
    assert surprise(ANSWER[3]) == pytest.approx(0.2877, abs=5e-5)
    assert sum(ANIMALS.values()) == pytest.approx(1)
    assert max(ANIMALS, key=ANIMALS.__getitem__) == "cat"


def test_a_boat_of_0_94_leads_all_others_together() -> None:
    assert softmax((lead(0.94), 0.0)) == pytest.approx([0.94, 0.06])


def test_the_error_goes_from_0_55_to_0_06() -> None:
    assert [loss("half squared error", output, BOAT) for output in (BEFORE, AFTER)] == pytest.approx([0.55, 0.06])
    assert [loss("cross-entropy", output, BOAT) for output in (BEFORE, AFTER)] == pytest.approx([2.3026, 0.3567], abs=5e-5)


def test_ten_even_answers_cost_ln_10() -> None:
    assert loss("half squared error", EVEN, THREE) == pytest.approx(0.45)
    assert loss("cross-entropy", EVEN, THREE) == pytest.approx(2.302585, abs=5e-7)


def test_the_gradients_of_the_two_losses() -> None:
    assert gradient_at_output(BEFORE) == pytest.approx([0.2, 0.4, -0.9, 0.3])
    assert gradient_at_scores("half squared error", BEFORE, BOAT) == pytest.approx([0, 0.08, -0.11, 0.03], abs=1e-12)
    assert gradient_at_scores("cross-entropy", BEFORE, BOAT) == pytest.approx([0.2, 0.4, -0.9, 0.3])


def test_output_less_target_is_the_slope_of_the_half_squared_error() -> None:
    step = 1e-6  # from one class to another: the answer stays one of probabilities
    slopes = gradient_at_output(BEFORE)
    for more, less in combinations(range(len(BEFORE)), 2):
        there, back = list(BEFORE), list(BEFORE)
        there[more], there[less], back[more], back[less] = (
            BEFORE[more] + step, BEFORE[less] - step, BEFORE[more] - step, BEFORE[less] + step,
        )  # fmt: skip
        ahead, behind = (loss("half squared error", tuple(answer), BOAT) for answer in (there, back))
        assert (ahead - behind) / (2 * step) == pytest.approx(slopes[more] - slopes[less], abs=1e-6)


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
    taken = one_step(lesson, seed=0)
    assert taken.images == 17  # all there are
    assert taken.before == pytest.approx(math.log(3), rel=0.1)
    assert taken.after < taken.before
    assert {name for name, (_, is_changed) in taken.layers.items() if is_changed} == {"conv1", "conv2", "scores"}
    assert all(is_changed == bool(count) for count, is_changed in taken.layers.values())


def test_what_a_step_did_is_told_as_it_was_measured() -> None:
    assert change(2.3, 2.2).endswith("it is 2.2000: lower.")
    assert change(2.2, 2.3).endswith("it is 2.3000: not lower. For these images the step was too large.")
    assert [changed(160, True), changed(160, False), changed(0, False)] == ["yes", "no", "nothing to change"]


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
    assert filters_left(network, lesson) == Filters(10, dead=0, nan=0)
    network.layers.conv.bias.data[:4] = -1e6
    assert filters_left(network, lesson) == Filters(10, dead=4, nan=0)


def test_a_filter_of_zeros_is_dead_and_one_of_nan_is_neither_dead_nor_alive(lesson: Lesson) -> None:
    network = one_convolution(lesson, seed=0)
    network.layers.conv.weight.data[0], network.layers.conv.bias.data[0] = 0, 0
    network.layers.conv.weight.data[1:4] = torch.nan
    assert filters_left(network, lesson) == Filters(10, dead=1, nan=3)
    assert fate(Filters(10, dead=1, nan=3)) == "1 of 10 filters are dead and 3 give nan, which is neither dead nor alive"
    assert fate(Filters(10, dead=10, nan=0)) == "10 of 10 filters are dead"


def test_the_best_and_the_highest_learning_rate_are_told_as_they_were_measured() -> None:
    good, bad = Course([0.1], [0.9]), Course([2.3], [0.25])
    alive, dead = Filters(10, 0, 0), Filters(10, 7, 0)
    low = outcome({0.1: (good, alive), 10.0: (bad, dead)}, classes=4)
    assert low == (
        "The best of these is 0.1. With the highest, 10, 7 of 10 filters are dead; 25.0 % of the answers are right. "
        "A blind guess among 4 classes is right for 25.0 %."
    )
    high = outcome({0.1: (bad, alive), 10.0: (good, alive)}, classes=4)
    assert high.startswith("The best of these is 10. With the highest, 10, 0 of 10 filters are dead; 90.0 % of the answers are right.")
    assert outcome({0.1: (good, alive), 1.0: (good, alive)}, classes=4).startswith("The best of these are 0.1 and 1.")


def test_too_high_a_learning_rate_leaves_no_filter_alive_on_the_digits(digits: Lesson) -> None:
    found = {}
    for rate in (0.1, 10.0):
        network = one_convolution(digits, seed=0)
        course = train(network, digits, torch.optim.SGD(network.parameters(), rate), 5, seed=0)
        found[rate] = course.accuracies[-1], filters_left(network, digits)
    assert found[0.1][0] > 0.8
    assert found[0.1][1] == Filters(10, dead=0, nan=0)
    assert found[10.0][0] < 0.15
    left = found[10.0][1]
    assert left.dead + left.nan == left.count


def test_nothing_is_learned_from_zeros(lesson: Lesson) -> None:
    network = begun(lesson, zeros, seed=0)
    train(network, lesson, torch.optim.SGD(network.parameters(), 0.1), 3, seed=0)
    assert not network.layers.conv1.weight.any()


def test_the_answer_that_zeros_learn_is_set_against_the_most_frequent_class(lesson: Lesson) -> None:
    labels = torch.tensor([0, 2, 2, 1])
    assert most_frequent(replace(lesson, labels=labels, held_out_labels=torch.tensor([2, 0, 1, 2]))) == 0.5
    assert most_frequent(replace(lesson, labels=labels, held_out_labels=torch.tensor([1, 0, 1, 2]))) == 0.25


@pytest.mark.parametrize(
    ("means", "told"),
    [
        ((0.66, 0.91, 0.97), "by +25.0 points, from 10 to 100 by +6.0. The first few bring most here; those after them have less left"),
        ((0.66, 0.70, 0.97), "by +4.0 points, from 10 to 100 by +27.0. The later ones bring more here than the first few."),
        ((0.90, 0.90, 0.80), "by +0.0 points, from 10 to 100 by -10.0. More filters bring nothing here."),
    ],
)  # fmt: skip
def test_what_more_filters_bring_is_told_as_it_was_measured(means: tuple[float, ...], told: str) -> None:
    assert gains(dict(zip((1, 10, 100), means, strict=True))).startswith(f"From 1 to 10 filters the mean accuracy changes {told}")


HIGH, LOW, WIDE = [0.94, 0.95, 0.96], [0.78, 0.79, 0.80], [0.5, 0.9, 1.0]  # accuracies of three trainings


def test_means_are_told_apart_beyond_both_deviations() -> None:
    assert [standing(HIGH, LOW), standing(LOW, HIGH), standing(HIGH, WIDE)] == ["ahead of", "behind", "not told apart from"]
    assert standings("ReLU", {"ReLU": HIGH, "tanh": WIDE, "sigmoid": LOW}) == "ReLU is not told apart from tanh, ahead of sigmoid"
    assert standings("ReLU", {"ReLU": LOW, "tanh": HIGH}) == "ReLU is behind tanh"


def test_the_sigmoid_is_behind_only_where_it_was() -> None:
    assert of_sigmoid({"ReLU": HIGH, "sigmoid": LOW}).startswith("The sigmoid is behind ReLU:")
    for activations in ({"ReLU": LOW, "sigmoid": HIGH}, {"ReLU": HIGH, "sigmoid": WIDE}):
        assert of_sigmoid(activations).startswith("The sigmoid is not behind ReLU here")


@pytest.mark.parametrize(
    ("of_sum", "of_average", "told"),
    [
        (HIGH, LOW, "That sum is ahead of average has to do with the training: averages make the signal smaller"),
        (LOW, HIGH, "That sum is behind average has to do with the training: sums make the signal larger"),
        (HIGH, WIDE, "These trainings do not tell them apart."),
    ],
)
def test_sum_and_average_are_set_against_each_other_as_they_were_measured(of_sum: list[float], of_average: list[float], told: str) -> None:
    assert told in of_sums({"sum": of_sum, "average": of_average})
