"""The tutorials' explanations of a CNN, made on your prepared images: python -m tour

Takes every override that a training takes; hydra.run.dir=runs/NAME names the folder. Minutes, as it trains small networks."""

from pipeline.config.cli import entry
from pipeline.config.paths import WORKSPACE, Places
from pipeline.config.schema import Config


@entry
def main(cfg: Config, places: Places) -> None:
    """Write pages that explain convolutional networks by numbers and pictures of the prepared images."""
    import torch

    from pipeline.dataset.manifest import Manifest
    from tour.material import Material, prepared_lesson, prepared_photo
    from tour.tour import write_tour

    torch.set_num_threads(cfg.training.threads)
    prepared = places.source("prepared")
    Manifest.read(prepared).require(cfg, places.typed)
    folder = (places.live or prepared) / "tour"
    folder.mkdir(exist_ok=True)
    write_tour(folder, Material(prepared_photo(prepared), prepared_lesson(prepared, cfg.seed), cfg.seed, WORKSPACE / "conf"))
    print(f"the pages begin at {places.show(folder / 'README.md')}")


if __name__ == "__main__":
    main()
