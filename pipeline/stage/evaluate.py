"""Stage 5: bundle and data/prepared → reports/."""

from pipeline.config.cli import entry
from pipeline.config.paths import Places
from pipeline.config.schema import Config
from pipeline.config.wording import counted


@entry
def main(cfg: Config, places: Places) -> None:
    """Evaluate the trained network on all splits; write metrics, tables and an overview page."""
    from pipeline.analysis.tta import PLAIN
    from pipeline.bundle import Bundle
    from pipeline.dataset.manifest import Manifest
    from pipeline.report import write_report
    from pipeline.tracking.resume import resumed_run

    folder = places.source("bundle")
    bundle = Bundle.read(folder)
    prepared = places.source("prepared")
    bundle.require(Manifest.read(prepared))
    reports = places.target("reports")
    scores = write_report(bundle, prepared, reports, cfg.evaluate)
    with resumed_run(cfg, bundle, places.home) as run:
        run.log_report(reports, bundle.best_epoch)
    test = scores["test"]
    low, high = test.accuracy_interval
    seen = f"{counted(test.images, 'image')}{'' if cfg.evaluate.tta == PLAIN else f', test-time augmentation {cfg.evaluate.tta}'}"
    print(
        f"test accuracy {test.accuracy:.4f} ({cfg.evaluate.confidence:.0%} interval {low:.4f} to {high:.4f}, {seen})\n"
        f"look:    {places.show(reports / 'overview.png')}\n"
        f"compare: make ui\n"
        f"use:     python -m pipeline.command.predict PHOTO…{f' --bundle {places.show(folder)}' if places.live else ''}"
    )


if __name__ == "__main__":
    main()
