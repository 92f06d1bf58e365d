"""What tracking costs a training, pictures on: LeNet on digits and on Fashion-MNIST, in benchmarks/README.md.

IMAGE_DATA=FOLDER python -m benchmarks.tracking      FOLDER/fashion-mnist holds the original files; data/prepared the digits"""

import contextlib
import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from lightning.pytorch.loggers import MLFlowLogger

from benchmarks.page import publish
from pipeline.bundle import make_network
from pipeline.config.compose import compose, parse, resolved
from pipeline.config.schema import Config
from pipeline.dataset.manifest import Manifest
from pipeline.tracking.events import EventLog, waiting
from pipeline.tracking.run import Run, tracked_training
from pipeline.training.checkpoints import Checkpoints
from pipeline.training.fit import fit

ROOT = Path(__file__).resolve().parents[1]
CALLS = 300  # logged steps


class Untracked:
    def log_metrics(self, metrics: dict[str, float], step: int) -> None: ...

    def log_filters(self, weight: np.ndarray, step: int) -> None: ...

    def fail(self, reason: str) -> None: ...


def train(cfg: Config, prepared: Path, home: Path, is_tracked: bool) -> tuple[float, float]:
    """Return the seconds of a training from its first line to its last, the run's beginning and end included;
    and those until its run is complete in MLflow."""
    manifest = Manifest.read(prepared)
    torch.manual_seed(cfg.seed)
    network = make_network(cfg.model, manifest, cfg.training.input)
    tracked = tracked_training(cfg, manifest, home) if is_tracked else contextlib.nullcontext(Untracked())
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()), tracked as follower:
        fit(cfg, network, manifest, prepared, Checkpoints(home / "checkpoints" / os.urandom(4).hex(), {}), follower)
    end = time.perf_counter()
    while waiting(home):  # the next training has the machine to itself
        time.sleep(0.05)
    return end - start, time.perf_counter() - end


def compare(name: str, prepared: Path, home: Path, repeats: int, *overrides: str) -> str:
    """Return a table row; untracked and tracked trainings alternate."""
    cfg = parse(resolved(compose(ROOT / "conf", [*overrides, "model=lenet"])))
    torch.set_num_threads(cfg.training.threads)
    train(cfg, prepared, home, True)  # makes the store, warms the caches
    times: dict[bool, list[float]] = {False: [], True: []}
    later: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(repeats):
        for is_tracked in times:
            took, uploaded = train(cfg, prepared, home, is_tracked)
            times[is_tracked].append(took)
            later[is_tracked].append(uploaded)
            print(f"{name}: {'tracked' if is_tracked else 'untracked'} {took:.2f} s", file=sys.stderr, flush=True)
    ratios = [tracked / plain - 1 for plain, tracked in zip(times[False], times[True], strict=True)]
    plain, tracked = (statistics.median(found) for found in times.values())
    return (
        f"| {name}, {cfg.training.epochs} epochs | {plain:.2f} | {tracked:.2f} | {tracked / plain - 1:+.1%} | "
        f"{statistics.median(ratios):+.1%} ({min(ratios):+.1%} to {max(ratios):+.1%}, {repeats} pairs) | "
        f"{statistics.median(later[True]):.1f} |"
    )


def per_step(home: Path) -> tuple[float, float]:
    """Return the milliseconds that one logged step costs the training: ours, and Lightning's own MLFlowLogger."""
    run, stock = Run(EventLog(home)), MLFlowLogger("stock", tracking_uri=f"sqlite:///{home / 'stock.db'}")
    costs = []
    for log in (run.log_metrics, stock.log_metrics):
        log({"loss": 1.0}, 0)
        start = time.perf_counter()
        for step in range(1, CALLS):
            log({"loss": 1.0}, step)
        costs.append((time.perf_counter() - start) / (CALLS - 1) * 1000)
    run.events.close()
    return costs[0], costs[1]


def fashion_mnist() -> Path:
    """Fetch and resize Fashion-MNIST in a live run; return its prepared images."""
    mirrors = f"dataset.sources.mirrors=[file://{Path(os.environ['IMAGE_DATA']).resolve()}/fashion-mnist]"
    for stage in ("fetch", "resize"):
        command = [sys.executable, "-m", f"pipeline.stage.{stage}", "experiment=fashion_mnist", mirrors, "hydra.run.dir=runs/benchmark"]
        subprocess.run(command, cwd=ROOT, check=True)
    return ROOT / "runs" / "benchmark" / "prepared"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        rows = [
            compare("digits", ROOT / "data" / "prepared", home, 7, "training.epochs=30"),
            compare("Fashion-MNIST", fashion_mnist(), home, 3, "experiment=fashion_mnist", "training.epochs=3"),
        ]
        ours, stock = per_step(home)
    lines = ["LeNet, a training with its MLflow run (metrics, filters of every epoch, system metrics)"]
    lines[-1] += " beside the same without; wall seconds, medians, alternating."
    lines += [
        "",
        "| data | untracked | tracked | of the medians | of the pairs | complete in MLflow after |",
        "|---|---|---|---|---|---|",
        *rows,
        "",
    ]
    lines += [f"One logged step costs the training {ours:.3f} ms; by Lightning's own MLFlowLogger {stock:.1f} ms (sqlite, {CALLS} steps)."]
    publish("What tracking costs", "IMAGE_DATA=FOLDER python -m benchmarks.tracking", "\n".join(lines))


if __name__ == "__main__":
    main()
