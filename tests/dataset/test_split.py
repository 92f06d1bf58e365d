import hashlib
from collections import Counter

import pytest

from pipeline.config.errors import DataError
from pipeline.config.schema import Split
from pipeline.dataset.readers import ALL
from pipeline.dataset.split import assign, require_images

IMAGES = [hashlib.sha256(str(i).encode()).hexdigest() for i in range(4000)]


def splits(part: str = ALL, official: set[str] | None = None, **settings: float) -> list[str]:
    """Return the split of every image."""
    split = Split(**{"validation": 0.1, "test": 0.2, "seed": 0, "folds": None, "fold": 0, **settings})
    return [assign(image, part, official or set(), split) for image in IMAGES]


def shares(found: list[str]) -> dict[str, float]:
    return {split: count / len(found) for split, count in Counter(found).items()}


def test_shares_are_those_of_the_config() -> None:
    assert shares(splits()) == pytest.approx({"test": 0.2, "validation": 0.08, "train": 0.72}, abs=0.02)  # 0.1 of what is not test


def test_validation_is_a_share_of_the_official_training_images() -> None:
    assert shares(splits("train", {"train", "test"}, validation=0.25)) == pytest.approx({"validation": 0.25, "train": 0.75}, abs=0.03)


def test_the_split_is_a_function_of_the_image_and_not_of_the_others() -> None:
    every = dict(zip(IMAGES, splits(), strict=True))
    assert all(assign(image, ALL, set(), Split(0.1, 0.2, 0, None, 0)) == split for image, split in reversed(every.items()))


def test_exact_copies_land_in_the_same_split() -> None:
    assert len({assign(IMAGES[0], ALL, set(), Split(0.4, 0.4, 0, None, 0)) for _ in range(20)}) == 1


def test_the_split_s_seed_changes_it() -> None:
    same = sum(a == b for a, b in zip(splits(seed=0), splits(seed=1), strict=True)) / len(IMAGES)
    assert same == pytest.approx(0.72**2 + 0.2**2 + 0.08**2, abs=0.03)  # what chance leaves alike


def test_a_larger_validation_share_moves_no_image_into_or_out_of_the_test_split() -> None:
    assert [split == "test" for split in splits(validation=0.1)] == [split == "test" for split in splits(validation=0.5)]


def test_folds_share_out_what_is_not_test_and_every_image_is_validated_once() -> None:
    found = [splits(folds=5, fold=fold) for fold in range(5)]
    tested = [split == "test" for split in splits()]
    assert all([split == "test" for split in fold] == tested for fold in found)
    for i, is_test in enumerate(tested):
        assert [fold[i] for fold in found].count("validation") == (0 if is_test else 1)
    assert all(shares(fold)["validation"] == pytest.approx(0.16, abs=0.02) for fold in found)


def test_folds_share_out_official_training_images_too() -> None:
    found = [splits("train", {"train", "test"}, folds=4, fold=fold) for fold in range(4)]
    assert all(sorted(parts) == ["train", "train", "train", "validation"] for parts in zip(*found, strict=True))


@pytest.mark.parametrize("part", ["validation", "test"])
def test_official_images_stay(part: str) -> None:
    assert set(splits(part, {"train", part})) == {part}


def test_official_validation_images_leave_the_training_images_whole() -> None:
    assert set(splits("train", {"train", "validation", "test"})) == {"train"}


def test_no_test_image_is_drawn_where_there_are_official_ones() -> None:
    assert set(splits("train", {"train", "test"}, test=0.5)) == {"train", "validation"}


def counts(train: int = 5, validation: int = 2, test: int = 2) -> dict[str, dict[str, int]]:
    return {split: {"cat": 3, "dog": images} for split, images in (("train", train), ("validation", validation), ("test", test))}


def test_classes_with_images_everywhere_pass() -> None:
    require_images(counts(), set())


@pytest.mark.parametrize(("split", "share"), [("train", "validation"), ("validation", "validation"), ("test", "test")])
def test_a_class_that_misses_in_a_split_is_told(split: str, share: str) -> None:
    left = sum({"train": 5, "validation": 2, "test": 2, split: 0}.values())
    with pytest.raises(
        DataError,
        match=rf"class dog has no images in the {split} split \({left} in all\)\. Add images of it, "
        rf"\w+ dataset\.split\.{share}, or try another dataset\.split\.seed",
    ):
        require_images(counts(**{split: 0}), set())


def test_an_official_split_that_misses_a_class_is_told_with_another_remedy() -> None:
    with pytest.raises(DataError, match=r"no images in the validation split \(7 in all\)\. The data says itself .* shuffle them"):
        require_images(counts(validation=0), {"train", "validation"})


def test_a_single_class_is_refused() -> None:
    with pytest.raises(DataError, match="there is only one class, cat; a network needs two or more to tell apart"):
        require_images({split: {"cat": 3} for split in ("train", "validation", "test")}, set())
