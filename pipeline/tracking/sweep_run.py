"""The MLflow run of a whole sweep: the parent of its trials' runs (open_run.py makes them its children)."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from pipeline.config.schema import Config
from pipeline.dataset.manifest import Manifest
from pipeline.tracking.events import BEGIN, EventLog, key_of_sweep
from pipeline.tracking.provenance import begin_fields
from pipeline.tracking.run import Run, uploading

SHARE = 0.5  # of a core: this log is short, and its run is to be there before the first trial's


@contextmanager
def tracked_sweep(cfg: Config, manifest: Manifest, home: Path, name: str, sweep_id: str) -> Iterator[Run]:
    """Track a sweep in one MLflow run, which all of its starts resume.

    cfg: as it stands, without what varies. home: the project's root, which holds the event log."""
    run = Run(EventLog(home))
    fields = begin_fields(asdict(cfg), manifest, {"training": key_of_sweep(sweep_id), "sweep": name}, name)
    fields["params"] = {}  # each trial has its own
    fields["tracking"] |= {"system_metrics": None, "share": SHARE}
    run.events.write(BEGIN, **fields)
    with uploading(run, home, cfg.tracking.wait):
        yield run
