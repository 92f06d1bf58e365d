"""What augmentation makes of the images, before any training: python -m pipeline.command.preview augmentation=flip …

Takes every override that a training takes, and shows what that training's first epochs see."""

from pipeline.config.entry import entry
from pipeline.config.places import Places
from pipeline.config.schema import Config

IMAGES = 8  # rows; of every class in turn
EPOCHS = 8  # columns


@entry
def main(cfg: Config, places: Places) -> None:
    """Draw some training images as they are stored and as the first epochs see them."""
    import numpy as np

    from pipeline.analysis.figures.augmented import augmented
    from pipeline.dataset.augmentation import Augment
    from pipeline.dataset.manifest import Manifest
    from pipeline.dataset.normalise import middle

    prepared = places.source("prepared")
    manifest = Manifest.read(prepared)
    manifest.require(cfg, places.typed)
    augment = Augment(cfg.augmentation, cfg.seed, cfg.training.input)
    stored, labels = np.load(prepared / "train.npy", mmap_mode="r"), np.load(prepared / "train_labels.npy")
    of_class = [np.flatnonzero(labels == label) for label in range(len(manifest.classes))]
    samples = [int(found[turn]) for turn in range(IMAGES) for found in of_class if turn < len(found)][:IMAGES]
    chosen = np.array(stored[samples])
    seen = [augment(chosen.copy(), epoch, np.array(samples)) for epoch in range(EPOCHS)]
    images = np.stack([middle(chosen, cfg.training.input), *seen], axis=1)  # (images, 1 + epochs, H, W, C)
    page = (places.live or prepared) / "preview.png"
    title = f"{manifest.dataset}, augmentation {cfg.augmentation.name}, seed {cfg.seed}"
    augmented(page, title, images, [manifest.classes[labels[sample]] for sample in samples])
    print(f"{len(samples)} training images in their first {EPOCHS} epochs: {places.show(page)}")


if __name__ == "__main__":
    main()
