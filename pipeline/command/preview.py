"""Preview augmented images before any training: python -m pipeline.command.preview augmentation=flip …

Takes the overrides of a training, and shows what its first epochs see."""

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.config.cli import entry
from pipeline.config.paths import Places
from pipeline.config.schema import Config
from pipeline.config.wording import counted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

IMAGES = 8  # rows; of every class in turn
EPOCHS = 8  # columns


@entry
def main(cfg: Config, places: Places) -> None:
    """Draw some training images as stored and as the first epochs see them."""
    from pipeline.analysis.figures.gallery import augmented
    from pipeline.dataset.manifest import Manifest

    prepared = places.source("prepared")
    manifest = Manifest.read(prepared)
    manifest.require(cfg, places.typed)
    images, labels = first_epochs(cfg, prepared, len(manifest.classes))
    page = (places.live or prepared) / "preview.png"
    title = f"{manifest.dataset}, augmentation {cfg.augmentation.name}, seed {cfg.seed}"
    augmented(page, title, images, [manifest.classes[label] for label in labels])
    print(f"{counted(len(images), 'training image in its', 'training images in their')} first {EPOCHS} epochs: {places.show(page)}")


def first_epochs(cfg: Config, prepared: Path, classes: int) -> tuple["NDArray[np.uint8]", list[int]]:
    """Return training images, (images, 1 + epochs, H, W, C) with the stored one first, and their labels."""
    import numpy as np

    from pipeline.dataset.augmentation import Augment
    from pipeline.dataset.normalise import middle

    augment = Augment(cfg.augmentation, cfg.seed, cfg.training.input)
    stored, labels = np.load(prepared / "train.npy", mmap_mode="r"), np.load(prepared / "train_labels.npy")
    of_class = [np.flatnonzero(labels == label) for label in range(classes)]
    samples = [int(found[turn]) for turn in range(IMAGES) for found in of_class if turn < len(found)][:IMAGES]
    chosen = np.array(stored[samples])
    seen = [augment(chosen.copy(), epoch, np.array(samples)) for epoch in range(EPOCHS)]
    return np.stack([middle(chosen, cfg.training.input), *seen], axis=1), labels[samples].tolist()


if __name__ == "__main__":
    main()
