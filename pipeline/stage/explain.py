"""Stage 6: bundle and data/prepared → reports/pictures."""

from pipeline.config.counted import counted
from pipeline.config.entry import entry
from pipeline.config.places import Places
from pipeline.config.schema import Config


@entry
def main(cfg: Config, places: Places) -> None:
    """Draw what the trained network looks for, what it makes of some images, and where it is mistaken."""
    from pipeline.bundle import Bundle
    from pipeline.dataset.manifest import Manifest
    from pipeline.explanation import write_pictures
    from pipeline.tracking.addition import tracked_addition

    bundle = Bundle.read(places.source("bundle"))
    prepared = places.source("prepared")
    bundle.require(Manifest.read(prepared))
    pictures = places.target("pictures")
    write_pictures(bundle, prepared, pictures, cfg.explain, cfg.evaluate.views)
    with tracked_addition(cfg, bundle, places.home) as run:
        run.log_pictures(pictures)
    print(f"{counted(len(list(pictures.iterdir())), 'picture')} of filters, feature maps and mistakes: {places.show(pictures)}")


if __name__ == "__main__":
    main()
