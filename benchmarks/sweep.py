"""What a sweep costs beside its trainings, and what a second worker brings: in benchmarks/README.md.

python -m benchmarks.sweep    (needs the prepared digits: dvc repro resize)"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.page import publish
from pipeline.search.storage import Storage
from pipeline.search.sweep import Sweep

ROOT = Path(__file__).resolve().parents[1]
TRIALS, FEW, MANY = 8, 2, 12  # trials of a sweep; epochs of short and of long ones
ROUNDS = 3  # alternating, so that a busy moment hits all
POINTS = ("model=lenet", "training.threads=1", "augmentation=none", "optimizer.lr=tag(log,interval(1e-4,1e-2))")


def seconds(folder: Path, epochs: int, workers: int, turn: int) -> float:
    """Run a sweep; return the time from the start of its first trial to the end of its last, without that of the command."""
    name, url = f"benchmark-{epochs}-{workers}-{turn}", f"sqlite:///{folder / 'sweeps.db'}"
    start = ["--storage", url, "start", name, "--sampler", "random", "--seed", str(turn)]
    words = [*start, "--trials", str(TRIALS), "--workers", str(workers), *POINTS, f"training.epochs={epochs}", f"seed={turn}"]
    environment = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}"}
    subprocess.run([sys.executable, "-m", "pipeline.command.sweep", *words], cwd=ROOT, check=True, capture_output=True, env=environment)
    shutil.rmtree(ROOT / "runs" / name)
    trials = Sweep.open(Storage(url), name).study.trials
    ends, starts = ([getattr(trial, moment) for trial in trials] for moment in ("datetime_complete", "datetime_start"))
    return (max(ends) - min(starts)).total_seconds()


def main() -> None:
    kinds = [(FEW, 1), (MANY, 1), (MANY, 2)]
    with tempfile.TemporaryDirectory() as folder:
        rounds = [[seconds(Path(folder), *kind, turn) for kind in kinds] for turn in range(ROUNDS)]
    epochs = [(long - short) / (MANY - FEW) / TRIALS for short, long, _ in rounds]
    overheads = [short / TRIALS - FEW * epoch for (short, _, _), epoch in zip(rounds, epochs, strict=True)]
    gains = [one / two for _, one, two in rounds]
    lines = [
        f"LeNet on digits with one thread, {TRIALS} trials, MLflow included; medians of {ROUNDS} alternating rounds, least and most in "
        f"parentheses. The overhead is what {FEW} and {MANY} epochs say of none: a process, the config, the images, the bundle.",
        "",
        "| | | goal |",
        "|---|---|---|",
        f"| an epoch, seconds | {_spread(epochs)} | |",
        f"| overhead of a trial, seconds | {_spread(overheads)} | 1 |",
        f"| two workers against one, times | {_spread(gains)} | 1.8 |",
    ]
    publish("What a sweep costs", "python -m benchmarks.sweep", "\n".join(lines))


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    main()
