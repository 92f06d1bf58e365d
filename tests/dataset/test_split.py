"""Splits by rank: the shares hold to an image in each class, none is left without, and little moves when an image comes."""

import functools
import hashlib
import itertools
from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.config.schema import Split
from pipeline.config.splits import ALL, SPLITS
from pipeline.dataset.splits import TEST, TRAIN, VALIDATION, cut, draw, needed

IMAGES = np.array([hashlib.sha256(str(i).encode()).hexdigest() for i in range(4000)], "S64")
SHAPES = [(2, 10), (10, 20), (22, 8), (3, 3), (5, 4), (2, 130), (10, 40), (37, 15), (2, 1000), (102, 40)]  # classes x images of each


def split(**settings: float) -> Split:
    return Split(**{"validation": 0.1, "test": 0.2, "seed": 0, "folds": None, "fold": 0, **settings})


def splits(part: str = ALL, official: set[str] | None = None, images: NDArray[np.bytes_] = IMAGES, **settings: float) -> list[str]:
    """Return the split of every image, all of them of one class."""
    every = [part] * len(images)
    return [SPLITS[i] for i in draw(images, ["cat"] * len(images), every, official or set(), split(**settings))]


@functools.cache
def ordered(images: int, **settings: float) -> list[int]:
    """Return the splits of a class's images in the order of their hashes."""
    return cut(np.arange(images, dtype=np.uint64), True, split(**settings)).tolist()


def moved(images: int, newcomer: int, **settings: float) -> list[tuple[int, int]]:
    """Return (before, after) of each old image that changes its split when one more comes to stand at that rank."""
    grown = ordered(images + 1, **settings)
    after = grown[:newcomer] + grown[newcomer + 1 :]
    return [pair for pair in zip(ordered(images, **settings), after, strict=True) if pair[0] != pair[1]]


@pytest.mark.parametrize(("classes", "each"), SHAPES)
def test_for_a_thousand_seeds_every_class_has_its_shares_to_an_image_and_is_nowhere_left_without(classes: int, each: int) -> None:
    generator = np.random.default_rng(classes)
    sizes = range(max(3, each - classes), each + 1)  # classes are not of one size
    for seed in range(1000):
        hashes = generator.integers(0, 2**64, sizes[seed % len(sizes)], np.uint64)
        count = np.bincount(cut(hashes, True, split()), minlength=3)
        assert count.min() >= 1
        assert abs(count[TEST] - 0.2 * len(hashes)) < 1
        assert abs(count[VALIDATION] - 0.1 * (len(hashes) - count[TEST])) < 1


@pytest.mark.parametrize(("images", "expected"), [(3, [1, 1, 1]), (4, [2, 1, 1]), (10, [7, 1, 2]), (20, [14, 2, 4]), (100, [72, 8, 20])])
def test_a_class_of_so_many_images_is_split_so(images: int, expected: list[int]) -> None:
    count = Counter(ordered(images))
    assert [count[TRAIN], count[VALIDATION], count[TEST]] == expected


@pytest.mark.parametrize(
    "settings", [{}, {"validation": 0.5, "test": 0.4}, {"validation": 0.01, "test": 0.01}, {"validation": 0.98, "test": 0.98}]
)
def test_a_newcomer_at_any_rank_moves_one_image_at_each_cut_at_most(settings: dict[str, float]) -> None:
    for images in range(3, 60):
        for newcomer in range(images + 1):
            found = [set(pair) for pair in moved(images, newcomer, **settings)]
            assert found in ([], [{TRAIN, TEST}], [{TRAIN, VALIDATION}], [{TRAIN, TEST}, {TRAIN, VALIDATION}])


def test_two_images_move_only_where_a_newcomer_falls_into_the_one_judging_split_while_the_other_grows() -> None:
    """docs/decisions/0014 says why no order can spare this."""
    cases = [(images, newcomer) for images in range(3, 130) for newcomer in range(images + 1)]
    double = [case for case in cases if len(moved(*case)) == 2]
    assert len(double) / len(cases) == pytest.approx(2 * 0.2 * 0.08, abs=0.005)
    for images, newcomer in double:
        before, after = Counter(ordered(images)), Counter(ordered(images + 1))
        own, other = (TEST, VALIDATION) if newcomer < images / 2 else (VALIDATION, TEST)
        assert ordered(images + 1)[newcomer] == own
        assert after[other] == before[other] + 1


