"""Stage 3: data/raw → data/prepared, packed images of one size in three splits, with a data report and a contact sheet."""

from pipeline.config.cli import entry
from pipeline.config.paths import Places
from pipeline.config.schema import Config
from pipeline.config.wording import counted


@entry
def main(cfg: Config, places: Places) -> None:
    """Decode, resize and split the images; write packed arrays, images.csv, the manifest, the data report and a contact sheet."""
    from pipeline.analysis.figures.contact_sheet import contact_sheet
    from pipeline.dataset.manifest import doubt
    from pipeline.dataset.resize import resize

    prepared, page = places.target("prepared"), places.page("data_report")
    manifest = resize(cfg, places.source("raw"), prepared, page, places.home / "chunks")
    contact_sheet(places.page("contact_sheet"), manifest, prepared)
    splits = ", ".join(f"{manifest.images(split):,} {split}" for split in manifest.counts)
    refused = f"; {counted(manifest.refused, 'file')} refused, images.csv says why" if manifest.refused else ""
    near = counted(manifest.left_out, "near-duplicate of a later split's image", "near-duplicates of a later split's images")
    left_out = f"; {near} left out" if manifest.left_out else ""
    print(f"{splits} images of {len(manifest.classes)} classes in {places.show(prepared)}{refused}{left_out}")
    if uncertain := doubt(manifest):
        print(uncertain)
    print(f"the data at a glance: {places.show(page)}")


if __name__ == "__main__":
    main()
