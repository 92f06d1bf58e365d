import re
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.bundle import Bundle
from pipeline.inference import predict_images, predict_split, sources
from tests.samples import CLASSES


def test_predictions_do_not_depend_on_the_batch_size(bundle: Bundle, prepared: Path) -> None:
    images = np.load(prepared / "train.npy")
    np.testing.assert_allclose(predict_images(bundle, images, 5, "plain"), predict_images(bundle, images, 100, "plain"), atol=1e-6)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_an_answer_belongs_to_its_image_class_and_file(split: str, bundle: Bundle, prepared: Path) -> None:
    given = predict_split(bundle, prepared, split, 4, "plain")
    images = np.load(prepared / f"{split}.npy")
    probabilities = predict_images(bundle, images, 100, "plain")
    for i, example in enumerate(given.examples(range(len(images)))):
        np.testing.assert_array_equal(example.image, images[i])
        assert example.source == f"{split}-images-idx3-ubyte.gz#{i}"
        assert example.actual == CLASSES[np.load(prepared / f"{split}_labels.npy")[i]]
        assert example.predicted == CLASSES[probabilities[i].argmax()]
        assert example.probability == pytest.approx(probabilities[i].max(), abs=1e-6)


def test_a_file_that_was_refused_is_no_image_of_any_split(prepared: Path, tmp_path: Path) -> None:
    lines = (prepared / "images.csv").read_text().splitlines()
    nowhere = dict.fromkeys(lines[0].split(","), "") | {"path": "broken.jpg", "status": "refused", "reason": "damaged"}
    (tmp_path / "images.csv").write_text("\n".join([lines[0], ",".join(nowhere.values()), *lines[1:]]))
    for split in ("train", "validation", "test"):
        assert sources(tmp_path, split) == sources(prepared, split)


def test_plain_views_are_what_the_predictor_says(bundle: Bundle, prepared: Path) -> None:
    images = np.load(prepared / "train.npy")
    with torch.no_grad():
        expected = bundle.predictor()(torch.from_numpy(images))
    np.testing.assert_allclose(predict_images(bundle, images, 100, "plain"), expected, atol=1e-6)


def test_an_image_and_its_mirror_image_get_one_answer_of_mirrored_views(bundle: Bundle) -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 1), dtype=np.uint8)
    mirrored = images[:, :, ::-1]
    np.testing.assert_allclose(predict_images(bundle, images, 4, "mirror"), predict_images(bundle, mirrored, 4, "mirror"), atol=1e-6)
    assert np.abs(predict_images(bundle, images, 4, "plain") - predict_images(bundle, mirrored, 4, "plain")).max() > 1e-3


def test_scores_are_averaged_and_not_probabilities(bundle: Bundle, prepared: Path) -> None:
    images = np.load(prepared / "test.npy")
    logarithms = [np.log(predict_images(bundle, view, 100, "plain")) for view in (images, images[:, :, ::-1])]
    product = np.exp(np.mean(logarithms, axis=0))  # the softmax of a mean is the geometric mean, made to sum to 1
    expected = product / product.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(predict_images(bundle, images, 100, "mirror"), expected, atol=1e-6)


def test_a_batch_of_shifted_views_is_answered_as_each_image_alone(bundle: Bundle, prepared: Path) -> None:
    images = np.load(prepared / "train.npy")
    together, alone = (predict_images(bundle, images, batch_size, "mirror_shift") for batch_size in (5, 1))
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_a_line_says_how_far_it_is_and_how_long_it_still_takes(
    bundle: Bundle, prepared: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pipeline.inference.INTERVAL", 0)
    predict_split(bundle, prepared, "test", 4, "plain")
    first, last = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"looking at test: 4 of 6 images, [\d,]+ images/s, \d+ s left", first)
    assert last.startswith("looking at test: 6 of 6 images, ")
