"""How fast the train stage is, beside a bare loop and the usual way, each a command of its own: in benchmarks/README.md.

python -m benchmarks.training BARE [--seconds 10] [--rounds 3] [--only lenet resnet20]      BARE is the bare loop's script

All take the same network, random images, batch, augmentation, precision and threads. The stage runs in a copy of the project with
MLflow, pictures and checkpoints, and with the workers and the layout that `tune` writes there; its time is from the end of the first
epoch to the end of the last, with all that lies between epochs, and its validation split is ten images. The bare loop has no epochs."""

import argparse
import importlib
import inspect
import json
import math
import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.page import publish
from pipeline.config.compose import compose, parse, resolved
from pipeline.config.splits import SPLITS
from pipeline.dataset.manifest import Manifest, made_from
from pipeline.tracking.events import waiting
from tests.project import Project, cloned, environment

BATCH = 128  # images
CLASSES = 10
OTHERS = 10  # images of the validation and the test split, whose time counts as training's
THREADS = os.cpu_count() or 1
LIBRARIES = ("python", "-c", "import torch, lightning, mlflow, albumentations")
OURS, BARE, USUAL, START, IMPORTS = "train stage", "bare loop", "usual way", "first step", "imports"
IS_GPU = torch.cuda.is_available()


@dataclass(frozen=True)
class Case:
    """One network on images of one size."""

    model: str  # of conf/model
    size: int  # pixels, height = width
    images: int  # of an epoch, which takes seconds
    is_augmented: bool = False
    is_usual: bool = False  # whether the usual way is timed too
    rates: dict[str, list[float]] = field(default_factory=dict)  # images per second, or seconds, of each round

    @property
    def name(self) -> str:
        return f"{self.model} {self.size}x{self.size}{', augmented' if self.is_augmented else ''}{', bf16 on the GPU' if IS_GPU else ''}"

    def keep(self, what: str, value: float) -> None:
        self.rates.setdefault(what, []).append(value)
        print(f"{self.name}: {what} {value:,.1f}", file=sys.stderr, flush=True)

    def overrides(self) -> list[str]:
        """Return what makes the stage do what the bare loop does."""
        words = ["dataset=cifar10", f"resize.size={self.size}", f"model={self.model}", "augmentation=none", "optimizer=sgd"]
        words += [
            "optimizer.lr=0.001",
            "optimizer.nesterov=false",
            "optimizer.weight_decay=0",
            f"training.batch_size={BATCH}",
            f"training.threads={THREADS}",
        ]
        if self.is_augmented:
            padded = self.size + 2 * max(1, self.size // 10)
            pad = f"{{_target_: albumentations.PadIfNeeded, min_height: {padded}, min_width: {padded}}}"
            crop = f"{{_target_: albumentations.RandomCrop, height: {self.size}, width: {self.size}}}"
            transforms = {"pad": pad, "crop": crop, "flip": "{_target_: albumentations.HorizontalFlip, p: 0.5}"}
            words += [f"+augmentation.transforms.{name}={node}" for name, node in transforms.items()]
        return [*words, "training.precision=bf16-mixed"] if IS_GPU else words


CASES = (
    (Case("resnet18", 32, 51_200, True),)
    if IS_GPU
    else (
        Case("lenet", 32, 25_600, is_usual=True),
        Case("lenet", 32, 25_600, True, is_usual=True),
        Case("resnet20", 32, 5_120, True),
        Case("vgg11_bn", 64, 1_280, True),
    )
)


def prepare(case: Case, project: Project) -> None:
    """Put random images where the project's prepared ones lie."""
    cfg = parse(resolved(compose(project.root / "conf", case.overrides())))
    folder, rng = project.root / "data" / "prepared", np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    counts = dict.fromkeys(SPLITS, OTHERS) | {"train": case.images}
    for split, count in counts.items():
        np.save(folder / f"{split}.npy", rng.integers(0, 255, (count, case.size, case.size, 3), np.uint8))
        np.save(folder / f"{split}_labels.npy", np.arange(count) % CLASSES)
    classes = cfg.dataset.classes or []
    each = {split: dict.fromkeys(classes, count // CLASSES) for split, count in counts.items()}
    shape, half, quarter = (case.size, case.size, 3), [0.5] * 3, [0.25] * 3
    made = made_from(cfg)
    Manifest(cfg.dataset.name, classes, shape, "stretch", half, quarter, each, 0, 0, "random", made).write(folder)


def network(case: Case, project: Project) -> tuple[str, dict[str, Any]]:
    """Return the class's dotted name and its arguments, as the stage gives them."""
    node = resolved(compose(project.root / "conf", case.overrides()))["model"]
    target = node["_target_"]
    module, _, name = target.rpartition(".")
    takes = inspect.signature(getattr(importlib.import_module(module), name)).parameters
    given = {"in_channels": 3, "num_classes": CLASSES, "image_size": case.size}
    options = {key: value for key, value in node.items() if key not in ("name", "_target_")}
    return target, {key: value for key, value in given.items() if key in takes} | options


def answer(project: Project, *command: str) -> float:
    """Run a command that prints images per second as JSON, in the last line."""
    ran = subprocess.run(command, cwd=project.root, env=environment(), capture_output=True, text=True)
    if ran.returncode:
        raise SystemExit(ran.stdout + ran.stderr)
    return float(json.loads(ran.stdout.splitlines()[-1])["images_per_second"])


def bare(case: Case, project: Project, script: Path, seconds: float) -> float:
    """Return the best of the bare loop's set-ups."""
    target, kwargs = network(case, project)
    words = [sys.executable, str(script), "--network", ":".join(target.rsplit(".", 1)), "--kwargs", json.dumps(kwargs)]
    words += ["--size", str(case.size), "--images", str(case.images), "--batch", str(BATCH), "--threads", str(THREADS)]
    words += ["--seconds", str(seconds), *["--augment"] * case.is_augmented, *["--bf16"] * IS_GPU]
    return answer(project, *words)


def ours(case: Case, project: Project, epochs: int) -> tuple[float, float]:
    """Run the train stage; return its images per second, and the seconds from the command to its first step."""
    start = time.time()
    project.ok("python", "-m", "pipeline.stage.train", *case.overrides(), f"training.epochs={epochs}")
    while waiting(project.root):  # the next command has the machine to itself
        time.sleep(0.1)
    newest = "SELECT run_uuid FROM runs ORDER BY start_time DESC LIMIT 1"
    with sqlite3.connect(project.root / "mlflow.db") as store:
        told = f"SELECT timestamp, value FROM metrics WHERE key = 'epoch_seconds' AND run_uuid = ({newest}) ORDER BY step"
        rows = store.execute(told).fetchall()
    ends = [milliseconds / 1000 for milliseconds, _ in rows]
    assert len(ends) == epochs, f"{len(ends)} epochs are in MLflow, {epochs} were trained"
    return case.images * (epochs - 1) / (ends[-1] - ends[0]), ends[0] - rows[0][1] - start


def usual(case: Case, project: Project, epochs: int) -> float:
    target, kwargs = network(case, project)
    prepared = project.root / "data" / "prepared"
    words = (target, json.dumps(kwargs), prepared, epochs, BATCH, THREADS, case.is_augmented)
    return answer(project, sys.executable, "-m", "benchmarks.usual", *map(str, words))


def imports(project: Project) -> float:
    start = time.perf_counter()
    project.ok(*LIBRARIES)
    return time.perf_counter() - start


def measure(case: Case, project: Project, script: Path, seconds: float, rounds: int) -> None:
    """Fill the case's rates, in alternating rounds."""
    prepare(case, project)
    print(project.ok("python", "-m", "pipeline.command.tune", "--also", "layout", *case.overrides()).output, file=sys.stderr, flush=True)
    for _ in range(rounds):
        case.keep(BARE, bare(case, project, script, seconds))
        epochs = 2 + math.ceil(seconds * case.rates[BARE][0] / case.images)
        rate, start = ours(case, project, epochs)
        case.keep(OURS, rate)
        case.keep(START, start)
        case.keep(IMPORTS, imports(project))
        if case.is_usual:
            case.keep(USUAL, usual(case, project, epochs))


def row(case: Case) -> str:
    """Return the case's row of the table: medians, and the ratios of the rounds."""
    found = {what: statistics.median(values) for what, values in case.rates.items()}
    start = [first - imported for first, imported in zip(case.rates[START], case.rates[IMPORTS], strict=True)]
    cells = [case.name, f"{found[OURS]:,.0f}", f"{found[BARE]:,.0f}", ratio(case, BARE)]
    cells += [f"{found[USUAL]:,.0f}", ratio(case, USUAL)] if case.is_usual else ["", ""]
    return f"| {' | '.join(cells)} | {found[START]:.1f} | {statistics.median(start):+.1f} |"


def ratio(case: Case, other: str) -> str:
    ratios = [mine / theirs for mine, theirs in zip(case.rates[OURS], case.rates[other], strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def machine() -> str:
    if IS_GPU:
        return f"one {torch.cuda.get_device_name()}, torch {torch.__version__}"
    names = [line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return f"{THREADS} cores of {names[0] if names else platform.machine()}, torch {torch.__version__}, Python {platform.python_version()}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("bare", type=Path, help="script of the bare loop")
    parser.add_argument("--seconds", type=float, default=10, help="of each of the bare loop's set-ups, and of the stage (default: 10)")
    parser.add_argument("--rounds", type=int, default=3, help="of alternating commands (default: 3)")
    parser.add_argument("--only", nargs="+", default=[], metavar="MODEL", help="networks by their names in conf/model (default: all)")
    given = parser.parse_args()
    cases = [case for case in CASES if not given.only or case.model in given.only]
    with tempfile.TemporaryDirectory() as folder:
        project = cloned(Path(folder) / "project")
        for case in cases:
            measure(case, project, given.bare.resolve(), given.seconds, given.rounds)
    told = (
        f"Images per second in batches of {BATCH} on {THREADS} threads; {machine()}. Medians of {given.rounds} alternating rounds of "
        f"about {given.seconds:g} s, and the rounds' ratios. First step: seconds after the command, and beyond what a process of its own "
        "takes to import torch, lightning, mlflow and albumentations."
    )
    head = "| network | train stage | bare loop | ratio | usual way | ratio | first step | beyond the imports |"
    lines = [told, "", head, "|---|---|---|---|---|---|---|---|", *map(row, cases)]
    publish("Training", "python -m benchmarks.training BARE", "\n".join(lines))


if __name__ == "__main__":
    main()
