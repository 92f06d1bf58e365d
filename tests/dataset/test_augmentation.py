import pickle
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import kstest

from pipeline.config.errors import ConfigError
from pipeline.config.schema import Augmentation
from pipeline.dataset.augmentation import A, Augment, Chance
from tests.conftest import MakeConfig
from tests.samples import options

NOISE = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
Picture = NDArray[np.uint8]


def augment(seed: int = 0, alternating_flip: bool = False, **transforms: dict | None) -> Augment:
    return Augment(Augmentation("test", transforms, alternating_flip, None, None), seed)


def one(augment: Augment, image: Picture, epoch: int, sample: int) -> Picture:
    """Return an image as an epoch sees it, by itself."""
    return augment(image[None].copy(), epoch, np.array([sample]))[0]


FLIP = {"_target_": "albumentations.HorizontalFlip", "p": 0.5}
UPEND = {"_target_": "albumentations.VerticalFlip", "p": 0.5}
SHIFT = {"_target_": "albumentations.Affine", "translate_percent": [-0.2, 0.2], "rotate": [-20, 20], "p": 1.0}
NOISY = {"_target_": "albumentations.GaussNoise", "p": 1.0}
DIM = {"_target_": "albumentations.RandomBrightnessContrast", "p": 0.5}


def same(a: Picture, b: Picture) -> bool:
    return bool((a == b).all())


@pytest.mark.parametrize("name", options("augmentation"))
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [8, 32])
def test_every_option_keeps_shape_and_type(name: str, channels: int, size: int, config: MakeConfig) -> None:
    chosen = Augment(config(f"augmentation={name}", f"resize.size={size}").augmentation, 0)
    images = chosen(np.stack([NOISE[:size, :size, :channels]] * 3), 0, np.arange(3))
    assert (images.shape, images.dtype) == ((3, size, size, channels), np.uint8)


@pytest.mark.parametrize("name", sorted(set(options("augmentation")) - {"none"}))
def test_every_option_but_none_changes_most_images(name: str, config: MakeConfig) -> None:
    chosen = Augment(config(f"augmentation={name}").augmentation, 0)
    assert sum(not same(image, NOISE) for image in chosen(np.stack([NOISE] * 40), 0, np.arange(40))) > 20


def test_none_changes_nothing(config: MakeConfig) -> None:
    assert same(one(Augment(config("augmentation=none").augmentation, 0), NOISE, 3, 4), NOISE)


# Transforms that draw from Python's generator, from numpy's, and from both.
DRAWS = {
    "python": {"shift": SHIFT, "flip": FLIP},
    "numpy": {"noise": NOISY},
    "both": {"flip": FLIP, "elastic": {"_target_": "albumentations.ElasticTransform", "p": 0.9}, "noise": NOISY, "dim": DIM},
}


@pytest.mark.parametrize("transforms", DRAWS.values(), ids=DRAWS.keys())
def test_the_same_seed_epoch_and_sample_give_the_same_picture_whatever_was_asked_before(transforms: dict) -> None:
    fresh = one(augment(**transforms), NOISE, 5, 17)
    used = augment(**transforms)
    for sample in range(7):
        one(used, NOISE, 0, sample)
    np.random.seed(3)  # noqa: NPY002
    assert same(one(used, NOISE, 5, 17), fresh)
    assert same(one(used, NOISE, 5, 17), fresh)
    assert same(used(np.stack([NOISE] * 9), 5, np.arange(10, 19))[7], fresh)


@pytest.mark.parametrize("transforms", DRAWS.values(), ids=DRAWS.keys())
def test_a_worker_that_is_sent_the_transforms_makes_the_same_pictures(transforms: dict) -> None:
    here = augment(alternating_flip=True, **transforms)
    sent = pickle.loads(pickle.dumps(here))
    assert all(same(one(here, NOISE, 1, sample), one(sent, NOISE, 1, sample)) for sample in range(4))


@pytest.mark.parametrize("transforms", DRAWS.values(), ids=DRAWS.keys())
@pytest.mark.parametrize(("seed", "epoch", "sample"), [(1, 5, 17), (0, 6, 17), (0, 5, 18), (0, 17, 5)])
def test_another_seed_epoch_or_sample_gives_another_picture(transforms: dict, seed: int, epoch: int, sample: int) -> None:
    assert not same(one(augment(seed, **transforms), NOISE, epoch, sample), one(augment(0, **transforms), NOISE, 5, 17))


