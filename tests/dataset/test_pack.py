from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.dataset.resize import SplitWriter


def packed(folder: Path, images: NDArray[np.uint8], labels: list[int]) -> tuple[SplitWriter, bytes]:
    folder.mkdir(exist_ok=True)
    writer = SplitWriter(folder, "train", images.shape[1], images.shape[3])
    for start in range(0, len(images), 7):
        writer.append(images[start : start + 7], np.array(labels[start : start + 7], np.int64))
    return writer, writer.close()


@pytest.fixture
def images() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 200, (50, 6, 6, 3), dtype=np.uint8)


@pytest.mark.parametrize("count", [0, 1, 50])
def test_what_was_appended_is_read_back(count: int, images: NDArray[np.uint8], tmp_path: Path) -> None:
    packed(tmp_path, images[:count], list(range(count)))
    np.testing.assert_array_equal(np.load(tmp_path / "train.npy", mmap_mode="r" if count else None), images[:count])
    assert np.load(tmp_path / "train_labels.npy").tolist() == list(range(count))
    assert np.load(tmp_path / "train_labels.npy").dtype == np.int64


def test_the_images_are_read_by_memory_map_and_start_at_an_even_address(images: NDArray[np.uint8], tmp_path: Path) -> None:
    packed(tmp_path, images, [0] * 50)
    mapped = np.load(tmp_path / "train.npy", mmap_mode="r")
    assert isinstance(mapped, np.memmap)
    assert mapped.offset % 64 == 0


@pytest.mark.parametrize("channels", [1, 3])
def test_statistics_equal_numpy_s(channels: int, images: NDArray[np.uint8], tmp_path: Path) -> None:
    chosen = images[..., :channels] // np.arange(1, channels + 1, dtype=np.uint8)  # channels of different brightness
    mean, std = packed(tmp_path, chosen, [0] * 50)[0].statistics()
    np.testing.assert_allclose(mean, (chosen / 255).mean(axis=(0, 1, 2)), atol=1e-6)
    np.testing.assert_allclose(std, (chosen / 255).std(axis=(0, 1, 2)), atol=1e-6)


def test_the_deviation_of_a_constant_is_no_zero_to_divide_by(tmp_path: Path) -> None:
    mean, std = packed(tmp_path, np.full((3, 4, 4, 1), 51, np.uint8), [0, 0, 1])[0].statistics()
    assert mean == [0.2]
    assert std == [1e-6]


def test_equal_images_and_labels_have_equal_digests_and_others_another(images: NDArray[np.uint8], tmp_path: Path) -> None:
    def digest(images: NDArray[np.uint8], labels: list[int]) -> bytes:
        return packed(tmp_path, images, labels)[1]

    changed = images.copy()
    changed[3, 2, 1, 0] += 1
    base = digest(images, [0] * 50)
    assert digest(images, [0] * 50) == base
    assert len({base, digest(changed, [0] * 50), digest(images[::-1], [0] * 50), digest(images, [0] * 49 + [1])}) == 4


def test_a_view_with_strides_is_packed_as_its_pixels(images: NDArray[np.uint8], tmp_path: Path) -> None:
    packed(tmp_path, images[:, ::-1, ::-1], [0] * 50)
    np.testing.assert_array_equal(np.load(tmp_path / "train.npy"), images[:, ::-1, ::-1])
