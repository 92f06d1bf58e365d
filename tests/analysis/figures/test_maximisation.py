from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex

from pipeline.analysis.figures.maximisation import MadeImage, made_page
from pipeline.analysis.figures.style import INK, WRONG
from tests.drawn import Saved

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("channels", [1, 3])
def test_each_image_stands_below_its_class_and_the_answer_that_is_red_if_another(channels: int, saved: Saved, tmp_path: Path) -> None:
    images = [RNG.integers(0, 256, (8, 8, channels), dtype=np.uint8) for _ in range(6)]
    made_page(
        tmp_path / "made.png",
        "a title",
        [MadeImage("cat", image, said, 0.9) for image, said in zip(images, ["cat", "dog"] * 3, strict=True)],
        "x",
    )
    [figure] = saved.values()
    shown = [axes for axes in figure.axes if axes.images]
    for axes, image, said in zip(shown, images, ["cat", "dog"] * 3, strict=True):
        np.testing.assert_array_equal(axes.images[0].get_array(), image.squeeze())
        assert axes.get_title(loc="left") == f"for cat\nsaid {said}, 0.90"
        assert to_hex(axes._left_title.get_color()) == (INK if said == "cat" else WRONG)
