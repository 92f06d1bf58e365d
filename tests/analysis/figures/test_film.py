from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.analysis.figures.feature_maps import film_strip
from tests.drawn import Saved


@pytest.mark.parametrize("count", [2, 4, 5, 8])
def test_a_film_shows_its_mosaics_in_order_on_one_scale_of_weights(count: int, saved: Saved, tmp_path: Path) -> None:
    mosaics = [np.full((9, 9), i / count, np.float32) for i in range(count)]
    film_strip(tmp_path / "film.png", "conv1", "a note", [(f"epoch {i}", mosaic) for i, mosaic in enumerate(mosaics)], 0.3)
    [figure] = saved.values()
    frames = [axes for axes in figure.axes if axes.images and axes.get_title(loc="left")]
    assert [axes.get_title(loc="left") for axes in frames] == [f"epoch {i}" for i in range(count)]
    for axes, mosaic in zip(frames, mosaics, strict=True):
        [image] = axes.images
        assert image.get_clim() == (-0.3, 0.3)
        np.testing.assert_allclose(image.get_array(), (2 * mosaic - 1) * 0.3, atol=1e-6)  # weights, as on the bar
    bar = figure.axes[-1]
    assert (bar.get_ylim(), bar.get_ylabel()) == ((-0.3, 0.3), "weight")
    with Image.open(tmp_path / "film.png") as picture:
        assert min(picture.size) >= 256


def test_filters_of_colours_stay_coloured(saved: Saved, tmp_path: Path) -> None:
    mosaic = np.random.default_rng(0).random((9, 9, 3), np.float32)
    film_strip(tmp_path / "film.png", "conv1", "a note", [("before training", mosaic)], 0.3)
    [figure] = saved.values()
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), mosaic)
    assert figure.axes[-1].get_ylabel() == "weight of each colour"
