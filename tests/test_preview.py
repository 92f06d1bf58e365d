"""The preview shows each class in turn, as it is stored and as a training of this config sees it epoch by epoch."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.command.preview import EPOCHS, IMAGES, first_epochs
from pipeline.config.paths import Places
from pipeline.config.schema import Config
from pipeline.dataset.augmentation import Augment
from tests.conftest import MakeConfig
from tests.stage.conftest import work_of

CLASSES = 3  # of `prepared`, four training images each


@pytest.mark.parametrize("side", [None, 6])
def test_the_first_epochs_are_those_of_a_training_with_this_seed(side: int | None, cfg: Config, prepared: Path, config: MakeConfig) -> None:
    cfg.augmentation = config("augmentation=flip").augmentation
    cfg.seed, cfg.training.input = 7, side
    images, labels = first_epochs(cfg, prepared, CLASSES)
    assert images.shape == (IMAGES, 1 + EPOCHS, side or 8, side or 8, 1)
    assert labels == [0, 1, 2, 0, 1, 2, 0, 1]
    stored, of_class = np.load(prepared / "train.npy"), np.load(prepared / "train_labels.npy")
    samples = np.array([np.flatnonzero(of_class == label)[turn] for turn, label in zip((0, 0, 0, 1, 1, 1, 2, 2), labels, strict=True)])
    edge = (8 - (side or 8)) // 2
    np.testing.assert_array_equal(images[:, 0], stored[samples][:, edge : 8 - edge, edge : 8 - edge])
    augment = Augment(cfg.augmentation, 7, side)
    for epoch in range(EPOCHS):
        np.testing.assert_array_equal(images[:, 1 + epoch], augment(stored[samples], epoch, samples))
    assert (images[:, 1] != images[:, 2]).any()


def test_the_picture_lies_in_the_run_s_folder(cfg: Config, prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "prepared").symlink_to(prepared)
    work_of("pipeline.command.preview")(cfg, Places(tmp_path))
    assert capsys.readouterr().out == f"8 training images in their first 8 epochs: {tmp_path / 'preview.png'}\n"
    with Image.open(tmp_path / "preview.png") as picture:
        assert min(picture.size) > 700
