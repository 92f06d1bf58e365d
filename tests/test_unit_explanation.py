"""What units look for, what they do, and what classes like: pages of any network, of few images, and none of them empty."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import nn

from pipeline.bundle import Bundle, make_network
from pipeline.config.compose import resolved
from pipeline.config.explain_schema import Maximisation, Units
from pipeline.config.tree import Tree
from pipeline.unit_explanation import write_made_images, write_unit_pictures
from tests.conftest import Compose
from tests.drawn import Saved, drawn
from tests.samples import CLASSES

UNITS, MADE = Units(layers=3, units=4, images=50), Maximisation(classes=10, steps=3, regularisers=3)
QUICK = ("cnn", "keras_one_output", "lenet5", "mlp", "nielsen", "airbench94", "resnet20")
FAMILIES = (
    "vgg11_bn",
    "alexnet",
    "zfnet",
    "googlenet_bn",
    "resnet18",
    "preact_resnet18",
    "wrn_16_4",
    "densenet_bc_100_12",
    "cnn5",
    "airbench95",
)


def draw(bundle: Bundle, prepared: Path, folder: Path, images: slice = slice(None), units: Units = UNITS) -> Saved:
    several, labels = (np.load(prepared / f"validation{end}.npy")[images] for end in ("", "_labels"))
    with drawn() as figures:
        write_unit_pictures(bundle, several, labels, folder, units, 4)
    return figures


def panels(figure: Figure) -> dict[str, list[np.ndarray]]:
    return {axes.get_title(loc="left"): [np.asarray(image.get_array()) for image in axes.images] for axes in figure.axes}


def test_a_units_crops_are_the_windows_of_the_images_that_excite_it_most(bundle: Bundle, prepared: Path, tmp_path: Path) -> None:
    figures = draw(bundle, prepared, tmp_path)
    assert sorted(figures) == ["unit_statistics.png", "units-1-conv.png"]
    images = torch.from_numpy(np.load(prepared / "validation.npy"))  # nine of them
    predictor = bundle.predictor()
    with torch.no_grad():
        inputs = (images.permute(0, 3, 1, 2) / 255 - predictor.mean[:, None, None]) / predictor.std[:, None, None]
        maps = bundle.network.get_submodule("layers.conv")(inputs).relu()
    shown = panels(figures["units-1-conv.png"])
    for unit in range(4):
        peaks = maps[:, unit].flatten(1)
        strongest = int(peaks.amax(dim=1).argmax())
        most = peaks.amax(dim=1).sort(descending=True).values
        [crops] = [arrays for title, arrays in shown.items() if title.startswith(f"unit {unit}: {most[0]:.3g} to ")]
        row, column = divmod(int(peaks[strongest].argmax()), 8)
        window = images[strongest, max(0, row - 1) : row + 2, max(0, column - 1) : column + 2, 0]  # 3x3, cut at the edge
        np.testing.assert_allclose(crops[0], window / 255)
        assert len(crops) == 2 * int((most > 0).sum())
        assert crops[1].std() > 0


def test_dead_always_on_copied_and_negated_filters_are_named(bundle: Bundle, prepared: Path, tmp_path: Path) -> None:
    conv = bundle.network.get_submodule("layers.conv")
    with torch.no_grad():
        conv.bias[0], conv.bias[1] = -100, 100
        conv.weight[3], conv.weight[5] = 2 * conv.weight[2], -conv.weight[4]
    figures = draw(bundle, prepared, tmp_path)
    assert "unit 0: dead: 0 for every image" in panels(figures["units-1-conv.png"])
    said = list(panels(figures["unit_statistics.png"]))
    assert said[0].startswith("conv: convolution 3×3, 8 units: 1 dead (red cross), 1 always on")
    assert said[1] == "1 pair alike: 2 and 3 (+1.00); 1 pair opposite: 4 and 5 (-1.00)"


@pytest.mark.parametrize("count", [1, 4])
def test_fewer_than_nine_images_are_shown_as_far_as_they_go(count: int, bundle: Bundle, prepared: Path, tmp_path: Path) -> None:
    shown = panels(draw(bundle, prepared, tmp_path, slice(count))["units-1-conv.png"])
    assert max(map(len, shown.values())) == 2 * count


def test_without_images_or_layers_there_are_no_pages(bundle: Bundle, prepared: Path, tmp_path: Path) -> None:
    assert not draw(bundle, prepared, tmp_path, slice(0))
    assert not draw(bundle, prepared, tmp_path, units=replace(UNITS, layers=0))
    flat = replace(bundle, network=nn.Sequential(nn.Flatten(), nn.Linear(64, 3)))
    assert not draw(flat, prepared, tmp_path)


def test_the_images_looked_at_are_spread_evenly(bundle: Bundle, prepared: Path, tmp_path: Path) -> None:
    figures = draw(bundle, prepared, tmp_path, units=replace(UNITS, images=3))
    assert "in 3 validation images" in figures["units-1-conv.png"].get_suptitle()
    images = np.load(prepared / "validation.npy")[[0, 4, 8]].squeeze() / 255
    windows = [image[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2] for image in images for y in range(8) for x in range(8)]
    for crops in panels(figures["units-1-conv.png"]).values():
        for crop in crops[::2]:
            assert any(crop.shape == window.shape and np.allclose(crop, window) for window in windows)


def test_each_class_has_an_image_made_for_it_with_the_answer_that_it_gets(bundle: Bundle, tmp_path: Path) -> None:
    with drawn() as figures:
        write_made_images(bundle, 8, tmp_path, MADE)
    shown = panels(figures["made_images.png"])
    shown.pop("")
    assert [title.split("\n")[0] for title in shown] == [f"for {name}" for name in CLASSES]
    for title, [image] in shown.items():
        with torch.no_grad():
            sure, said = bundle.predictor()(torch.from_numpy(image.reshape(1, 8, 8, 1))).max(dim=1)
        assert title.endswith(f"said {CLASSES[int(said)]}, {sure.item():.2f}")


def test_a_few_classes_may_be_asked_for_or_none(bundle: Bundle, tmp_path: Path) -> None:
    write_made_images(bundle, 8, tmp_path, replace(MADE, classes=0))
    assert not list(tmp_path.glob("*.png"))
    with drawn() as figures:
        write_made_images(bundle, 8, tmp_path, replace(MADE, classes=2))
    assert "the first 2 of 3 classes" in figures["made_images.png"].get_suptitle()


def pages_of(node: Tree, channels: int, side: int, bundle: Bundle, folder: Path) -> list[Path]:
    """Draw all pages of an untrained network, for 12 images of noise."""
    classes = [f"class {i}" for i in range(2 if node["name"] == "keras_one_output" else 10)]
    manifest = replace(bundle.manifest, image_shape=(side, side, channels), classes=classes, mean=[0.5] * channels, std=[0.25] * channels)
    torch.manual_seed(0)
    folder.mkdir()
    network = make_network(node, manifest, None).eval()
    other = replace(bundle, network=network, manifest=manifest)
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (12, side, side, channels), dtype=np.uint8), rng.integers(0, len(classes), 12)
    write_unit_pictures(other, images, labels, folder, replace(UNITS, units=2), 4)
    write_made_images(other, side, folder, replace(MADE, classes=2))
    return sorted(folder.iterdir())


def require_pages(files: list[Path]) -> None:
    """None of the pages is empty or of one colour."""
    assert "made_images.png" in [path.name for path in files]
    for path in files:
        with Image.open(path) as picture:
            assert min(picture.size) >= 150, path
            assert np.asarray(picture.convert("L")).std() > 5, path


@pytest.mark.parametrize("model", QUICK)
def test_networks_with_and_without_convolutions_and_relus_have_their_pages(
    model: str, bundle: Bundle, composed: Compose, tmp_path: Path
) -> None:
    files = pages_of(resolved(composed(f"model={model}"))["model"], 1, 28, bundle, tmp_path / "pages")
    require_pages(files)
    assert "unit_statistics.png" in [path.name for path in files]


@pytest.mark.slow
@pytest.mark.parametrize("model", FAMILIES)
def test_each_family_of_networks_has_its_pages_in_gray_and_colour_of_28_and_64_pixels(
    model: str, bundle: Bundle, composed: Compose, tmp_path: Path
) -> None:
    for channels, side in ((1, 28), (3, 64)):
        node = resolved(composed(f"model={model}"))["model"]
        require_pages(pages_of(node, channels, side, bundle, tmp_path / f"{channels}x{side}"))
