import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.analysis.tta import TTA, averaged_scores

IMAGES = torch.arange(2 * 4 * 5 * 3, dtype=torch.uint8).reshape(2, 4, 5, 3)  # (B, H, W, C), every pixel another


def pixels(images: Tensor) -> Tensor:
    """Scores that tell every pixel of every view: (B, H, W, C) -> (B, H W C)."""
    return images.double().flatten(1)


def cut(top: int, left: int) -> Tensor:
    """The images in a border of one reflected pixel, cut out again at another place."""
    padded = F.pad(IMAGES.permute(0, 3, 1, 2).double(), (1, 1, 1, 1), "reflect")
    return padded[:, :, top : top + 4, left : left + 5].permute(0, 2, 3, 1)


def test_plain_is_one_pass_over_the_images_as_they_are() -> None:
    seen: list[Tensor] = []
    scores = averaged_scores(lambda images: (seen.append(images), pixels(images))[1], IMAGES, "plain")
    assert torch.equal(scores, pixels(IMAGES))
    assert [images is IMAGES for images in seen] == [True]


def test_mirror_averages_the_image_and_its_columns_in_the_other_order() -> None:
    expected = (pixels(IMAGES) + pixels(IMAGES[:, :, [4, 3, 2, 1, 0]])) / 2
    torch.testing.assert_close(averaged_scores(pixels, IMAGES, "mirror"), expected)


def test_mirror_shift_weighs_the_two_still_views_a_quarter_each_and_the_four_moved_ones_an_eighth() -> None:
    up_left, down_right = cut(2, 2), cut(0, 0)
    expected = sum(
        weight * (pixels(view) + pixels(view.flip(2))) for weight, view in ((1 / 4, IMAGES), (1 / 8, up_left), (1 / 8, down_right))
    )
    torch.testing.assert_close(averaged_scores(pixels, IMAGES, "mirror_shift"), expected)


def test_mirror_shift_takes_six_views_each_once() -> None:
    seen: list[bytes] = []
    averaged_scores(lambda images: (seen.append(images.numpy().tobytes()), pixels(images))[1], IMAGES, "mirror_shift")
    assert len(seen) == len(set(seen)) == 6


@pytest.mark.parametrize("tta", TTA)
def test_views_of_one_gray_are_all_that_gray(tta: str) -> None:
    gray = torch.full((1, 6, 6, 1), 7, dtype=torch.uint8)
    torch.testing.assert_close(averaged_scores(pixels, gray, tta), pixels(gray))


def test_views_that_there_are_not_are_refused() -> None:
    with pytest.raises(ValueError, match="tta is 'flip', expected one of plain, mirror, mirror_shift"):
        averaged_scores(pixels, IMAGES, "flip")
