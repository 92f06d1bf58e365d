"""How long a wrong config takes to be refused, a kind at a time, as the commands that people type: in benchmarks/README.md.

python -m benchmarks.refusals"""

import resource
import shutil
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.page import publish

ROOT = Path(__file__).resolve().parents[1]
RUNS = 3
GOAL = 2.0  # seconds
REFUSED = 78  # exit code

NOT_NEEDED = (".venv", ".git", ".dvc", "data", "runs", "mlruns", "mlflow.db*", "downloads", "checkpoints", "bundle")

TRAIN = ("python", "-m", "pipeline.stage.train")
CONFIGURE = ("python", "-m", "pipeline.stage.configure")
SGD, LOCAL = "conf/optimizer/sgd.yaml", "conf/local/overrides.yaml"
HEAD = "# @package _global_\n"

CROP = "+augmentation.transforms.a={_target_: albumentations.RandomCrop, height: 8, width: 8}"
LIVE = {
    "unknown key": "optimizer.lrr=1",
    "unknown option of a group": "model=vgg99",
    "wrong type": "training.epochs=many",
    "out of range": "optimizer.lr=-1",
    "not a number": "optimizer.lr=.nan",
    "clash": "dataset.splits={train: a, test: a}",
    "not readable": "optimizer.lr=[1",
    "hostile target": "model._target_=os.system",
    "unknown option of a class": "++optimizer.lrr=1",
    "secret": "tracking.uri=postgresql://me:secret@db/mlflow",
    "wrong layer (needs torch)": "model.layers.conv1.kind=cnov",
    "image size too small (needs torch)": "resize.size=4",
    "loss that does not fit (needs torch)": "+loss.reduction=none",
    "transform that changes the shape (needs albumentations)": CROP,
}  # kind -> word of the command line

WRITTEN = {
    "unknown key in conf/": (LOCAL, HEAD + "trainig: {epochs: 3}\n"),
    "out of range in conf/": (LOCAL, HEAD + "optimizer: {lr: 0}\n"),
    "YAML that is none": (SGD, "name: [sgd\n"),
    "missing name": (SGD, "lr: 1\n"),
    "bomb": (SGD, "name: sgd\n" + "\n".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}' if i else 'x'] * 9)}]" for i in range(30))),
    "hostile target in conf/": (LOCAL, HEAD + "model: {_target_: os.system}\n"),
    "secret in conf/": (LOCAL, HEAD + "tracking: {uri: 'https://me:secret@db'}\n"),
    "image size in conf/ (needs torch)": (LOCAL, HEAD + "resize: {size: 4}\n"),
}  # kind -> file and its text


@dataclass(frozen=True)
class Times:
    """Seconds of several runs; other work on the machine lengthens the wall's and not the processor's."""

    wall: list[float]
    processor: list[float]

    def __str__(self) -> str:
        return f"{statistics.median(self.wall):.2f} | {max(self.wall):.2f} | {statistics.median(self.processor):.2f}"


def seconds(command: tuple[str, ...], root: Path, code: int) -> Times:
    """Run a command a few times; it must end with this exit code."""
    times = Times([], [])
    for _ in range(RUNS):
        start, before = time.perf_counter(), processor_seconds()
        done = subprocess.run(command, cwd=root, capture_output=True, text=True)
        times.wall.append(time.perf_counter() - start)
        times.processor.append(processor_seconds() - before)
        assert done.returncode == code, done.stdout + done.stderr
    return times


def processor_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def written(root: Path, path: str, text: str) -> Times:
    """Measure the configure stage with a file that is wrong; put back what stood there."""
    file = root / path
    before = file.read_text() if file.exists() else None
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    times = seconds(CONFIGURE, root, REFUSED)
    if before is None:
        file.unlink()
    else:
        file.write_text(before)
    return times


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "project"
        shutil.copytree(ROOT, root, ignore=shutil.ignore_patterns(*NOT_NEEDED))
        seconds(CONFIGURE, root, 0)
        torch = seconds(("python", "-c", "import torch"), root, 0)
        rows = {(kind, f"train {word.partition('=')[0]}=…"): seconds((*TRAIN, word), root, REFUSED) for kind, word in LIVE.items()}
        rows |= {(kind, f"configure, {path}"): written(root, path, text) for kind, (path, text) in WRITTEN.items()}
    every = Times(*([time for times in rows.values() for time in getattr(times, name)] for name in ("wall", "processor")))
    lines = [f"Seconds until a wrong config is refused, {RUNS} runs each; the goal is {GOAL:g} on the wall.", ""]
    lines += ["| what is wrong | command | median | most | processor, median |", "|---|---|---|---|---|"]
    lines += [f"| {kind} | `{command}` | {times} |" for (kind, command), times in rows.items()]
    lines += [f"| all {len(rows)} kinds | | {every} |", f"| for comparison: nothing | `python -c 'import torch'` | {torch} |"]
    publish("Refusals", "python -m benchmarks.refusals", "\n".join(lines))


if __name__ == "__main__":
    main()
