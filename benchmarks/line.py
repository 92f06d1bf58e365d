"""The whole line, from the fetched files to the test accuracy, in a folder below runs/, its output in a log."""

import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STAGES = ("fetch", "resize", "train", "evaluate")
FOLDERS = {"MNIST": "mnist", "Fashion-MNIST": "fashion-mnist", "CIFAR-10, as JPEG": "cifar10", "cats and dogs": "cats-dogs"}


def run_line(log: Path, folder: str, told: Sequence[str], mirrors: Sequence[str]) -> float:
    """Run the stages; return the seconds of the train stage's command. Raises SystemExit where one fails.

    told: overrides that stand in the log; mirrors: others, that differ from machine to machine."""
    log.parent.mkdir(exist_ok=True)
    took = {}
    with log.open("w") as lines:
        for stage in STAGES:
            command = [sys.executable, "-m", f"pipeline.stage.{stage}", *told, *mirrors, f"hydra.run.dir={folder}"]
            lines.write(f"$ python -m pipeline.stage.{stage} {' '.join(told)}\n")
            start = time.perf_counter()
            with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
                for line in process.stdout or ():
                    print(line, end="", flush=True)
                    lines.write(line.replace(str(ROOT), ".").replace(str(given()), "IMAGE_DATA"))
            took[stage] = time.perf_counter() - start
            lines.write(f"({took[stage]:.0f} s)\n")
            if process.returncode:
                raise SystemExit(f"{log.stem}: {stage} ended with {process.returncode}")
    return took["train"]


def mirrors(data: str) -> Iterator[str]:
    """Yield the overrides by which the data comes from IMAGE_DATA."""
    if data == "cats and dogs":
        with tarfile.open(archives(data) / "cats-dogs.tar.gz") as archive:
            archive.extractall(ROOT / "data" / "own", filter="data")
    elif data in FOLDERS:
        yield f"dataset.sources.mirrors=[file://{archives(data)}]"


def archives(data: str) -> Path:
    return given() / FOLDERS[data]


def given() -> Path:
    return Path(os.environ["IMAGE_DATA"]).resolve()
