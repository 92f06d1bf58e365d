"""What the stages after training add to its run."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path

from pipeline.bundle import Bundle, make_network
from pipeline.config.schema import Config
from pipeline.tracking.delivery import settle
from pipeline.tracking.journal import Journal
from pipeline.tracking.run import MADE, Run, begin
from pipeline.training.summary import summary_of
from pipeline.weights.freezing import freeze


@contextmanager
def tracked_addition(cfg: Config, bundle: Bundle, home: Path) -> Iterator[Run]:
    """Add to the run that trained this bundle; where the store has none, make it from the bundle (tag `restored`).

    A store that is away is no error: what was added waits for it."""
    run = Run(Journal(home))
    try:
        begin(run, asdict(cfg) | bundle.config, bundle.manifest, bundle=bundle.digest, restored="true")
        with run.lacking(MADE):
            restore(run, bundle)
        yield run
    finally:
        run.end("FINISHED")
        run.journal.close()
    for note in settle(home):
        print(note, file=sys.stderr)


def restore(run: Run, bundle: Bundle) -> None:
    """Tell what the bundle knows of its training."""
    freeze(bundle.network, bundle.config.get("weights", {}).get("freeze", []))  # older bundles do not say: nothing could be frozen
    channels, side = bundle.manifest.channels, bundle.config["training"]["input"] or bundle.manifest.size
    make = partial(make_network, bundle.config["model"], bundle.manifest)
    summary = summary_of(bundle.network, make, bundle.config["optimizer"], channels, side)
    run.log_layers(bundle.config["model"]["name"], summary, bundle.config["training"]["batch_size"])
    for row in bundle.history:
        run.log_metrics({name: value for name, value in row.items() if name != "epoch"}, int(row["epoch"]))
    run.log_kept(bundle.validation)
    for step, weight in enumerate([] if bundle.filters is None else bundle.filters):
        run.log_filters(weight, step)
