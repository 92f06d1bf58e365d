from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from PIL import Image

from pipeline.analysis.figures.units import UnitCrops, unit_page
from tests.drawn import Saved

RNG = np.random.default_rng(0)


def crops(name: str, channels: int = 3, *, dead: bool = False) -> UnitCrops:
    sizes = [(5, 5)] * 8 + [(3, 5)]  # the last is cut by the image's edge
    images = [RNG.integers(0, 256, (*size, channels), dtype=np.uint8) for size in sizes]
    projections = [RNG.normal(size=(*size, channels)).astype(np.float32) for size in sizes]
    return UnitCrops(name, [], [], []) if dead else UnitCrops(name, [9.5 - i for i in range(9)], images, projections)


def draw(saved: Saved, folder: Path, units: list[UnitCrops]) -> list[Axes]:
    unit_page(folder / "units.png", "a title", units, "by the deconvnet")
    with Image.open(folder / "units.png") as picture:
        assert min(picture.size) >= 256
    [figure] = saved.values()
    return figure.axes


@pytest.mark.parametrize("channels", [1, 3])
def test_crops_stand_at_the_left_and_their_projections_in_the_same_places_at_the_right(channels: int, saved: Saved, tmp_path: Path) -> None:
    unit = crops("conv2 3", channels)
    panel = draw(saved, tmp_path, [unit])[0]
    assert panel.get_title(loc="left") == "conv2 3: 9.5 to 1.5"
    lefts, rights = panel.images[::2], panel.images[1::2]
    for i, (left, right) in enumerate(zip(lefts, rights, strict=True)):
        np.testing.assert_allclose(left.get_array(), unit.images[i].squeeze() / 255)
        projection = unit.projections[i].squeeze()
        np.testing.assert_allclose(right.get_array(), 0.5 + projection / (2 * np.abs(projection).max()), atol=1e-6)
        x, _, _, y = left.get_extent()
        assert (int(y), int(x)) == divmod(i, 3)
        np.testing.assert_allclose(np.subtract(right.get_extent(), left.get_extent()), [right.get_extent()[0] - x] * 2 + [0, 0], atol=1e-9)
    assert min(right.get_extent()[0] for right in rights) > max(left.get_extent()[1] for left in lefts)


def test_a_crop_that_the_edge_has_cut_keeps_its_proportions(saved: Saved, tmp_path: Path) -> None:
    left, right, bottom, top = draw(saved, tmp_path, [crops("conv2 3")])[0].images[-2].get_extent()
    assert (bottom - top) / (right - left) == pytest.approx(3 / 5)


def test_a_dead_unit_is_named_so_and_has_no_images(saved: Saved, tmp_path: Path) -> None:
    living, dead, *empty = draw(saved, tmp_path, [crops("conv2 0"), crops("conv2 1", dead=True)])
    assert dead.get_title(loc="left") == "conv2 1: dead: 0 for every image"
    assert len(living.images) == 18
    assert not dead.images
    assert not [axes for axes in empty if axes.get_title(loc="left") or axes.images or axes.axison]


def test_a_projection_of_zeros_is_gray(saved: Saved, tmp_path: Path) -> None:
    unit = crops("conv2 0")
    unit.projections[0][:] = 0
    assert (draw(saved, tmp_path, [unit])[0].images[1].get_array() == 0.5).all()
