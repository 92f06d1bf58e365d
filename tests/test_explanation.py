import dataclasses
import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image
from torch import nn

from pipeline.analysis.features import last_features
from pipeline.analysis.figures.style import RIGHT
from pipeline.analysis.filters import colour_limit, first_layer
from pipeline.analysis.metrics import reliability
from pipeline.bundle import Bundle
from pipeline.config.schema import Config
from pipeline.dataset.normalise import normalised
from pipeline.explanation import first_of_each_class, write_pictures
from pipeline.inference import predict_split
from tests.drawn import Saved, drawn
from tests.samples import CLASSES

NAMES = [
    *("confusion.png", "feature_maps-1-top.png", "feature_maps-2-middle.png", "feature_maps-3-bottom.png"),
    *("filters.png", "filters_over_time.png", "made_images.png", "map.png", "mistakes-1-middle.png", "mistakes-2-middle.png"),
    *("mistakes.png", "mistakes_nearest.png", "reliability.png", "softmax.png", "unit_statistics.png", "units-1-conv.png"),
]


Pictures = tuple[Path, Saved]


@pytest.fixture(scope="module")
def pictures(written_bundle: Path, prepared: Path, small_config: Config, tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    """The folder of all pictures, and the figures that were drawn to it."""
    folder = tmp_path_factory.mktemp("pictures")
    with drawn() as figures:
        write_pictures(Bundle.read(written_bundle), prepared, folder, small_config.explain, "plain")
    return folder, figures


def test_there_is_a_picture_for_each_question(pictures: Pictures) -> None:
    folder, _ = pictures
    assert sorted(path.name for path in folder.iterdir()) == NAMES
    for name in NAMES:
        with Image.open(folder / name) as picture:
            assert min(picture.size) >= 256, name


def test_equal_work_has_equal_pictures_and_leaves_the_network_as_it_was(
    pictures: Pictures, bundle: Bundle, prepared: Path, cfg: Config, tmp_path: Path
) -> None:
    before = {name: value.clone() for name, value in bundle.network.state_dict().items()}
    write_pictures(bundle, prepared, tmp_path, cfg.explain, "plain")
    for name in NAMES:
        assert (tmp_path / name).read_bytes() == (pictures[0] / name).read_bytes(), name
    assert all(torch.equal(before[name], value) for name, value in bundle.network.state_dict().items())
    assert not any(module._forward_hooks or module.training for module in bundle.network.modules())


def test_the_filters_are_those_of_the_kept_epoch_as_they_are_tracked(pictures: Pictures, bundle: Bundle) -> None:
    assert bundle.filters is not None
    wanted = first_layer(bundle.filters[1], colour_limit(bundle.filters[0]), "after epoch 1, kept")
    with Image.open(pictures[0] / "filters.png") as picture:
        np.testing.assert_array_equal(np.array(picture), np.array(wanted))


def test_the_film_marks_the_kept_epoch_and_one_scale_holds_all_weights(pictures: Pictures, bundle: Bundle) -> None:
    _, saved = pictures
    figure = saved["filters_over_time.png"]
    assert figure.get_suptitle().startswith("conv: 8 filters of 3×3")
    frames = [axes for axes in figure.axes if axes.get_title(loc="left")]
    assert [axes.get_title(loc="left").split(":")[0] for axes in frames] == ["before training", "epoch 1, kept", "epoch 2"]
    assert bundle.filters is not None
    limit = np.abs(bundle.filters).max()
    for axes, weight in zip(frames, bundle.filters, strict=True):
        [picture] = axes.images
        assert picture.get_clim() == pytest.approx((-limit, limit))
        for tile, (top, left) in zip(weight, itertools.product((1, 5, 9), repeat=2), strict=False):  # three a row, a pixel between
            np.testing.assert_allclose(picture.get_array()[top : top + 3, left : left + 3], tile[0], atol=1e-6)


def panels(figure: Figure) -> dict[str, Axes]:
    return {axes.get_title(loc="left").strip(): axes for axes in figure.axes}


def test_validation_images_are_followed_through_the_layers(pictures: Pictures, bundle: Bundle, prepared: Path) -> None:
    _, saved = pictures
    images = np.load(prepared / "validation.npy")
    for number, (name, index) in enumerate(zip(CLASSES, (0, 3, 6), strict=True), start=1):  # three images a class
        figure = saved[f"feature_maps-{number}-{name}.png"]
        shown = panels(figure)
        assert list(shown)[:-1] == ["the image", "conv: convolution 3×3", "relu: ReLU", "pool: max pooling", "probabilities"]
        np.testing.assert_array_equal(shown["the image"].images[0].get_array(), images[index].squeeze())
        with torch.no_grad():
            pixels = (torch.from_numpy(images[index])[None].permute(0, 3, 1, 2) / 255 - bundle.manifest.mean[0]) / bundle.manifest.std[0]
            maps = bundle.network.get_submodule("layers.conv")(pixels)[0]
            probabilities = bundle.network(pixels)[0].softmax(dim=0)
        np.testing.assert_allclose([drawn.get_array() for drawn in shown["conv: convolution 3×3"].images], maps, atol=1e-5)
        assert [label.get_text() for label in shown["probabilities"].get_yticklabels()] == CLASSES
        bars = shown["probabilities"].patches
        assert [bar.get_width() for bar in bars] == pytest.approx(probabilities.tolist(), abs=1e-5)
        assert to_hex(bars[number - 1].get_facecolor()) == RIGHT
        said = CLASSES[int(probabilities.argmax())]
        assert figure.get_suptitle() == f"{name} (validation-images-idx3-ubyte.gz#{index}): predicted {said} with {probabilities.max():.2f}"


def test_of_many_classes_the_most_probable_are_shown_first(bundle: Bundle, prepared: Path, cfg: Config, tmp_path: Path) -> None:
    cfg.explain.bars, cfg.explain.images = 2, 1
    without_costly_pictures(cfg)
    with drawn() as saved:
        write_pictures(dataclasses.replace(bundle, filters=None), prepared, tmp_path, cfg.explain, "plain")
    shown = panels(saved["feature_maps-1-top.png"])["probabilities"]
    row = predict_split(bundle, prepared, "validation", 100, "plain").probabilities[0]
    assert [label.get_text() for label in shown.get_yticklabels()] == [CLASSES[i] for i in np.argsort(-row)[:2]]
    assert [bar.get_width() for bar in shown.patches] == pytest.approx(np.sort(row)[:0:-1].tolist(), abs=1e-5)


def test_mistakes_and_confusion_are_those_on_the_test_images(pictures: Pictures, bundle: Bundle, prepared: Path) -> None:
    _, saved = pictures
    images, labels = (np.load(prepared / f"test{end}.npy") for end in ("", "_labels"))
    with torch.no_grad():
        sure, said = bundle.predictor()(torch.from_numpy(images)).max(dim=1)
    pairs = list(zip(said.tolist(), labels.tolist(), strict=True))
    wrong = [i for i, (found, actual) in enumerate(pairs) if found != actual]
    assert 2 <= len(wrong) < 6  # so that there is an order, and something right

    figure = saved["mistakes.png"]
    assert figure.get_suptitle() == f"{len(wrong)} of 6 test images misclassified, the most confident first"
    surest_first = sorted(wrong, key=lambda i: -sure[i].item())
    shown = [axes for axes in figure.axes if axes.images]
    assert [axes.texts[0].get_text() for axes in shown] == [f"test-images-idx3-ubyte.gz#{i}" for i in surest_first]
    assert [axes.get_title() for axes in shown] == [f"{CLASSES[labels[i]]}\nsaid {CLASSES[said[i]]}, {sure[i]:.2f}" for i in surest_first]
    for axes, i in zip(shown, surest_first, strict=True):
        np.testing.assert_array_equal(axes.images[0].get_array(), images[i].squeeze())

    figure = saved["confusion.png"]
    assert figure.get_suptitle() == f"{6 - len(wrong)} of 6 test images right"
    assert {text.get_position(): text.get_text() for text in figure.axes[0].texts} == {
        place: str(count) for place, count in Counter(pairs).items()
    }
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == CLASSES


def test_the_reliability_diagram_and_the_mean_probabilities_are_those_of_the_test_images(
    pictures: Pictures, bundle: Bundle, prepared: Path
) -> None:
    _, saved = pictures
    labels = np.load(prepared / "test_labels.npy")
    with torch.no_grad():
        probabilities = bundle.predictor()(torch.from_numpy(np.load(prepared / "test.npy"))).numpy()
    found = reliability(labels, probabilities)
    figure = saved["reliability.png"]
    assert (
        figure.get_suptitle().replace("\n", " ") == f"Is the confidence justified? 6 test images, calibration error (ECE) {found.error:.3f}"
    )
    upper, lower = figure.axes
    assert [bar.get_height() for bar in upper.patches] == pytest.approx(found.accuracy[found.images > 0].tolist())
    assert [bar.get_height() for bar in lower.patches] == found.images[found.images > 0].tolist()
    shown = saved["softmax.png"].axes[0].images[0].get_array()
    np.testing.assert_allclose(shown, [probabilities[labels == label].mean(axis=0) for label in range(3)], atol=1e-6)


def test_the_most_confident_mistakes_stand_beside_the_training_images_most_similar_to_them(
    pictures: Pictures, bundle: Bundle, prepared: Path
) -> None:
    _, saved = pictures
    figure, wanted = saved["mistakes_nearest.png"], saved["mistakes.png"]
    assert figure.get_suptitle() == "The most confident mistakes, each beside the most similar of 12 training images"
    rows = np.array([axes for axes in figure.axes if axes.images]).reshape(-1, 7)
    mistaken = [axes.images[0].get_array() for axes in wanted.axes if axes.images]
    np.testing.assert_array_equal([row[0].images[0].get_array() for row in rows], mistaken)
    train = torch.from_numpy(np.load(prepared / "train.npy"))
    mean, std = bundle.predictor().mean, bundle.predictor().std
    for row in rows:
        image = torch.from_numpy(np.array(row[0].images[0].get_array()))[None, :, :, None]
        features, several = (last_features(bundle.network, normalised(images, mean, std)) for images in (image, train))
        near = torch.cosine_similarity(features, several).argsort(descending=True)[:6]
        np.testing.assert_array_equal([axes.images[0].get_array() for axes in row[1:]], train[near, :, :, 0])
        assert [axes.get_title().split("\n")[0] for axes in row[1:]] == [CLASSES[i // 4] for i in near.tolist()]


def test_the_map_has_a_dot_for_each_test_image_and_rings_the_mistaken(pictures: Pictures, bundle: Bundle, prepared: Path) -> None:
    _, saved = pictures
    dots, rings = saved["map.png"].axes[0].collections
    assert len(dots.get_offsets()) == 6
    assert len(rings.get_offsets()) == sum(bool(axes.images) for axes in saved["mistakes.png"].axes)


class Flat(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layers(images)


def test_a_network_without_convolutions_has_all_but_the_filters(bundle: Bundle, prepared: Path, cfg: Config, tmp_path: Path) -> None:
    flat = dataclasses.replace(bundle, network=Flat().eval(), filters=None)
    folder = tmp_path / "pictures"
    folder.mkdir()
    write_pictures(flat, prepared, folder, cfg.explain, "plain")
    told = ("filters", "unit", "mistakes-")  # what is mistaken differs
    found = sorted(path.name for path in folder.iterdir() if not path.name.startswith("mistakes-"))
    assert found == [name for name in NAMES if not name.startswith(told)]


def without_costly_pictures(cfg: Config) -> None:
    cfg.explain.units.layers = cfg.explain.maximisation.classes = cfg.explain.neighbours.mistakes = 0


def test_a_class_name_becomes_a_file_name(bundle: Bundle, prepared: Path, cfg: Config, tmp_path: Path) -> None:
    without_costly_pictures(cfg)
    manifest = dataclasses.replace(bundle.manifest, classes=["T-shirt/top", "Straße 1", "../x"])
    write_pictures(dataclasses.replace(bundle, manifest=manifest, filters=None), prepared, tmp_path, cfg.explain, "plain")
    assert sorted(path.name for path in tmp_path.glob("feature_maps*")) == [
        *("feature_maps-1-T-shirt_top.png", "feature_maps-2-Stra_e_1.png", "feature_maps-3-_x.png")
    ]


def test_a_long_class_name_is_cut_in_the_file_name(bundle: Bundle, prepared: Path, cfg: Config, tmp_path: Path) -> None:
    without_costly_pictures(cfg)
    manifest = dataclasses.replace(bundle.manifest, classes=["a" * 250, "ü" * 250, "b"])
    write_pictures(dataclasses.replace(bundle, manifest=manifest, filters=None), prepared, tmp_path, cfg.explain, "plain")
    assert sorted(path.name for path in tmp_path.glob("feature_maps*")) == [
        *(f"feature_maps-1-{'a' * 80}.png", "feature_maps-2-_.png", "feature_maps-3-b.png")
    ]


def test_the_first_image_of_each_class_is_taken_and_classes_without_one_are_passed_over() -> None:
    labels = np.array([4, 2, 4, 0, 2, 0])
    assert first_of_each_class(labels, 2) == [3, 1]
    assert first_of_each_class(labels, 9) == [3, 1, 0]
    assert first_of_each_class(labels, 0) == []
