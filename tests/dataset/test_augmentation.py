import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.config.errors import ConfigError
from pipeline.config.schema import Augmentation
from pipeline.dataset.augmentation import Augment
from tests.conftest import MakeConfig
from tests.samples import options

NOISE = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)


def augment(seed: int = 0, **transforms: dict | None) -> Augment:
    return Augment(Augmentation("test", transforms), seed)


FLIP = {"_target_": "albumentations.HorizontalFlip", "p": 0.5}
UPEND = {"_target_": "albumentations.VerticalFlip", "p": 0.5}
SHIFT = {"_target_": "albumentations.Affine", "translate_percent": [-0.2, 0.2], "rotate": [-20, 20], "p": 1.0}


def same(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> bool:
    return bool((a == b).all())


@pytest.mark.parametrize("name", options("augmentation"))
@pytest.mark.parametrize("channels", [1, 3])
def test_every_option_keeps_shape_and_type(name: str, channels: int, config: MakeConfig) -> None:
    chosen = Augment(config(f"augmentation={name}").augmentation, 0)
    for size in (8, 32):
        image = chosen(NOISE[:size, :size, :channels], 0, 1)
        assert (image.shape, image.dtype) == ((size, size, channels), np.uint8)


@pytest.mark.parametrize("name", sorted(set(options("augmentation")) - {"none"}))
def test_every_option_but_none_changes_most_images(name: str, config: MakeConfig) -> None:
    chosen = Augment(config(f"augmentation={name}").augmentation, 0)
    assert sum(not same(chosen(NOISE, 0, sample), NOISE) for sample in range(40)) > 20


def test_none_changes_nothing(config: MakeConfig) -> None:
    assert same(Augment(config("augmentation=none").augmentation, 0)(NOISE, 3, 4), NOISE)


def test_the_same_seed_epoch_and_sample_give_the_same_picture_whatever_was_asked_before() -> None:
    fresh = augment(shift=SHIFT, flip=FLIP)(NOISE, 5, 17)
    used = augment(shift=SHIFT, flip=FLIP)
    for sample in range(7):
        used(NOISE, 0, sample)
    np.random.seed(3)  # noqa: NPY002
    assert same(used(NOISE, 5, 17), fresh)
    assert same(used(NOISE, 5, 17), fresh)


@pytest.mark.parametrize(("seed", "epoch", "sample"), [(1, 5, 17), (0, 6, 17), (0, 5, 18), (0, 17, 5)])
def test_another_seed_epoch_or_sample_gives_another_picture(seed: int, epoch: int, sample: int) -> None:
    assert not same(augment(seed, shift=SHIFT)(NOISE, epoch, sample), augment(0, shift=SHIFT)(NOISE, 5, 17))


def test_half_of_the_images_are_flipped_in_every_epoch_and_not_the_same_ones() -> None:
    flip = augment(flip=FLIP)
    flipped = np.array([[not same(flip(NOISE[:4, :4], epoch, sample), NOISE[:4, :4]) for sample in range(300)] for epoch in (0, 1)])
    assert flipped.mean(axis=1) == pytest.approx([0.5, 0.5], abs=0.1)
    assert (flipped[0] == flipped[1]).mean() == pytest.approx(0.5, abs=0.1)


def test_two_flips_of_one_image_are_not_correlated() -> None:
    both = augment(flip=FLIP, upend=UPEND)
    corner = np.arange(4, dtype=np.uint8).reshape(2, 2, 1)
    seen = [tuple(both(corner, 0, sample).ravel().tolist()) for sample in range(400)]
    shares = [seen.count(outcome) / 400 for outcome in [(0, 1, 2, 3), (1, 0, 3, 2), (2, 3, 0, 1), (3, 2, 1, 0)]]
    assert shares == pytest.approx([0.25] * 4, abs=0.07)


def test_the_image_that_is_given_stays_as_it_is() -> None:
    image = NOISE.copy()
    augment(shift=SHIFT, flip=FLIP)(image, 0, 0)
    assert same(image, NOISE)


def test_a_transform_set_to_null_is_left_out() -> None:
    assert same(augment(flip=None)(NOISE, 0, 0), NOISE)
    assert same(augment(flip=None, shift=SHIFT)(NOISE, 0, 0), augment(shift=SHIFT)(NOISE, 0, 0))


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (
            {"_target_": "albumentations.Affine", "rotatte": 3},
            r"\.rotatte is not an option of albumentations.Affine; did you mean rotate\?",
        ),
        ({"_target_": "albumentations.Afine"}, r"\._target_: there is no albumentations.Afine"),
        (
            {"_target_": "albumentations.Compose", "transforms": []},
            r"\._target_: albumentations.Compose is not a albumentations\..*BasicTransform",
        ),
        ({"_target_": "albumentations.HorizontalFlip", "p": 2}, ": albumentations.HorizontalFlip refused its options: "),
    ],
)
def test_a_transform_that_can_t_be_built_is_refused_by_its_name(node: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=rf"augmentation\.transforms\.turn{message}"):
        augment(turn=node)


def test_with_a_side_other_squares_of_the_image_are_seen_in_other_epochs() -> None:
    crop = Augment(Augmentation("none", {}), 0, side=20)
    seen = {crop(NOISE, epoch, 0).tobytes() for epoch in range(20)}
    assert len(seen) > 10
    height, width = NOISE.shape[:2]
    squares = {NOISE[top : top + 20, left : left + 20].tobytes() for top in range(height - 19) for left in range(width - 19)}
    assert seen <= squares
