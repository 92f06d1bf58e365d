import pickle
import signal
import subprocess
import sys
import time
from itertools import chain, combinations
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.config.errors import DataError
from pipeline.config.schema import Augmentation
from pipeline.dataset.augmentation import A, Augment
from pipeline.dataset.loaders import EpochOrder, PackedImages, loader
from pipeline.dataset.normalise import normalised
from tests.project import gone

SHIFTS = {"shift": {"_target_": "albumentations.Affine", "translate_percent": [-0.2, 0.2], "rotate": [-20, 20], "p": 1.0}}
SHIFT = Augmentation("test", SHIFTS, True, None, None)
FORKS = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork")


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


@FORKS
def test_batches_are_identical_for_no_one_and_two_workers(prepared: Path) -> None:
    alone = epochs(prepared, 0)
    for workers in (1, 2):
        for epoch, other in zip(alone, epochs(prepared, workers), strict=True):
            for (images, labels), (other_images, other_labels) in zip(epoch, other, strict=True):
                assert torch.equal(images, other_images)
                assert torch.equal(labels, other_labels)


class Unkeyed:
    """albumentations as its own pages use it."""

    def __init__(self) -> None:
        self.compose = A.Compose([A.Affine(translate_percent=(-0.2, 0.2), rotate=(-20, 20), p=1)])

    def __call__(self, images: NDArray[np.uint8], epoch: int, samples: NDArray[np.int64]) -> NDArray[np.uint8]:
        return np.stack([self.compose(image=image)["image"] for image in images])


@FORKS
@pytest.mark.parametrize(("augment", "different"), [(Augment(SHIFT, 0), 36), (Unkeyed(), 18)], ids=["ours", "albumentations"])
def test_no_picture_is_repeated_in_three_epochs_of_two_workers_unless_albumentations_is_left_to_itself(
    augment: Augment, different: int, tmp_path: Path
) -> None:
    [picture] = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    np.save(tmp_path / "train.npy", np.stack([picture] * 12))
    np.save(tmp_path / "train_labels.npy", np.zeros(12, np.int64))
    batches = loader(PackedImages(tmp_path, "train", augment), 2, 3, workers=2)
    seen = set()
    for epoch in range(3):
        batches.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        seen |= {image.numpy().tobytes() for images, _ in batches for image in images}
    assert len(seen) == different


@FORKS
def test_an_epoch_left_in_its_middle_does_not_touch_the_next(prepared: Path) -> None:
    [_, expected] = epochs(prepared, 0)
    batches = loader(PackedImages(prepared, "train", Augment(SHIFT, 0)), 5, 3, 2)
    next(iter(batches))
    batches.sampler.set_epoch(1)  # type: ignore[attr-defined]
    for (images, _), (other, _) in zip(batches, expected, strict=True):
        assert torch.equal(images, other)


def test_a_worker_that_is_no_fork_maps_the_file_instead_of_getting_the_images_sent(prepared: Path) -> None:
    images = PackedImages(prepared, "train", Augment(SHIFT, 0))
    sent = pickle.dumps(images)
    assert len(sent) < images.images.nbytes
    key = (1, np.array([2, 7]))
    assert torch.equal(pickle.loads(sent)[key][0], images[key][0])


TRAINING = """
import sys
from pathlib import Path
import psutil
from pipeline.dataset.loaders import PackedImages, loader

batches = iter(loader(PackedImages(Path(sys.argv[1]), "train"), 2, 0, workers=2))
next(batches)
print(*[child.pid for child in psutil.Process().children()], flush=True)
sys.stdin.read()
"""


