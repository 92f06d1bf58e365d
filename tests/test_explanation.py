import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from pipeline import explanation
from pipeline.analysis.figures.first_layer import first_layer
from pipeline.analysis.filters import colour_limit, filter_mosaic
from pipeline.analysis.scores import surest_mistakes
from pipeline.answers import answers
from pipeline.bundle import Bundle
from pipeline.config.schema import Config
from pipeline.explanation import first_of_each_class, write_pictures

NAMES = [
    *("confusion.png", "feature_maps-1-top.png", "feature_maps-2-middle.png", "feature_maps-3-bottom.png"),
    *("filters.png", "filters_over_time.png", "mistakes.png"),
]


@pytest.fixture(scope="module")
def pictures(written_bundle: Path, prepared: Path, small_config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    write_pictures(Bundle.read(written_bundle), prepared, folder, small_config.explain, "plain")
    return folder


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[tuple]]:
    """What is given to each figure, which is not drawn: name of the drawing -> its arguments."""
    given: dict[str, list[tuple]] = {"way_through": [], "film_strip": [], "mistakes": [], "confusion_page": []}
    for name, calls in given.items():
        monkeypatch.setattr(explanation, name, lambda *arguments, calls=calls: calls.append(arguments))
    return given


def test_there_is_a_picture_for_each_question(pictures: Path) -> None:
    assert sorted(path.name for path in pictures.iterdir()) == NAMES
    for name in NAMES:
        with Image.open(pictures / name) as picture:
            assert min(picture.size) >= 256, name


def test_equal_work_has_equal_pictures(pictures: Path, bundle: Bundle, prepared: Path, cfg: Config, tmp_path: Path) -> None:
    write_pictures(bundle, prepared, tmp_path, cfg.explain, "plain")
    for path in pictures.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


def test_the_filters_are_those_of_the_kept_epoch_as_they_are_tracked(pictures: Path, bundle: Bundle) -> None:
    assert bundle.filters is not None
    wanted = first_layer(bundle.filters[1], colour_limit(bundle.filters[0]), "after epoch 1, kept")
    with Image.open(pictures / "filters.png") as picture:
        np.testing.assert_array_equal(np.array(picture), np.array(wanted))


def test_the_film_marks_the_kept_epoch_and_one_scale_holds_all_weights(
    told: dict[str, list[tuple]], bundle: Bundle, prepared: Path, cfg: Config, tmp_path: Path
) -> None:
    write_pictures(bundle, prepared, tmp_path, cfg.explain, "plain")
    [(_, title, _, mosaics, limit)] = told["film_strip"]
    assert title.startswith("conv: 8 filters of 3×3")
    assert [caption.split(":")[0] for caption, _ in mosaics] == ["before training", "epoch 1, kept", "epoch 2"]
    assert bundle.filters is not None
    assert limit == np.abs(bundle.filters).max()
    for (_, mosaic), weight in zip(mosaics, bundle.filters, strict=True):
        np.testing.assert_array_equal(mosaic, filter_mosaic(weight, limit))


def test_validation_images_are_followed_through_the_layers(
    told: dict[str, list[tuple]], bundle: Bundle, prepared: Path, cfg: Config, tmp_path: Path
) -> None:
    write_pictures(bundle, prepared, tmp_path, cfg.explain, "plain")
    images = np.load(prepared / "validation.npy")
    given = answers(bundle, prepared, "validation", 100, "plain")
    assert len(told["way_through"]) == 3
    for (_, title, image, [row], answer), index in zip(told["way_through"], (0, 3, 6), strict=True):
        np.testing.assert_array_equal(image, images[index])
        example = given.example(index)
        assert (answer.actual, answer.predicted) == (example.actual, example.predicted)
        assert f"{example.actual} ({example.source}): said {example.predicted}" in title
        assert [layer.name for layer in row] == ["conv", "relu", "pool"]
        assert list(answer.probabilities) == bundle.manifest.classes
        np.testing.assert_allclose(list(answer.probabilities.values()), given.probabilities[index], atol=1e-6)
        with torch.no_grad():
            pixels = torch.from_numpy(images[index])[None].permute(0, 3, 1, 2) / 255
            convolved = bundle.network.get_submodule("layers.conv")((pixels - bundle.manifest.mean[0]) / bundle.manifest.std[0])
        np.testing.assert_allclose(row[0].maps, convolved[0].numpy(), atol=1e-5)


def test_of_many_classes_the_most_probable_are_shown_first(
    told: dict[str, list[tuple]], bundle: Bundle, prepared: Path, cfg: Config, tmp_path: Path
) -> None:
    cfg.explain.bars, cfg.explain.images = 2, 1
    write_pictures(bundle, prepared, tmp_path, cfg.explain, "plain")
    [(*_, answer)] = told["way_through"]
    row = answers(bundle, prepared, "validation", 100, "plain").probabilities[0]
    np.testing.assert_allclose(list(answer.probabilities.values()), np.sort(row)[:0:-1], atol=1e-6)
    assert next(iter(answer.probabilities)) == answer.predicted


def test_mistakes_and_confusion_are_those_on_the_test_images(
    told: dict[str, list[tuple]], bundle: Bundle, prepared: Path, cfg: Config, tmp_path: Path
) -> None:
    write_pictures(bundle, prepared, tmp_path, cfg.explain, "plain")
    given = answers(bundle, prepared, "test", 100, "plain")
    [(_, title, examples)] = told["mistakes"]
    wanted = surest_mistakes(given.labels, given.probabilities, 12)
    assert [example.source for example in examples] == [given.sources[i] for i in wanted]
    assert title.startswith(f"{len(wanted)} of 6 test images mistaken")
    [(_, title, table, classes)] = told["confusion_page"]
    assert classes == bundle.manifest.classes
    assert table.sum() == 6
    assert title == f"{table.trace()} of 6 test images right"


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
    assert sorted(path.name for path in folder.iterdir()) == [name for name in NAMES if not name.startswith("filters")]


def test_drawing_leaves_the_network_as_it_was(bundle: Bundle, prepared: Path, cfg: Config, tmp_path: Path) -> None:
    before = {name: value.clone() for name, value in bundle.network.state_dict().items()}
    cfg.explain.images = 1
    write_pictures(bundle, prepared, tmp_path, cfg.explain, "plain")
    assert all(torch.equal(before[name], value) for name, value in bundle.network.state_dict().items())
    assert not any(module._forward_hooks or module.training for module in bundle.network.modules())


def test_a_class_name_becomes_a_file_name(
    told: dict[str, list[tuple]], bundle: Bundle, prepared: Path, cfg: Config, tmp_path: Path
) -> None:
    manifest = dataclasses.replace(bundle.manifest, classes=["T-shirt/top", "Straße 1", "../x"])
    write_pictures(dataclasses.replace(bundle, manifest=manifest), prepared, tmp_path, cfg.explain, "plain")
    assert [path.relative_to(tmp_path).as_posix() for path, *_ in told["way_through"]] == [
        *("feature_maps-1-T-shirt_top.png", "feature_maps-2-Stra_e_1.png", "feature_maps-3-_x.png")
    ]


def test_the_first_image_of_each_class_is_taken_and_classes_without_one_are_passed_over() -> None:
    labels = np.array([4, 2, 4, 0, 2, 0])
    assert first_of_each_class(labels, 2) == [3, 1]
    assert first_of_each_class(labels, 9) == [3, 1, 0]
    assert first_of_each_class(labels, 0) == []
