"""One run as the stages see it: what they tell goes into a journal, and from there into MLflow.

No import of mlflow: a training starts without it, and its code is no dependency of the training."""

import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config.composition import Tree, dump, leaves
from pipeline.config.errors import Stopped
from pipeline.config.order import spelled
from pipeline.config.places import WORKSPACE
from pipeline.config.schema import Config
from pipeline.config.secrets import redact
from pipeline.dataset.manifest import SPLITS, Manifest
from pipeline.model.rows import Summary
from pipeline.tracking.journal import BEGIN, ERROR, STORE, Event, Journal
from pipeline.tracking.notes import note_once
from pipeline.training.device import kind_of_device

MADE = "data_digest"  # a tag that every run has from its beginning
AFTERMATH = 30.0  # seconds that a training which failed waits until its run says so
PICTURES = "pictures"  # the section of the pages that shows them
CODE = ("pipeline", "dvc.yaml", "requirements.lock")  # what "dirty" looks at: params.yaml always differs in an experiment


class Run:
    """Everything that is told lands in the journal at once; steps are epochs, 0 before training."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.unless: str | None = None

    @contextmanager
    def lacking(self, tag: str) -> Iterator[None]:
        """What is told meanwhile is only for a run that had no such tag when it was joined."""
        self.unless = tag
        yield
        self.unless = None

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        self._tell("metrics", values=metrics, step=step)

    def log_filters(self, weight: NDArray[np.float32], step: int) -> None:
        """Tell the first layer's filters, (out, in, kh, kw); delivery draws them."""
        path = self.journal.place("filters.npy")
        np.save(path, weight)
        self._tell("filters", path, step=step)

    def log_layers(self, name: str, summary: Summary, batch_size: int) -> None:
        """Tell a network's layers; delivery writes the table for batches of that size, and draws the network."""
        path = self.journal.place("layers.json")
        path.write_text(json.dumps(asdict(summary)))
        self._tell("layers", path, name=name, batch_size=batch_size)

    def log_image(self, key: str, image: Path, step: int) -> None:
        """Tell a picture that the pages show beside the same key's of other runs and steps."""
        self._tell("image", self._copied(image), key=key, step=step)

    def log_file(self, file: Path, folder: str | None = None) -> None:
        self._tell("artifact", self._copied(file), folder=folder)

    def log_text(self, text: str, name: str) -> None:
        path = self.journal.place(name)
        path.write_text(text)
        self._tell("artifact", path, folder=None)

    def log_kept(self, best: dict[str, float]) -> None:
        """Tell the validation figures of the epoch whose weights were kept: of a curve MLflow's table shows the last value."""
        self.log_metrics({f"best/{name}": value for name, value in best.items() if name.startswith("validation/")}, int(best["epoch"]))

    def log_report(self, reports: Path, step: int) -> None:
        """Tell what reports/ says of the test images. step: the epoch whose weights were kept."""
        metrics = json.loads((reports / "metrics.json").read_text())
        self.log_metrics({f"test/{name}": metrics["test"][name] for name in ("accuracy", "loss")}, step)
        for path in sorted(reports.glob("*.*")):
            self.log_file(path, "reports")
        self.tag(evaluated="true", views=metrics["views"])

    def log_pictures(self, pictures: Path) -> None:
        """Tell the pictures of a trained network, each under its file's name."""
        for path in sorted(pictures.glob("*.png")):
            if path.stem != "filters":  # which log_filters has told
                self.log_image(f"{PICTURES}/{path.stem}", path, step=0)  # not the kept epoch: the pages compare equal steps
        self.tag(explained="true")

    def log_lock(self) -> None:
        """Tell dvc.lock, which names the data and the code of every stage that has run."""
        if (lock := WORKSPACE / "dvc.lock").exists():
            self.log_file(lock)

    def tag(self, **tags: str) -> None:
        self._tell("tags", values=tags)

    def fail(self, reason: str) -> None:
        self.tag(**{ERROR: redact(reason)[:500]})
        self.end("FAILED")

    def end(self, status: str) -> None:
        self.journal.write("end", status=status)

    def _copied(self, file: Path) -> Path:
        return Path(shutil.copyfile(file, self.journal.place(file.name)))

    def _tell(self, event: str, file: Path | None = None, **told: Any) -> None:
        if file:
            told["file"] = str(file.relative_to(self.journal.folder))
        self.journal.write(event, **told, unless=self.unless)


