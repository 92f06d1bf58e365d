"""One MLflow run as the stages see it: log_* calls append to its event log, which the uploader sends to MLflow.

It does not import mlflow: a training starts faster without it, and does not depend on the code that does."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config.compose import dump
from pipeline.config.errors import Settled, Stopped
from pipeline.config.paths import WORKSPACE
from pipeline.config.schema import Config
from pipeline.config.secrets import redact
from pipeline.config.tree import Tree
from pipeline.dataset.files import save_array
from pipeline.dataset.manifest import Manifest
from pipeline.model.layer_rows import Summary
from pipeline.tracking.events import BEGIN, ERROR, PICTURES, EventLog
from pipeline.tracking.provenance import begin_fields, uncommitted

CREATED = "data_digest"  # a tag that every run has from the start
PATCH = "changes.patch"  # an artifact of a run whose code or conf/ was not committed
PATIENCE = 30.0  # seconds that a failed training waits for MLflow to get its end state
LONGEST_REASON = 500  # characters of the tag with the reason of a failure


class Run:
    """Logs to a run without waiting for MLflow or raising its errors. Steps are epochs; 0 is before training."""

    def __init__(self, events: EventLog) -> None:
        self.events = events
        self.unless: str | None = None

    @contextmanager
    def unless_tagged(self, tag: str) -> Iterator[None]:
        """Log what follows only if the run did not have this tag when it was resumed."""
        self.unless = tag
        yield
        self.unless = None

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        """Log metrics of one step; a step that an earlier start of the training logged is skipped."""
        self._log("metrics", values=metrics, step=step)

    def log_filters(self, weight: NDArray[np.float32], step: int) -> None:
        """Log the first layer's filters, (out, in, kh, kw), which the uploader draws."""
        path = self.events.new_file("filters.npy")
        save_array(path, weight)
        self._log("filters", path, step=step)

    def log_layers(self, name: str, summary: Summary, batch_size: int) -> None:
        """Log a network's layers; the uploader draws them and writes the layer table for this batch size."""
        path = self.events.new_file("layers.json")
        path.write_text(json.dumps(asdict(summary)))
        self._log("layers", path, name=name, batch_size=batch_size)

    def log_image(self, key: str, image: Path, step: int) -> None:
        """Log a picture; the MLflow UI shows those of one key side by side."""
        self._log("image", self._copied(image), key=key, step=step)

    def log_file(self, file: Path, folder: str | None = None) -> None:
        """Log a copy of a file as an artifact. folder: among the run's artifacts; None: the root."""
        self._log("artifact", self._copied(file), folder=folder)

    def log_text(self, text: str, name: str) -> None:
        """Log a text as an artifact named `name`."""
        path = self.events.new_file(name)
        path.write_text(text)
        self._log("artifact", path, folder=None)

    def log_kept(self, best: dict[str, float]) -> None:
        """Log the kept epoch and its validation metrics as best/…, because MLflow's table shows the last value of a curve."""
        kept = {f"best/{name}": value for name, value in best.items() if name == "epoch" or name.startswith("validation/")}
        self.log_metrics(kept, int(best["epoch"]))

    def log_report(self, reports: Path, step: int) -> None:
        """Log the test metrics and the files of reports/. step: the epoch whose weights were kept."""
        metrics = json.loads((reports / "metrics.json").read_text())
        self.log_metrics({f"test/{name}": value for name, value in metrics["test"].items() if isinstance(value, float)}, step)
        for path in sorted(reports.glob("*.*")):
            self.log_file(path, "reports")
        self.tag(evaluated="true", tta=metrics["tta"])

    def log_pictures(self, pictures: Path, film: Path) -> None:
        """Log the pictures of a trained network, each under its file name, and what moves, which MLflow's images don't, as a file."""
        for path in sorted(pictures.glob("*.png")):
            if path.stem != "filters":  # logged by log_filters
                self.log_image(f"{PICTURES}/{path.stem}", path, step=0)  # not the kept epoch: the MLflow UI compares equal steps
        for path in sorted(film.glob("*.webp")):
            self.log_file(path, film.name)
        self.tag(explained="true")

    def log_lock(self) -> None:
        """Log dvc.lock, which holds the hashes of every stage's data and code."""
        if (lock := WORKSPACE / "dvc.lock").exists():
            self.log_file(lock)

    def log_changes(self) -> None:
        """Log what differs from the commit as a patch, or tag why not, so that `restore` can give the run's code back."""
        patch, why_not = uncommitted(WORKSPACE)
        if patch:
            path = self.events.new_file(PATCH)
            path.write_bytes(patch)
            self._log("artifact", path, folder=None)
        if why_not:
            self.tag(changes_not_logged=why_not)

    def tag(self, **tags: str) -> None:
        """Set tags; values are truncated to MLflow's 8,000 characters."""
        self._log("tags", values=tags)

    def fail(self, reason: str) -> None:
        """End the run as FAILED, with the redacted reason in its tag `error`."""
        self.tag(**{ERROR: redact(reason)[:LONGEST_REASON]})
        self.end("FAILED")

    def end(self, status: str) -> None:
        """End the run. status: FINISHED, FAILED or KILLED."""
        self.events.write("end", status=status)

    def _copied(self, file: Path) -> Path:
        return Path(shutil.copyfile(file, self.events.new_file(file.name)))

    def _log(self, event: str, file: Path | None = None, **fields: Any) -> None:
        if file:
            fields["file"] = str(file.relative_to(self.events.folder))
        self.events.write(event, **fields, unless=self.unless)


