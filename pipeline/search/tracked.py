"""A sweep from its first trial to its report, in one MLflow run."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pipeline.config.errors import PipelineError
from pipeline.config.schema import Config
from pipeline.config.wording import counted
from pipeline.dataset.manifest import Manifest
from pipeline.search.driver import Driver
from pipeline.search.ledger import Ledger
from pipeline.search.note import note
from pipeline.search.status import ended, summary
from pipeline.search.trial import Work
from pipeline.tracking.events import NOTE
from pipeline.tracking.run import Run
from pipeline.tracking.sweep_run import tracked_sweep

REPORT = "report.html"  # in the sweep's folder


class PointsFailed(PipelineError):
    """The sweep is over, and some of its points have no result."""


@dataclass(frozen=True)
class Folders:
    """home: the project's root. trials: has one for each trial of the sweep. prepared: the images."""

    home: Path
    trials: Path
    prepared: Path


def run_tracked(ledger: Ledger, work: Work, cfg: Config, folders: Folders, workers: int, preload: Sequence[str]) -> None:
    """Run trials until none is left; raise PointsFailed where some points have no result.

    cfg: as it stands, with the words that are the same for all trials."""
    with tracked_sweep(cfg, Manifest.read(folders.prepared), folders.home, ledger.name, ledger.id) as run:
        run.tag(**{NOTE: note(ledger)})
        try:
            Driver(ledger, work, folders.trials, workers, partial(_tell, ledger, run), preload).run()
        finally:
            _conclude(ledger, run, folders)
        run.log_file(report_of(ledger, folders), None)
    points = ledger.points()
    if failed := sum(row.state == "fail" for row in points):
        what = f"{counted(failed, 'point')} of {len(points)} failed"
        raise PointsFailed(f"{what}; `status {ledger.name}` says why, `retry {ledger.name}` tries again")


def _tell(ledger: Ledger, run: Run, line: str) -> None:
    """Print a line on a trial, and log the best score after so many points: the curve of the search."""
    print(line, flush=True)
    if best := ledger.best():
        run.log_metrics({f"best/{ledger.monitor}": best.value or 0.0}, ended(ledger.points()))


def _conclude(ledger: Ledger, run: Run, folders: Folders) -> None:
    """Print how the sweep stands, and log it with the best trial's config."""
    print(summary(ledger))
    if best := ledger.best():
        run.tag(**{NOTE: note(ledger), "best_trial": str(best.number)})
        repetition = "0" if ledger.search.repetitions[0] else ""
        if (config := folders.trials / str(best.number) / repetition / "config.yaml").exists():  # on the machine that has trained it
            run.log_file(config, "best")


def report_of(ledger: Ledger, folders: Folders) -> Path:
    """Write the report of a sweep as it stands; return its path."""
    from pipeline.search.report import write_report  # matplotlib and optuna's forests take seconds to import

    page = folders.trials / REPORT
    write_report(ledger, page, folders.trials, folders.prepared)
    return page
