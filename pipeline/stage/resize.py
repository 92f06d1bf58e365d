"""Stage 3: data/raw → data/prepared, packed images of one size in three splits."""

from pipeline.config.entry import entry
from pipeline.config.places import Places
from pipeline.config.schema import Config


@entry
def main(cfg: Config, places: Places) -> None:
    """Decode, resize and split the images; write packed arrays, images.csv, a contact sheet and the manifest."""
    from pipeline.dataset.resize import resize

    prepared = places.target("prepared")
    manifest = resize(cfg, places.source("raw"), prepared)
    splits = ", ".join(f"{manifest.images(split):,} {split}" for split in manifest.counts)
    refused = f"; {manifest.refused} files refused, images.csv says why" if manifest.refused else ""
    print(f"{splits} images of {len(manifest.classes)} classes in {places.show(prepared)}{refused}")


if __name__ == "__main__":
    main()
