import math

import numpy as np
import pytest
from scipy.stats import binom

from pipeline.analysis.scores import confusion, exact_interval, hardest, score, surest_mistakes

LABELS = np.array([0, 1, 2, 2])
PROBABILITIES = np.array([[0.8, 0.1, 0.1], [0.6, 0.4, 0.0], [0.1, 0.2, 0.7], [0.9, 0.1, 0.0]], np.float32)


def test_accuracy_and_loss_are_those_by_hand() -> None:
    found = score(LABELS, PROBABILITIES, 0.95)
    assert (found.accuracy, found.images) == (0.5, 4)
    assert found.loss == pytest.approx(-(math.log(0.8) + math.log(0.4) + math.log(0.7) + math.log(1e-12)) / 4, abs=1e-5)
    assert found.accuracy_interval == exact_interval(2, 4, 0.95)


def test_an_accuracy_is_told_to_six_digits() -> None:
    probabilities = np.eye(2, dtype=np.float32)[[0, 0, 0]]
    assert score(np.array([0, 1, 1]), probabilities, 0.95).accuracy == 0.333333


def test_a_probability_of_zero_for_the_truth_gives_a_finite_loss() -> None:
    assert math.isfinite(score(np.array([1]), np.array([[1.0, 0.0]], np.float32), 0.95).loss)


@pytest.mark.parametrize(
    ("right", "total", "expected"),
    [(81, 263, (0.2527, 0.3676)), (15, 148, (0.0578, 0.1617)), (0, 20, (0.0, 0.1684)), (1, 29, (0.0009, 0.1776))],  # Newcombe 1998
)
def test_the_interval_is_clopper_and_pearson_s(right: int, total: int, expected: tuple[float, float]) -> None:
    assert exact_interval(right, total, 0.95) == pytest.approx(expected, abs=6e-5)


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
@pytest.mark.parametrize("total", [1, 10, 50, 142, 500])
def test_the_interval_holds_the_true_accuracy_as_often_as_it_says_near_1_too(total: int, confidence: float) -> None:
    low, high = np.array([exact_interval(right, total, confidence) for right in range(total + 1)]).T
    for accuracy in (*np.linspace(0.01, 0.99, 99), 0.995, 0.998, 0.999, 0.9995, 0.9999):
        chances = binom.pmf(np.arange(total + 1), total, accuracy)
        assert chances[(low <= accuracy) & (accuracy <= high)].sum() >= confidence - 1e-9, accuracy


def test_the_interval_stays_within_0_and_1_and_narrows_with_more_images() -> None:
    few, many = exact_interval(10, 10, 0.95), exact_interval(1000, 1000, 0.95)
    assert 0 < few[0] < many[0] < 1
    assert few[1] == many[1] == 1


def test_more_confidence_needs_a_wider_interval() -> None:
    low, high = exact_interval(80, 100, 0.99)
    assert low < exact_interval(80, 100, 0.9)[0] < 0.8 < exact_interval(80, 100, 0.9)[1] < high


def test_the_confusion_matrix_counts_actual_by_predicted() -> None:
    assert confusion(LABELS, PROBABILITIES.argmax(axis=1), 4).tolist() == [[1, 0, 0, 0], [1, 0, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]]


def test_what_is_mistaken_again_counts_again() -> None:
    assert confusion(np.array([0, 0, 0, 1]), np.array([1, 1, 0, 1]), 2).tolist() == [[1, 2], [0, 1]]


def test_the_hardest_images_are_those_whose_class_got_the_smallest_probability() -> None:
    assert hardest(LABELS, PROBABILITIES, 10).tolist() == [3, 1, 2, 0]
    assert hardest(LABELS, PROBABILITIES, 1).tolist() == [3]
    assert hardest(LABELS, PROBABILITIES, 0).tolist() == []


def test_equally_hard_images_keep_their_order() -> None:
    assert hardest(np.zeros(5, np.int64), np.tile([0.2, 0.8], (5, 1)).astype(np.float32), 5).tolist() == [0, 1, 2, 3, 4]


def test_the_surest_mistakes_are_those_with_the_highest_probability_for_a_wrong_class() -> None:
    assert surest_mistakes(LABELS, PROBABILITIES, 10).tolist() == [3, 1]
    assert surest_mistakes(LABELS, PROBABILITIES, 1).tolist() == [3]
    assert surest_mistakes(PROBABILITIES.argmax(axis=1), PROBABILITIES, 10).tolist() == []


def test_equally_sure_mistakes_keep_their_order() -> None:
    assert surest_mistakes(np.zeros(4, np.int64), np.tile([0.2, 0.8], (4, 1)).astype(np.float32), 3).tolist() == [0, 1, 2]
