"""Two networks on the same images: McNemar's test with mid-p, the interval of the difference, and how many images would show it."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom, binomtest

from pipeline.analysis.paired import POWER, Paired, mcnemar

PAIRS, IMAGES = 1000, 500
Right = NDArray[np.bool_]


def drawn(only_first: float, only_second: float, both: float = 0.9, images: int = IMAGES, seed: int = 0) -> list[tuple[Right, Right]]:
    """Return what PAIRS pairs of networks get right, by the shares of images that one alone and that both get right."""
    chance = np.random.default_rng(seed).random((PAIRS, images))
    first = chance < both + only_first
    second = (chance < both) | ((chance >= both + only_first) & (chance < both + only_first + only_second))
    return list(zip(first, second, strict=True))


@pytest.mark.parametrize(("only_first", "only_second"), [(0, 0), (1, 0), (2, 9), (12, 4), (5, 5)])
def test_networks_are_compared_on_the_images_that_one_alone_gets_right(only_first: int, only_second: int) -> None:
    first = np.array([True] * 20 + [True] * only_first + [False] * only_second + [False] * 3)
    second = np.array([True] * 20 + [False] * only_first + [True] * only_second + [False] * 3)
    found = mcnemar(first, second)
    alone = only_first + only_second
    assert (found.images, found.only_first, found.only_second) == (23 + alone, only_first, only_second)
    exact = binomtest(only_first, alone, 0.5).pvalue if alone else 1.0
    assert found.p == pytest.approx(exact - binom.pmf(only_first, alone, 0.5) if only_first != only_second else 1.0)


@pytest.mark.parametrize("share", [0.03, 0.08])
def test_of_a_thousand_pairs_of_equal_networks_one_in_twenty_seems_to_differ(share: float) -> None:
    alarms = np.mean([mcnemar(*pair).p < 0.05 for pair in drawn(share / 2, share / 2)])
    assert alarms == pytest.approx(0.05, abs=0.015)


@pytest.mark.parametrize(("only_first", "only_second"), [(0.02, 0.02), (0.05, 0.02), (0.06, 0.01)])
def test_the_interval_holds_the_true_difference_in_nineteen_of_twenty_pairs(only_first: float, only_second: float) -> None:
    intervals = [mcnemar(*pair).interval() for pair in drawn(only_first, only_second, seed=1)]
    held = np.mean([low <= only_first - only_second <= high for low, high in intervals])
    assert held == pytest.approx(0.95, abs=0.015)


def test_as_many_images_as_are_asked_for_show_the_difference_four_times_of_five() -> None:
    needed = Paired(1000, 40, 20, 0.01).images_needed()
    assert needed is not None
    found = np.mean([mcnemar(*pair).p < 0.05 for pair in drawn(0.04, 0.02, images=needed, seed=2)])
    assert found == pytest.approx(POWER, abs=0.04)


def test_no_number_of_images_shows_a_difference_that_is_not_there() -> None:
    assert Paired(100, 3, 3, 1.0).images_needed() is None
    assert Paired(100, 3, 3, 1.0).interval() == pytest.approx((-0.0505, 0.0505), abs=1e-3)


def test_more_comparisons_at_once_make_a_wider_interval_and_ask_for_more_images() -> None:
    found = Paired(1000, 40, 20, 0.01)
    (low, high), (lower, higher) = found.interval(), found.interval(0.05 / 4)
    assert lower < low < found.difference < high < higher
    assert (found.images_needed(0.05 / 4) or 0) > (found.images_needed() or 0)