@pytest.mark.parametrize("folds", [2, 3, 5, 10])
def test_a_newcomer_moves_one_image_into_and_one_out_of_a_fold_at_most(folds: int) -> None:
    for images, fold in itertools.product(range(folds + 1, 40), range(folds)):
        for newcomer in range(images + 1):
            found = moved(images, newcomer, folds=folds, fold=fold)
            assert sum(TEST in pair for pair in found) <= 1
            assert sum(pair[0] == VALIDATION for pair in found) <= 1
            assert sum(pair[1] == VALIDATION for pair in found) <= 1


def test_the_split_depends_on_the_images_alone_whatever_their_order_and_the_other_classes() -> None:
    shuffled = np.random.default_rng(0).permutation(len(IMAGES))
    labels = np.array(["cat", "dog", "eel"])[np.arange(len(IMAGES)) % 3]
    parts = [ALL] * len(IMAGES)
    every = draw(IMAGES, labels.tolist(), parts, set(), split())
    assert (draw(IMAGES[shuffled], labels[shuffled].tolist(), parts, set(), split()) == every[shuffled]).all()
    dogs = labels == "dog"
    assert (draw(IMAGES[dogs], ["dog"] * int(dogs.sum()), parts[: int(dogs.sum())], set(), split()) == every[dogs]).all()


def test_exact_copies_stay_together_and_count_as_one_image() -> None:
    copied = np.concatenate([IMAGES[:10], IMAGES[:10].repeat(7)])
    found = splits(images=copied)
    assert found[:10] == splits(images=IMAGES[:10])
    assert found[10:] == [part for part in found[:10] for _ in range(7)]


def test_the_split_s_seed_changes_it() -> None:
    same = sum(a == b for a, b in zip(splits(seed=0), splits(seed=1), strict=True)) / len(IMAGES)
    assert same == pytest.approx(0.72**2 + 0.2**2 + 0.08**2, abs=0.03)  # what chance leaves alike


def test_a_larger_validation_share_moves_no_image_into_or_out_of_the_test_split() -> None:
    assert [part == "test" for part in splits(validation=0.1)] == [part == "test" for part in splits(validation=0.5)]


@pytest.mark.parametrize("images", [6, 7, 11, 4000])
def test_folds_share_out_what_is_not_test_evenly_and_every_image_is_validated_once(images: int) -> None:
    found = [splits(images=IMAGES[:images], folds=5, fold=fold) for fold in range(5)]
    tested = [part == "test" for part in splits(images=IMAGES[:images])]
    assert all([part == "test" for part in fold] == tested for fold in found)
    for i, is_test in enumerate(tested):
        assert [fold[i] for fold in found].count("validation") == (0 if is_test else 1)
    sizes = {fold.count("validation") for fold in found}
    assert min(sizes) >= 1
    assert max(sizes) - min(sizes) <= 1


def test_folds_share_out_official_training_images_too() -> None:
    found = [splits("train", {"train", "test"}, folds=4, fold=fold) for fold in range(4)]
    assert all(sorted(parts) == ["train", "train", "train", "validation"] for parts in zip(*found, strict=True))


def test_validation_is_a_share_of_the_official_training_images() -> None:
    assert Counter(splits("train", {"train", "test"}, validation=0.25)) == {"validation": 1000, "train": 3000}


@pytest.mark.parametrize("part", ["validation", "test"])
def test_official_images_stay(part: str) -> None:
    assert set(splits(part, {"train", part})) == {part}


def test_official_validation_images_leave_the_training_images_whole() -> None:
    assert set(splits("train", {"train", "validation", "test"})) == {"train"}


def test_no_test_image_is_drawn_where_there_are_official_ones() -> None:
    assert set(splits("train", {"train", "test"}, test=0.5)) == {"train", "validation"}


@pytest.mark.parametrize(
    ("official", "folds", "expected"),
    [(set(), None, 3), (set(), 5, 6), ({"train", "test"}, None, 2), ({"train", "test"}, 5, 5), ({"train", "validation", "test"}, None, 0)],
)
def test_so_many_images_of_a_class_are_needed(official: set[str], folds: int | None, expected: int) -> None:
    assert needed(official, split(folds=folds)) == expected
