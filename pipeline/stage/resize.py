"""Stage 3: data/raw → data/prepared, packed images of one size in three splits, and pages about them in reports/."""

from pipeline.config.counted import counted
from pipeline.config.entry import entry
from pipeline.config.places import Places
from pipeline.config.schema import Config


@entry
def main(cfg: Config, places: Places) -> None:
    """Decode, resize and split the images; write packed arrays, images.csv, the manifest, the data's passport and a contact sheet."""
    from pipeline.analysis.figures.contact_sheet import contact_sheet
    from pipeline.dataset.choice import doubt
    from pipeline.dataset.resize import resize

    prepared, page = places.target("prepared"), places.page("passport")
    manifest = resize(cfg, places.source("raw"), prepared, page, places.home / "chunks")
    contact_sheet(places.page("contact_sheet"), manifest, prepared)
    splits = ", ".join(f"{manifest.images(split):,} {split}" for split in manifest.counts)
    refused = f"; {counted(manifest.refused, 'file')} refused, images.csv says why" if manifest.refused else ""
    left_out = (
        f"; {counted(manifest.left_out, 'image left out, a twin of one', 'images left out, twins of some')} of a later split"
        if manifest.left_out
        else ""
    )
    print(f"{splits} images of {len(manifest.classes)} classes in {places.show(prepared)}{refused}{left_out}")
    if uncertain := doubt(manifest):
        print(uncertain)
    print(f"the data at a glance: {places.show(page)}")


if __name__ == "__main__":
    main()
