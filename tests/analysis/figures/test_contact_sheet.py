from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.analysis.figures.contact_sheet import contact_sheet
from pipeline.dataset.manifest import Manifest
from tests.drawn import Saved


def prepare(folder: Path, manifest: Manifest, classes: list[str], shape: tuple[int, int, int], each: int = 2) -> Manifest:
    """Write so many training images of each class, the last class first; every pixel of an image is its number."""
    count = each * len(classes)
    numbers = np.arange(count, dtype=np.uint8)
    np.save(folder / "train.npy", np.broadcast_to(numbers[:, None, None, None], (count, *shape)))
    np.save(folder / "train_labels.npy", np.arange(count)[::-1] // each)
    return replace(manifest, classes=classes, image_shape=shape)


@pytest.mark.parametrize("shape", [(8, 8, 1), (8, 8, 3), (200, 200, 3)])
def test_each_class_has_a_row_with_its_name_and_its_first_images(
    shape: tuple[int, int, int], manifest: Manifest, saved: Saved, tmp_path: Path
) -> None:
    of = prepare(tmp_path, manifest, ["cat", "$5 dog", "日本語"], shape, each=12)
    contact_sheet(tmp_path / "sheet.png", of, tmp_path)
    [figure] = saved.values()
    [axes] = figure.axes
    sheet = axes.images[0].get_array()
    cell = sheet.shape[0] // 3
    middles = sheet[cell // 2 :: cell, cell // 2 :: cell, 0]
    assert middles.tolist() == [list(range(24, 34)), list(range(12, 22)), list(range(10))]
    assert (sheet[0] == 255).all()  # the frame
    assert [round(place) for place in axes.get_yticks()] == [round(cell * (row + 0.5) - 0.5) for row in range(3)]
    assert [text.get_text() for text in axes.get_yticklabels()][:2] == ["cat", "$5 dog"]
    assert f"{shape[0]}×{shape[0]} pixels" in figure.get_suptitle()


def test_a_class_of_few_images_leaves_the_rest_of_its_row_white(manifest: Manifest, saved: Saved, tmp_path: Path) -> None:
    contact_sheet(tmp_path / "sheet.png", prepare(tmp_path, manifest, ["cat", "dog"], (8, 8, 1)), tmp_path)
    sheet = saved["sheet.png"].axes[0].images[0].get_array()
    assert sheet.shape[1] == 10 * sheet.shape[0] // 2
    assert (sheet[:, sheet.shape[1] // 5 :] == 255).all()
    assert (sheet[:, : sheet.shape[1] // 5] < 255).any()


def test_of_a_thousand_classes_sixty_are_shown_and_the_title_says_so(manifest: Manifest, saved: Saved, tmp_path: Path) -> None:
    of = prepare(tmp_path, manifest, [f"class {i}" for i in range(1000)], (8, 8, 1), each=1)
    contact_sheet(tmp_path / "sheet.png", of, tmp_path)
    assert "the first 60 of 1,000 classes" in saved["sheet.png"].get_suptitle()
    assert len(saved["sheet.png"].axes[0].get_yticks()) == 60


def test_the_longest_name_leaves_the_images_their_size(manifest: Manifest, saved: Saved, tmp_path: Path) -> None:
    for name in ("cat", "W" * 200):
        contact_sheet(tmp_path / f"{name[0]}.png", prepare(tmp_path, manifest, [name, "dog"], (32, 32, 3)), tmp_path)
    short, long = (figure.axes[0].get_window_extent().width / figure.dpi for figure in saved.values())
    assert long > 0.8 * 7.5  # inches of ten images
    with Image.open(tmp_path / "W.png") as picture:
        assert (np.asarray(picture.convert("L"))[:, :4] == 255).all()  # the name is whole
    assert short >= long
