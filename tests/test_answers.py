from pathlib import Path

import numpy as np
import pytest

from pipeline.answers import answers, predicted
from pipeline.bundle import Bundle
from tests.samples import CLASSES


def test_predictions_do_not_depend_on_the_batch_size(bundle: Bundle, prepared: Path) -> None:
    images = np.load(prepared / "train.npy")
    np.testing.assert_allclose(predicted(bundle, images, 5), predicted(bundle, images, 100), atol=1e-6)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_an_answer_belongs_to_its_image_class_and_file(split: str, bundle: Bundle, prepared: Path) -> None:
    given = answers(bundle, prepared, split, 4)
    images = np.load(prepared / f"{split}.npy")
    probabilities = predicted(bundle, images, 100)
    for i, example in enumerate(given.examples(range(len(images)))):
        np.testing.assert_array_equal(example.image, images[i])
        assert example.source == f"{split}-images-idx3-ubyte.gz#{i}"
        assert example.actual == CLASSES[np.load(prepared / f"{split}_labels.npy")[i]]
        assert example.predicted == CLASSES[probabilities[i].argmax()]
        assert example.probability == pytest.approx(probabilities[i].max(), abs=1e-6)
