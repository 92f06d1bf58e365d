"""Log outside a training: the stages after it resume its run."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path

from pipeline.bundle import Bundle, make_network, summary_of
from pipeline.config.compose import Tree
from pipeline.config.schema import Config
from pipeline.dataset.manifest import Manifest
from pipeline.tracking.events import EventLog
from pipeline.tracking.run import CREATED, Run, begin
from pipeline.tracking.sync import sync_waiting
from pipeline.weights.freezing import freeze


@contextmanager
def logged_run(config: Tree, manifest: Manifest, home: Path, **tags: str) -> Iterator[Run]:
    """Log to the run that `tags` identify (see `begin`), or a new one, without an uploader; upload the log at the end.

    An unreachable store is no error: the event log waits for it."""
    run = Run(EventLog(home))
    try:
        begin(run, config, manifest, **tags)
        yield run
    finally:
        run.end("FINISHED")
        run.events.close()
    for note in sync_waiting(home):
        print(note, file=sys.stderr)


@contextmanager
def resumed_run(cfg: Config, bundle: Bundle, home: Path) -> Iterator[Run]:
    """Log to the run that trained this bundle; if the store lacks it, recreate it from the bundle (tag `restored`)."""
    with logged_run(asdict(cfg) | bundle.config, bundle.manifest, home, bundle=bundle.digest, restored="true") as run:
        with run.unless_tagged(CREATED):
            restore(run, bundle)
        yield run


def restore(run: Run, bundle: Bundle) -> None:
    """Log what the bundle holds of its training: layers, history, best epoch, filters of each epoch."""
    freeze(bundle.network, bundle.config.get("weights", {}).get("freeze", []))  # missing in bundles from before weights could be frozen
    channels, side = bundle.manifest.channels, bundle.config["training"]["input"] or bundle.manifest.size
    make = partial(make_network, bundle.config["model"], bundle.manifest)
    summary = summary_of(bundle.network, make, bundle.config["optimizer"], channels, side)
    run.log_layers(bundle.config["model"]["name"], summary, bundle.config["training"]["batch_size"])
    for row in bundle.history:
        run.log_metrics({name: value for name, value in row.items() if name != "epoch"}, int(row["epoch"]))
    run.log_kept(bundle.validation)
    for step, weight in enumerate([] if bundle.filters is None else bundle.filters):
        run.log_filters(weight, step)