@contextmanager
def tracked_training(cfg: Config, manifest: Manifest, home: Path, training: str | None = None) -> Iterator[Run]:
    """Follow a training by one MLflow run with a true end state, also after an error or a signal.

    training: a name that all starts of one training have in common, which go on in the same run; None: it has but one.
    home: the project's root, where the journal lies. A courier delivers while the training goes on; a training that
    ends well waits for its last events no longer than its share (tracking.wait), any other until they have arrived."""
    start, patience = time.monotonic(), AFTERMATH
    run = Run(Journal(home))
    name = {"training": training} if training else {}
    begin(run, asdict(cfg), manifest, **name, repeatable=str(not cfg.training.budget).lower())
    run.log_lock()
    courier = subprocess.Popen(
        [sys.executable, "-m", "pipeline.tracking.courier", str(run.journal.folder), str(home)],
        cwd=WORKSPACE,
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # a Ctrl-C in the terminal ends the training; the courier still brings the news
    )
    try:
        yield run
    except Exception as error:
        run.fail(str(error))
        raise
    except BaseException:
        run.end("KILLED")
        raise
    else:
        run.end("FINISHED")
        patience = cfg.tracking.wait * (time.monotonic() - start)
    finally:
        run.journal.close()
        _wait_for(courier, patience)


def _wait_for(courier: subprocess.Popen[bytes], seconds: float) -> None:
    """Let the last events arrive, or leave them to the courier, which goes on when this process has ended."""
    end = Thread(target=courier.wait, daemon=True)  # it outlives this call, so that a multirun leaves no zombies
    end.start()
    with suppress(Stopped):
        end.join(seconds)


def begin(run: Run, config: Tree, manifest: Manifest, **tags: str) -> None:
    """Open a run with the parameters, the config, the data and the code of a training.

    A tag `bundle` stands for the run that trained that bundle, a tag `training` for that of the training's earlier starts,
    where the store has it."""
    run.journal.write(BEGIN, **opening(config, manifest, tags))
    with run.lacking(MADE):
        run.log_text(dump(config), "config.yaml")


def opening(config: Tree, manifest: Manifest, tags: dict[str, str]) -> Event:
    experiment = {"dvc_experiment": os.environ["DVC_EXP_NAME"]} if "DVC_EXP_NAME" in os.environ else {}
    return {
        "name": run_name(config),
        "tracking": config["tracking"],
        "by_variable": not config["tracking"]["uri"] and bool(os.environ.get(STORE)),  # not what it says: that may hold a password
        "params": {key: str(value) for key, value in leaves(spelled(config))},  # under the names of `dvc params diff`
        "tags": {**tags, **experiment, **code_tags(), "data_digest": manifest.data_digest},
        "data": {
            "name": manifest.dataset,
            "digest": manifest.data_digest[:36],  # MLflow's longest
            "source": config["dataset"]["sources"],
            "images": {split: manifest.images(split) for split in SPLITS},
            "shape": list(manifest.image_shape),  # height, width, channels
        },
    }


def run_name(config: Tree) -> str:
    """Return the experiment's name in `dvc exp show`, else model, data and time; never MLflow's, which a seed repeats."""
    return os.environ.get("DVC_EXP_NAME") or f"{config['model']['name']}-{config['dataset']['name']}-{time.strftime('%m%d-%H%M%S')}"


def code_tags() -> dict[str, str]:
    """Return the git commit, marked where the code differs from it, and what could break bit-identity."""
    tags = {
        "torch": version("torch"),
        "machine": platform.machine(),
        "device": kind_of_device(),
        "mlflow.source.name": Path(sys.argv[0]).stem,
    }
    try:
        tags["commit"] = tags["mlflow.source.git.commit"] = _git("rev-parse", "HEAD")
        tags["dirty"] = str(bool(_git("status", "--porcelain", "--", *CODE))).lower()
    except (OSError, subprocess.CalledProcessError) as error:
        tags["commit"] = "not in git"
        if "safe.directory" in (getattr(error, "stderr", None) or ""):  # git's own hint, in every language
            trust = shlex.join(["git", "config", "--global", "--add", "safe.directory", str(WORKSPACE)])
            note_once(f"git does not read this folder, which is another user's, so the run does not say its commit; `{trust}` allows it")
    return tags


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=WORKSPACE, check=True, capture_output=True, text=True).stdout.strip()
