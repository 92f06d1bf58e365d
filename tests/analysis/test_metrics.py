import math

import numpy as np
import pytest
from scipy.stats import binom
from sklearn.metrics import f1_score, top_k_accuracy_score

from pipeline.analysis.metrics import (
    confident_mistakes,
    confusion,
    exact_interval,
    f1_scores,
    hardest,
    mean_probabilities,
    reliability,
    score,
)

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
    assert confident_mistakes(LABELS, PROBABILITIES, 10).tolist() == [3, 1]
    assert confident_mistakes(LABELS, PROBABILITIES, 1).tolist() == [3]
    assert confident_mistakes(PROBABILITIES.argmax(axis=1), PROBABILITIES, 10).tolist() == []


def test_equally_sure_mistakes_keep_their_order() -> None:
    assert confident_mistakes(np.zeros(4, np.int64), np.tile([0.2, 0.8], (4, 1)).astype(np.float32), 3).tolist() == [0, 1, 2]


def answers(classes: int, images: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Labels of all classes but the last, and probabilities that are right about half the time."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes - 1, images)
    scores = rng.normal(size=(images, classes)) + 2 * np.eye(classes)[labels]
    return labels, (np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("classes", [2, 10, 11])
def test_f1_and_top_5_are_those_of_scikit_learn(classes: int) -> None:
    labels, probabilities = answers(classes)
    found, said = score(labels, probabilities, 0.95), probabilities.argmax(axis=1)
    assert found.macro_f1 == pytest.approx(f1_score(labels, said, average="macro"), abs=1e-6)
    assert found.weighted_f1 == pytest.approx(f1_score(labels, said, average="weighted"), abs=1e-6)
    each = f1_score(labels, said, average=None, labels=range(classes), zero_division=0)
    assert f1_scores(confusion(labels, said, classes)) == pytest.approx(each)
    top5 = top_k_accuracy_score(labels, probabilities, k=5, labels=range(classes)) if classes == 11 else None
    assert found.top5_accuracy == (None if top5 is None else pytest.approx(top5, abs=1e-6))


def test_a_class_that_does_not_occur_is_left_out_of_the_mean() -> None:
    assert score(np.array([0, 1]), np.eye(3, dtype=np.float32)[[0, 1]], 0.95).macro_f1 == 1


def test_the_calibration_error_is_that_by_hand() -> None:
    sure = np.array([0.95, 0.95, 0.95, 0.95, 0.75, 0.75], np.float32)
    labels = np.array([0, 0, 0, 1, 0, 1])  # of those with .95 three of four are right, of those with .75 one of two
    probabilities = np.stack([sure, 1 - sure], axis=1)
    found = reliability(labels, probabilities, bins=4)
    assert found.images.tolist() == [0, 0, 2, 4]  # .75 ends the third bin
    assert found.accuracy.tolist() == [0, 0, 0.5, 0.75]
    assert found.confidence == pytest.approx([0, 0, 0.75, 0.95])
    assert found.error == pytest.approx(4 / 6 * 0.2 + 2 / 6 * 0.25)
    assert score(labels, probabilities, 0.95).ece == pytest.approx(found.error, abs=1e-6)  # its fifteen bins part these as well


def test_certainty_lies_in_the_last_bin_and_what_is_always_right_is_calibrated() -> None:
    found = reliability(np.array([0, 1]), np.eye(2, dtype=np.float32), bins=4)
    assert found.images.tolist() == [0, 0, 0, 2]
    assert found.error == 0


def test_mean_probabilities_are_those_of_each_actual_class() -> None:
    found = mean_probabilities(np.array([0, 2, 2]), PROBABILITIES[[0, 2, 3]])
    np.testing.assert_allclose(found[[0, 2]], [[0.8, 0.1, 0.1], [0.5, 0.15, 0.35]], atol=1e-6)
    assert np.isnan(found[1]).all()
