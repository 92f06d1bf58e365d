"""Twins are found, and only twins: made-up pictures here; planted ones among real photos in test_real_data."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.dataset.near_duplicates import NONE, find_near_duplicates
from pipeline.dataset.prepare import RECORD, tint

TRAIN, VALIDATION, TEST = range(3)
CORRELATION = 0.995
GRAY = 128


@pytest.fixture(scope="module")
def pictures() -> NDArray[np.uint8]:
    """Three hundred miniatures, no two alike."""
    coarse = np.random.default_rng(0).integers(0, 256, (300, 4, 4))
    return np.kron(coarse, np.ones((4, 4))).astype(np.uint8)


def records(pictures: NDArray[np.uint8]) -> NDArray[np.void]:
    """Return records of gray pictures (n, 16, 16)."""
    found = np.zeros(len(pictures), RECORD)
    found["signature"], found["tint"] = pictures, GRAY
    return found


def twins_of(pictures: NDArray[np.uint8], splits: list[int]) -> dict[int, set[int]]:
    """Return image → its twins, for those that have one."""
    nearest = find_near_duplicates(records(pictures), np.array(splits), CORRELATION).nearest
    return {image: set(row[row != NONE].tolist()) for image, row in enumerate(nearest) if (row != NONE).any()}


def with_copies(pictures: NDArray[np.uint8], *copies: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.concatenate([pictures, np.stack(copies)])


def test_pictures_that_are_not_alike_have_no_twins(pictures: NDArray[np.uint8]) -> None:
    assert twins_of(pictures, [TRAIN, VALIDATION, TEST] * 100) == {}


@pytest.mark.parametrize("split", [TRAIN, VALIDATION, TEST])
def test_a_copy_is_found_within_its_split_and_across(pictures: NDArray[np.uint8], split: int) -> None:
    both = with_copies(pictures, pictures[7])
    assert twins_of(both, [TRAIN] * 300 + [split]) == {7: {300}, 300: {7}}


def test_noise_brightness_and_contrast_do_not_hide_a_twin(pictures: NDArray[np.uint8]) -> None:
    noise = np.random.default_rng(1).integers(-3, 4, pictures[0].shape)
    changed = [pictures[1] + noise, pictures[2] * 0.5 + 60, 255 - (255 - pictures[3].astype(int)) * 0.6]
    both = with_copies(pictures, *(np.clip(copy, 0, 255).astype(np.uint8) for copy in changed))
    assert twins_of(both, [TRAIN] * 303) == {1: {300}, 300: {1}, 2: {301}, 301: {2}, 3: {302}, 302: {3}}


def test_the_negative_of_a_picture_is_no_twin(pictures: NDArray[np.uint8]) -> None:
    assert twins_of(with_copies(pictures, 255 - pictures[0]), [TRAIN] * 301) == {}


def test_flat_pictures_have_no_twins(pictures: NDArray[np.uint8]) -> None:
    flat = np.full((16, 16), 90, np.uint8)
    noisy = flat + np.random.default_rng(0).integers(0, 2, flat.shape, dtype=np.uint8)
    assert twins_of(with_copies(pictures, flat, flat, noisy), [TRAIN] * 303) == {}


def test_one_pattern_in_two_colours_is_no_twin(pictures: NDArray[np.uint8]) -> None:
    both = records(with_copies(pictures, pictures[0], pictures[1]))
    both["tint"][300], both["tint"][301] = (GRAY + 6, GRAY), (GRAY + 2, GRAY - 2)
    nearest = find_near_duplicates(both, np.zeros(302, int), CORRELATION).nearest[:, TRAIN]
    assert {image: twin for image, twin in enumerate(nearest.tolist()) if twin != NONE} == {1: 301, 301: 1}


def test_a_twin_is_found_behind_three_others_whose_coarse_picture_is_nearer() -> None:
    generator = np.random.default_rng(0)
    coarse = np.kron(generator.integers(60, 190, (4, 4)), np.ones((4, 4), int))
    fine = [np.kron(np.ones((4, 4), int), generator.permutation([-30, 30] * 8).reshape(4, 4)) for _ in range(4)]
    own, *others = (coarse + pattern for pattern in fine)
    twin = own + generator.integers(-3, 4, own.shape)
    assert twins_of(np.stack([own, *others, twin]).astype(np.uint8), [TRAIN] * 5) == {0: {4}, 4: {0}}


@pytest.mark.parametrize(
    ("colour", "found"),
    [((128, 128, 128), (128, 128)), ((255, 0, 0), (85, 255)), ((0, 0, 255), (255, 107)), ((0, 255, 0), (44, 21))],
)
def test_the_tint_is_the_mean_colour_without_its_brightness(colour: tuple[int, int, int], found: tuple[int, int]) -> None:
    assert tint(np.full((8, 8, 3), colour, np.uint8)) == pytest.approx(found, abs=1)
    assert tint(np.full((8, 8, 1), colour[0], np.uint8)) == [GRAY, GRAY]


def test_each_of_many_copies_finds_one(pictures: NDArray[np.uint8]) -> None:
    found = twins_of(np.repeat(pictures[:2], 50, axis=0), [TRAIN, TEST] * 50)
    assert len(found) == 100
    for image, twins in found.items():
        assert image not in twins
        assert {twin // 50 for twin in twins} == {image // 50}
        assert len(twins) == 2  # one in train, one in test


def test_train_gives_way_to_validation_and_validation_to_test(pictures: NDArray[np.uint8]) -> None:
    three = with_copies(pictures[:4], pictures[0], pictures[0], pictures[1])
    twins = find_near_duplicates(records(three), np.array([TRAIN, VALIDATION, TRAIN, TEST, VALIDATION, TEST, TEST]), CORRELATION)
    assert twins.left_out_for().tolist() == [5, 6, NONE, NONE, 5, NONE, NONE]


def test_pairs_are_told_once_and_the_most_alike_first(pictures: NDArray[np.uint8]) -> None:
    noisy = pictures[1] * 0.97 + np.random.default_rng(0).integers(0, 8, (16, 16))
    pairs = find_near_duplicates(
        records(with_copies(pictures, noisy.astype(np.uint8), pictures[2])), np.zeros(302, int), CORRELATION
    ).pairs()
    assert [(pair["one"], pair["other"]) for pair in pairs] == [(2, 301), (1, 300)]
    assert pairs["correlation"][0] == pytest.approx(1)
    assert CORRELATION <= pairs["correlation"][1] < 0.9999


def test_more_images_than_are_looked_at_at_a_time(pictures: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch) -> None:
    both = with_copies(pictures, pictures[0], pictures[299])
    whole = twins_of(both, [TRAIN] * 150 + [TEST] * 152)
    monkeypatch.setattr("pipeline.dataset.near_duplicates.ROWS", 7)
    assert twins_of(both, [TRAIN] * 150 + [TEST] * 152) == whole == {0: {300}, 300: {0}, 299: {301}, 301: {299}}