@contextmanager
def tracked_training(cfg: Config, manifest: Manifest, home: Path, **tags: str) -> Iterator[Run]:
    """Track a training in one MLflow run, which gets its true end state even after an error or a signal.

    home: the project's root, which holds the event log. tags: see `begin`; without `training` the training has one start. A trial of a
    sweep does not wait for MLflow to get its failure: its driver reports it, and has the next trial to start."""
    run = Run(EventLog(home))
    begin(run, asdict(cfg), manifest, **tags, repeatable=str(not cfg.training.budget).lower())
    run.log_lock()
    run.log_changes()
    with uploading(run, home, cfg.tracking.wait, patience=0 if "trial" in tags else PATIENCE):
        yield run


@contextmanager
def uploading(run: Run, home: Path, wait: float, patience: float = PATIENCE) -> Iterator[None]:
    """Send a run's log to MLflow by a process beside this one, and end the run as the block ends.

    At the end a finished run waits for that process for at most `wait`, a share of its duration, a failed one for at most `patience`,
    in seconds; what is left is sent all the same."""
    start = time.monotonic()
    uploader = subprocess.Popen(
        [sys.executable, "-m", "pipeline.tracking.uploader", str(run.events.folder), str(home)],
        cwd=WORKSPACE,
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C in the terminal must end the training, not the uploader
    )
    try:
        yield
    except Exception as error:
        run.fail(str(error))
        raise
    except Settled as settled:
        run.tag(pruned=str(settled))
        run.end("KILLED")
        raise
    except BaseException:
        run.end("KILLED")
        raise
    else:
        run.end("FINISHED")
        patience = wait * (time.monotonic() - start)
    finally:
        run.events.close()
        _wait_for(uploader, patience)


def _wait_for(uploader: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait for the uploader for some seconds; after that it finishes alone."""
    end = Thread(target=uploader.wait, daemon=True)  # outlives this call, so that a multirun leaves no zombies
    end.start()
    with suppress(Stopped):
        end.join(seconds)


def begin(run: Run, config: Tree, manifest: Manifest, name: str | None = None, **tags: str) -> None:
    """Begin a run with the parameters, config, dataset and code version of a training.

    A tag `bundle` resumes the run that trained this bundle, a tag `training` that of the training's earlier starts, if the
    store has it; otherwise a run is created. name: of the run, where it is not that of a single training."""
    run.events.write(BEGIN, **begin_fields(config, manifest, tags, name))
    with run.unless_tagged(CREATED):
        run.log_text(dump(config), "config.yaml")