def test_half_of_the_images_are_flipped_in_every_epoch_and_not_the_same_ones() -> None:
    small = np.stack([NOISE[:4, :4]] * 1000)
    flips = [augment(seed, flip=FLIP)(small.copy(), epoch, np.arange(1000)) for seed, epoch in [(0, 0), (0, 1), (1, 0)]]
    flipped = np.array([(images != small).any(axis=(1, 2, 3)) for images in flips])
    assert flipped.mean(axis=1) == pytest.approx([0.5] * 3, abs=0.06)
    np.testing.assert_allclose(np.corrcoef(flipped), np.eye(3), atol=0.13)  # 4 deviations
    assert abs(np.corrcoef(flipped[0, :-1], flipped[0, 1:])[0, 1]) < 0.13  # of neighbours


def test_two_flips_of_one_image_are_not_correlated() -> None:
    both = augment(flip=FLIP, upend=UPEND)
    corner = np.arange(4, dtype=np.uint8).reshape(2, 2, 1)
    seen = [tuple(image.ravel().tolist()) for image in both(np.stack([corner] * 1000), 0, np.arange(1000))]
    shares = [seen.count(outcome) / 1000 for outcome in [(0, 1, 2, 3), (1, 0, 3, 2), (2, 3, 0, 1), (3, 2, 1, 0)]]
    assert shares == pytest.approx([0.25] * 4, abs=0.055)


def test_no_picture_is_repeated_among_samples_epochs_and_seeds() -> None:
    images = np.stack([NOISE] * 100)
    drawn = [augment(seed, shift=SHIFT)(images.copy(), epoch, np.arange(100)) for seed in range(3) for epoch in range(3)]
    assert len({image.tobytes() for image in np.concatenate(drawn)}) == 900


