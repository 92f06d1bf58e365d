"""Stage 2: source → data/raw, verified original files."""

from pipeline.config.cli import entry
from pipeline.config.paths import WORKSPACE, Places
from pipeline.config.schema import Config
from pipeline.config.wording import counted


@entry
def main(cfg: Config, places: Places) -> None:
    """Fetch the data set's original files and check them; nothing is decoded."""
    from pipeline.dataset.fetch import fetch

    raw = places.target("raw")
    files = fetch(cfg, raw, places.home / "downloads", WORKSPACE)
    print(f"{counted(files, 'original file')} of {cfg.dataset.name} in {places.show(raw)}")


if __name__ == "__main__":
    main()