def test_workers_die_with_a_training_that_is_killed_within_two_seconds(prepared: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", TRAINING, str(prepared)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as training:
        assert training.stdout
        workers = [psutil.Process(int(pid)) for pid in training.stdout.readline().split()]
        assert len(workers) == 2
        workers[0].send_signal(signal.SIGINT)  # Ctrl-C reaches all of a terminal's processes; the training answers it
        time.sleep(0.2)
        assert all(worker.status() != psutil.STATUS_ZOMBIE for worker in workers)
        training.kill()
    assert all(gone(worker, 20) for worker in workers)


def test_another_epoch_brings_other_pictures_and_another_order(prepared: Path) -> None:
    (first, *_), (second, *_) = epochs(prepared, 0)
    assert not torch.equal(first[0], second[0])
    (first, *_), (second, *_) = epochs(prepared, 0, seed=None)
    assert torch.equal(first[1], second[1])
    assert not torch.equal(first[0], second[0])  # the same samples, augmented anew


def test_images_for_a_look_are_taken_from_the_whole_split_as_they_are_stored(prepared: Path) -> None:
    stored = np.load(prepared / "train.npy")
    last = len(stored) - 1
    images = PackedImages(prepared, "train", Augment(SHIFT, 0))
    np.testing.assert_array_equal(images.spread(3), stored[[0, round(last / 2), last]])
    np.testing.assert_array_equal(images.spread(1000), stored)


def test_opencv_leaves_the_cores_to_torch(prepared: Path) -> None:
    cv2.setNumThreads(4)
    loader(PackedImages(prepared, "train"), 4)
    assert cv2.getNumThreads() == 1


def test_augmenting_changes_no_stored_image(prepared: Path) -> None:
    before = (prepared / "train.npy").read_bytes()
    epochs(prepared, 0)
    assert (prepared / "train.npy").read_bytes() == before


def order(epoch: int, seed: int | None = 3, samples: int = 50, size: int = 8, rank: int = 0, ranks: int = 1) -> list[list[int]]:
    """Return the samples of each batch of a rank."""
    sampler = EpochOrder(samples, size, seed, rank=rank, ranks=ranks)
    sampler.set_epoch(epoch)
    batches = list(sampler)
    assert len(sampler) == len(batches)
    assert {of for of, _ in batches} <= {epoch}
    return [found.tolist() for _, found in batches]


def test_the_order_is_a_permutation_that_differs_per_epoch_and_seed() -> None:
    orders = [order(0), order(1), order(2), order(0, seed=4)]
    assert all(sorted(chain(*found)) == list(range(50)) for found in orders)
    assert all([len(batch) for batch in found] == [8] * 6 + [2] for found in orders)
    assert all(first != second for first, second in combinations(orders, 2))


def test_the_order_of_an_epoch_does_not_depend_on_what_was_asked_before() -> None:
    assert order(2) == order(2)
    assert list(chain(*order(0, seed=None))) == list(range(50))


@pytest.mark.parametrize("ranks", [2, 3, 4])
def test_ranks_share_each_batch_of_one_process_in_equal_parts(ranks: int) -> None:
    for samples in range(4, 60):
        shares = [order(1, samples=samples, size=4, rank=rank, ranks=ranks) for rank in range(ranks)]
        alone = order(1, samples=samples, size=4 * ranks)
        sizes = [[len(batch) for batch in share] for share in shares]
        assert all(size == sizes[0] for size in sizes)
        assert all(size == 4 for size in sizes[0][:-1])
        assert sizes[0][-1] > 1 or len(sizes[0]) == 1  # batch norm of one image has no variance
        together = [list(chain(*parts)) for parts in zip(*shares, strict=True)]
        assert together[:-1] == alone[: len(together) - 1]
        assert together[-1] == alone[len(together) - 1][: len(together[-1])]
        dropped = samples - sum(map(len, together))
        assert dropped < (2 * ranks if samples > 4 * ranks else ranks)


@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [1, 4])
def test_without_a_seed_ranks_see_every_image_once_in_equally_many_steps(ranks: int, size: int) -> None:
    for samples in range(4, 60):
        shares = [order(0, None, samples, size, rank, ranks) for rank in range(ranks)]
        assert len({len(share) for share in shares}) == 1
        assert all(batch for share in shares for batch in share)
        assert list(chain(*chain(*zip(*shares, strict=True)))) == list(range(samples))
        assert max(len(batch) for share in shares for batch in share) <= size + (ranks > 1)


def test_fewer_images_than_ranks_are_refused() -> None:
    with pytest.raises(DataError, match=r"3 images can't be shared out to 4 devices: set training.devices and training.nodes lower"):
        EpochOrder(3, 8, 0, ranks=4)


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


@pytest.mark.parametrize("layout", ["channels_last", "contiguous"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float16])
def test_normalised_is_the_textbook_s_formula_and_leaves_its_images_alone(layout: str, channels: int, dtype: torch.dtype) -> None:
    images = torch.randint(0, 256, (4, 7, 5, channels), generator=torch.Generator().manual_seed(0)).to(dtype)
    mean, std = torch.tensor([0.1307, 0.48, 0.55])[:channels], torch.tensor([0.3081, 0.2, 0.27])[:channels]
    for given in (images, images[:, 1:6, 1:4]):  # the middle too, which is a view
        before = given.clone()
        found = normalised(given, mean, std, layout)
        torch.testing.assert_close(found, ((given.double() / 255 - mean) / std).permute(0, 3, 1, 2).float(), atol=1e-6, rtol=0)
        assert found.is_contiguous(memory_format=torch.contiguous_format if layout == "contiguous" else torch.channels_last)
        assert torch.equal(given, before)


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