def chances(count: int, draw: Callable[[Chance], float]) -> NDArray[np.float64]:
    """Return the first draws of samples in epochs, (epochs, samples), half as many epochs as samples."""
    chance = Chance(7)
    found = np.empty((count // 2, count))
    for epoch, sample in np.ndindex(*found.shape):
        chance.begin(epoch, sample)
        found[epoch, sample] = draw(chance)
    return found


@pytest.mark.parametrize(
    "draw",
    [
        lambda chance: chance.random(),
        lambda chance: chance.uniform(0, 1),
        lambda chance: (chance.randint(0, 999) + 0.5) / 1000,
        lambda chance: (chance.getrandbits(100) + 0.5) / 2**100,
        lambda chance: chance.numpy.random(),
        lambda chance: chance.random() and chance.numpy.uniform(),
        lambda chance: (chance.numpy.integers(0, 1000) + 0.5) / 1000,
        lambda chance: chance.numpy.random() and chance.random(),
    ],
)
def test_draws_are_even_and_of_neighbours_not_correlated(draw: Callable[[Chance], float]) -> None:
    found = chances(100, draw)
    assert kstest(found.ravel(), "uniform").pvalue > 0.001
    for one, other in [(found[:-1], found[1:]), (found[:, :-1], found[:, 1:]), (found[1:, :-1], found[:-1, 1:])]:
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 4 / len(one.ravel()) ** 0.5


def test_python_s_and_numpy_s_draws_of_a_sample_differ_and_what_is_drawn_by_twos_is_not_kept_for_the_next() -> None:
    chance = Chance(0)
    chance.begin(0, 0)
    drawn = [chance.random(), chance.numpy.random(), chance.random(), chance.numpy.random()]
    assert len(set(drawn)) == 4
    chance.gauss()
    chance.numpy.integers(9, dtype=np.uint32)
    chance.begin(0, 1)
    normal, small = chance.gauss(), chance.numpy.integers(2**32, dtype=np.uint32)
    fresh = Chance(0)
    fresh.begin(0, 1)
    assert (fresh.gauss(), fresh.numpy.integers(2**32, dtype=np.uint32)) == (normal, small)


@pytest.mark.parametrize("several", [A.OneOf, A.SomeOf, A.RandomOrder])
def test_transforms_within_others_draw_from_the_same_stream(several: type[A.BaseCompose]) -> None:
    inner = [A.GaussNoise(p=1), A.Rotate(p=1), A.HorizontalFlip(p=0.5)]
    changes, chance = several(inner, **({"n": 2} if several is A.SomeOf else {}), p=1.0), Chance(0)
    changes.set_random_state(chance.numpy, chance)

    def seen(sample: int) -> Picture:
        chance.begin(0, sample)
        return changes(image=NOISE)["image"]

    first = seen(3)
    assert not same(seen(4), first)
    assert same(seen(3), first)


def test_an_alternating_flip_shows_both_sides_in_two_epochs_and_one_half_mirrored_first() -> None:
    turn = augment(alternating_flip=True)
    images = np.stack([NOISE[:4, :4]] * 1000)
    first, second, third = (turn(images.copy(), epoch, np.arange(1000)) for epoch in range(3))
    np.testing.assert_array_equal(first, second[:, :, ::-1])
    np.testing.assert_array_equal(first, third)
    is_mirrored = (first != images).any(axis=(1, 2, 3))
    assert is_mirrored.mean() == pytest.approx(0.5, abs=0.06)
    assert abs(np.corrcoef(is_mirrored[:-1], is_mirrored[1:])[0, 1]) < 0.13
    other = (augment(1, alternating_flip=True)(images.copy(), 0, np.arange(1000)) != images).any(axis=(1, 2, 3))
    assert abs(np.corrcoef(is_mirrored, other)[0, 1]) < 0.13


def test_crop_flip_shows_the_image_shifted_by_up_to_4_pixels_over_reflected_edges(config: MakeConfig) -> None:
    chosen = Augment(config("augmentation=crop_flip").augmentation, 0)
    padded = np.pad(NOISE, ((4, 4), (4, 4), (0, 0)), mode="reflect")
    places = {padded[top : top + 32, left : left + 32].tobytes(): (top, left) for top in range(9) for left in range(9)}
    seen = chosen(np.stack([NOISE] * 600), 0, np.arange(600))
    found = {places[(image if image.tobytes() in places else image[:, ::-1]).tobytes()] for image in seen}
    assert len(found) > 75  # of 81


def test_erase_puts_noise_into_half_of_the_images(config: MakeConfig) -> None:
    chosen = Augment(config("augmentation=erase", "augmentation.transforms.flip=null").augmentation, 0)
    black = np.zeros((400, 16, 16, 3), np.uint8)
    areas = (chosen(black, 0, np.arange(400)) > 0).any(axis=3).mean(axis=(1, 2))
    assert (areas > 0).mean() == pytest.approx(0.5, abs=0.1)
    assert 0.01 < areas[areas > 0].min() < areas.max() < 0.45


def test_a_transform_set_to_null_is_left_out() -> None:
    assert same(one(augment(flip=None), NOISE, 0, 0), NOISE)
    assert same(one(augment(flip=None, shift=SHIFT), NOISE, 0, 0), one(augment(shift=SHIFT), NOISE, 0, 0))


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (
            {"_target_": "albumentations.Affine", "rotatte": 3},
            r"\.rotatte is not an option of albumentations.Affine; did you mean rotate\?",
        ),
        ({"_target_": "albumentations.Afine"}, r"\._target_: there is no class albumentations.Afine"),
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
    crop = Augment(Augmentation("none", {}, False, None, None), 0, side=20)
    seen = {one(crop, NOISE, epoch, 0).tobytes() for epoch in range(20)}
    assert len(seen) > 10
    height, width = NOISE.shape[:2]
    squares = {NOISE[top : top + 20, left : left + 20].tobytes() for top in range(height - 19) for left in range(width - 19)}
    assert seen <= squares


def test_transforms_that_change_the_size_are_refused() -> None:
    grow = augment(pad={"_target_": "albumentations.Pad", "padding": 4})
    with pytest.raises(ConfigError, match=r"must keep the size of images, \(32, 32, 3\), but made \(40, 40, 3\)\. Follow a Pad"):
        one(grow, NOISE, 0, 0)
