import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.config.build import build
from pipeline.training.mixup import Mixing
from tests.conftest import MakeConfig
from tests.samples import TWO_CLASSES, options

# Of each image all values are its number, and so is its label.
IMAGES = torch.arange(6.0)[:, None, None, None].expand(6, 3, 16, 12).contiguous(memory_format=torch.channels_last)
LABELS = torch.arange(6)
STEPS = range(400)


def one_image(mixed: Tensor, others: Tensor) -> Tensor:
    """Return where the second image's pixels show that of the neighbour, (H, W)."""
    return mixed[1, 0] == others[1]


def test_mixup_blends_image_and_neighbour_in_the_shares_of_the_loss() -> None:
    for step in range(20):
        mixed, others, share = Mixing(0.2, None, 0)(IMAGES, LABELS, step)
        assert others.tolist() == [5, 0, 1, 2, 3, 4]
        expected = share * LABELS + (1 - share) * others
        torch.testing.assert_close(mixed, expected[:, None, None, None].expand_as(mixed), atol=1e-5, rtol=0)


def test_cutmix_puts_a_rectangle_of_the_neighbour_in_whose_area_is_its_share_of_the_loss() -> None:
    for step in range(100):
        mixed, others, share = Mixing(None, 1.0, 0)(IMAGES, LABELS, step)
        is_patch = one_image(mixed, others)
        assert torch.equal(mixed[1, 0][~is_patch], IMAGES[1, 0][~is_patch])
        assert is_patch.float().mean().item() == pytest.approx(1 - share, abs=1e-6)
        rows, columns = is_patch.any(dim=1), is_patch.any(dim=0)
        assert torch.equal(is_patch, rows[:, None] & columns)
        for stretch in (rows, columns):
            assert stretch.int().diff().abs().sum() <= 2
            assert torch.equal(mixed[1, 0], mixed[1, 1])


@pytest.mark.parametrize(("alpha", "deviation"), [(0.2, 0.42258), (1.0, 0.28868)])  # of Beta(alpha, alpha): 1 / sqrt(4 (2 alpha + 1))
def test_shares_are_of_the_beta_distribution(alpha: float, deviation: float) -> None:
    shares = [Mixing(alpha, None, 0)(IMAGES[:2, :, :1, :1], LABELS[:2], step)[2] for step in STEPS]
    assert np.mean(shares) == pytest.approx(0.5, abs=4 * deviation / len(STEPS) ** 0.5)
    assert np.std(shares) == pytest.approx(deviation, rel=0.1)


def test_patches_lie_everywhere_and_leave_half_of_the_image_and_more_as_they_end_where_it_ends() -> None:
    found = [Mixing(None, 1.0, 0)(IMAGES, LABELS, step) for step in STEPS]
    covered = torch.stack([one_image(mixed, others).float() for mixed, others, _ in found]).mean(dim=0)
    assert covered.min() > 0.08  # of the corners
    assert covered.max() < 0.55  # of the middle
    assert 0.5 < np.mean([share for *_, share in found]) < 0.8


def test_with_both_each_takes_about_half_of_the_batches() -> None:
    both = Mixing(0.2, 1.0, 0)
    is_cut = [bool((mixed == mixed.round()).all()) for mixed, *_ in (both(IMAGES, LABELS, step) for step in STEPS)]
    assert np.mean(is_cut) == pytest.approx(0.5, abs=0.12)  # mixup with a share of almost 0 or 1 may look cut


def test_with_none_the_batch_stays_and_counts_whole() -> None:
    mixed, _, share = Mixing(None, None, 0)(IMAGES, LABELS, 3)
    assert mixed is IMAGES
    assert share == 1


@pytest.mark.parametrize("alphas", [(0.2, None), (None, 1.0), (0.2, 1.0)])
def test_a_step_s_mix_is_the_same_whatever_came_before_and_another_for_another_seed_or_step(
    alphas: tuple[float | None, float | None],
) -> None:
    used = Mixing(*alphas, 0)
    before = IMAGES.clone()
    seen = {used(IMAGES, LABELS, step)[2] for step in range(20)} | {Mixing(*alphas, 1)(IMAGES, LABELS, 0)[2]}
    assert len(seen) > 15
    mixed, others, share = Mixing(*alphas, 0)(IMAGES, LABELS, 7)
    again = used(IMAGES, LABELS, 7)
    assert torch.equal(mixed, again[0])
    assert torch.equal(others, again[1])
    assert share == again[2]
    assert mixed.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(IMAGES, before)


@pytest.mark.parametrize("name", options("loss"))
def test_the_loss_of_a_mix_works_for_every_loss_of_conf(name: str, config: MakeConfig) -> None:
    data = "cats_vs_dogs" if name in TWO_CLASSES else "digits"
    loss = build("loss", config(f"dataset={data}", f"loss={name}").loss, nn.Module)
    scores = torch.randn(6, 2, generator=torch.Generator().manual_seed(0), requires_grad=True)
    labels = LABELS % 2
    _, others, share = Mixing(0.2, None, 0)(IMAGES, labels, 1)
    (share * loss(scores, labels) + (1 - share) * loss(scores, others)).backward()
    assert scores.grad is not None
    assert scores.grad.isfinite().all()
