"""Stage 6: bundle and data/prepared → reports/pictures, reports/film and reports/walk.html."""

from pipeline.config.cli import entry
from pipeline.config.paths import Places
from pipeline.config.schema import Config
from pipeline.config.wording import counted


@entry
def main(cfg: Config, places: Places) -> None:
    """Draw the trained network's filters, its feature maps of some images, and its mistakes; write the page in which it runs."""
    from pipeline.bundle import Bundle
    from pipeline.dataset.manifest import Manifest
    from pipeline.explanation import write_pictures
    from pipeline.filter_explanation import write_film
    from pipeline.tracking.resume import resumed_run
    from pipeline.walk.page import write_walk_or_note

    bundle = Bundle.read(places.source("bundle"))
    prepared = places.source("prepared")
    bundle.require(Manifest.read(prepared))
    pictures, film, walk = places.target("pictures"), places.target("film"), places.page("walk")
    write_pictures(bundle, prepared, pictures, cfg.explain, cfg.evaluate.tta)
    write_film(bundle, film)
    no_walk = write_walk_or_note(bundle, prepared, walk, cfg.explain.walk)
    with resumed_run(cfg, bundle, places.home) as run:
        run.log_pictures(pictures, film)
        run.log_file(walk, "reports")
    print(f"{counted(len(list(pictures.iterdir())), 'picture')} of filters, units, feature maps and mistakes: {places.show(pictures)}")
    print(f"no walk through this network: {no_walk}" if no_walk else f"a page in which the network runs: {places.show(walk)}")


if __name__ == "__main__":
    main()
