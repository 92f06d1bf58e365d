from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.config.schema import Augmentation
from pipeline.dataset.augmentation import Augment
from pipeline.dataset.loaders import EpochOrder, PackedImages, loader
from pipeline.dataset.normalise import normalised

SHIFT = Augmentation(
    "test", {"shift": {"_target_": "albumentations.Affine", "translate_percent": [-0.2, 0.2], "rotate": [-20, 20], "p": 0.9}}
)


def epochs(prepared: Path, workers: int, count: int = 2, seed: int | None = 3) -> list[list[tuple[Tensor, Tensor]]]:
    """Return the batches of each epoch, as a training sees them."""
    batches = loader(PackedImages(prepared, "train", Augment(SHIFT, 0)), 5, seed, workers)
    found = []
    for epoch in range(count):
        batches.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        found.append(list(batches))
    return found


def test_a_batch_is_uint8_images_and_int64_labels(prepared: Path) -> None:
    [first, *_] = loader(PackedImages(prepared, "validation"), 4)
    assert (first[0].shape, first[0].dtype) == ((4, 8, 8, 1), torch.uint8)
    assert (first[1].shape, first[1].dtype) == ((4,), torch.int64)


def test_without_a_seed_every_image_comes_once_in_the_stored_order(prepared: Path) -> None:
    images, labels = (torch.cat(parts) for parts in zip(*loader(PackedImages(prepared, "train"), 5), strict=True))
    np.testing.assert_array_equal(images, np.load(prepared / "train.npy"))
    np.testing.assert_array_equal(labels, np.load(prepared / "train_labels.npy"))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork")
def test_batches_are_identical_for_no_and_for_two_workers(prepared: Path) -> None:
    for alone, with_workers in zip(epochs(prepared, 0), epochs(prepared, 2), strict=True):
        for (images, labels), (other_images, other_labels) in zip(alone, with_workers, strict=True):
            assert torch.equal(images, other_images)
            assert torch.equal(labels, other_labels)


def test_another_epoch_brings_other_pictures_and_another_order(prepared: Path) -> None:
    (first, *_), (second, *_) = epochs(prepared, 0)
    assert not torch.equal(first[0], second[0])
    (first, *_), (second, *_) = epochs(prepared, 0, seed=None)
    assert torch.equal(first[1], second[1])
    assert not torch.equal(first[0], second[0])  # the same samples, augmented anew


def test_augmenting_changes_no_stored_image(prepared: Path) -> None:
    before = (prepared / "train.npy").read_bytes()
    epochs(prepared, 0)
    assert (prepared / "train.npy").read_bytes() == before


def order(epoch: int, seed: int | None = 3, samples: int = 50) -> list[int]:
    sampler = EpochOrder(samples, seed)
    sampler.set_epoch(epoch)
    assert {of for of, _ in sampler} == {epoch}
    return [sample for _, sample in sampler]


def test_the_order_is_a_permutation_that_differs_per_epoch_and_seed() -> None:
    orders = [order(0), order(1), order(2), order(0, seed=4)]
    assert all(sorted(found) == list(range(50)) for found in orders)
    assert all(first != second for first, second in pairwise([*orders, orders[0]]))
    assert len(EpochOrder(50, 3)) == 50


def test_the_order_of_an_epoch_does_not_depend_on_what_was_asked_before() -> None:
    assert order(2) == order(2)
    assert order(0, seed=None) == list(range(50))


def test_normalised_images_have_mean_0_and_deviation_1_channels_first() -> None:
    images = torch.randint(0, 256, (10, 6, 5, 3), dtype=torch.uint8)
    values = images.float() / 255
    mean, std = values.mean(dim=(0, 1, 2)), values.std(dim=(0, 1, 2))
    found = normalised(images, mean, std)
    assert found.shape == (10, 3, 6, 5)
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(found.std(dim=(0, 2, 3)), torch.ones(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(found[4, 1, 2, 3], (images[4, 2, 3, 1] / 255 - mean[1]) / std[1])


def test_a_last_training_batch_of_one_image_is_dropped_as_batch_norm_needs_two(prepared: Path) -> None:
    images = PackedImages(prepared, "train")
    size = len(images) - 1
    assert [len(labels) for _, labels in loader(images, size, seed=0)] == [size]
    assert [len(labels) for _, labels in loader(images, size)] == [size, 1]


def test_balanced_batches_draw_every_class_as_often_and_the_same_again_for_a_seed(prepared: Path, tmp_path: Path) -> None:
    labels = np.load(prepared / "train_labels.npy")
    few = np.flatnonzero((labels != 0) | (np.cumsum(labels == 0) == 1))  # one image of the first class
    np.save(tmp_path / "train.npy", np.load(prepared / "train.npy")[few])
    np.save(tmp_path / "train_labels.npy", labels[few])

    def drawn(seed: int) -> list[int]:
        batches = loader(PackedImages(tmp_path, "train"), 3, seed, is_balanced=True)
        found = []
        for epoch in range(200):
            batches.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
            found += torch.cat([labels for _, labels in batches]).tolist()
        return found

    shares = np.bincount(drawn(0)) / len(drawn(0))
    np.testing.assert_allclose(shares, 1 / 3, atol=0.04)
    assert drawn(0) == drawn(0) != drawn(1)
