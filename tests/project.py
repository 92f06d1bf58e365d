"""A project of its own for a test: a clone of the working tree with sixty generated images, and the commands that people type."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
CLASSES = ("circle", "square", "stripes")
EACH = 20  # images per class
HALF_WRITTEN = "Expecting value: line 1 column 1 (char 0)"  # json's words for an empty file
STARTING = 15  # looks at a queue, a second or more each, in which its workers have started


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    output: str

    @property
    def stages(self) -> list[str]:
        """The stages that ran, in order."""
        return re.findall(r"Running stage '(\w+)'", self.output)


class Project:
    """programs: a folder that stands first on the PATH of its commands (tests/warm.py)."""

    def __init__(self, root: Path, programs: Path | None = None) -> None:
        self.root, self.programs = root, programs

    def run(self, *command: str, timeout: float = 300, **variables: str) -> Ran:
        """Run a command in the project as a shell with its environment would."""
        variables = environment(self.programs) | variables
        done = subprocess.run(
            command, cwd=self.root, env=variables, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL
        )
        return Ran(done.returncode, done.stdout + done.stderr)

    def ok(self, *command: str, **variables: str) -> Ran:
        """Run a command that must succeed."""
        ran = self.run(*command, **variables)
        assert ran.code == 0, ran.output
        return ran

    def repro(self, *arguments: str) -> Ran:
        return self.ok("dvc", "repro", *arguments)

    def exp_run(self, *overrides: str) -> Ran:
        return self.ok("dvc", "exp", "run", *(word for override in overrides for word in ("-S", override)))

    def queue(self, *values: str) -> Ran:
        """Queue experiments, run them with two workers, wait; what the last one and the queueing said, with its stages."""
        queued = self.ok("dvc", "exp", "run", "--queue", *(word for value in values for word in ("-S", value))).output
        self.start_queue()
        deadline = time.monotonic() + 900
        status, without = "Queued", 0
        while time.monotonic() < deadline and ("Queued" in status or "Running" in status):
            time.sleep(1)
            status = self.status_of_queue()
            without = without + 1 if "Queued" in status and "0 active, 0 idle" in status else 0
            if without == STARTING:  # DVC's workers die of a message that they read while it is written
                self.start_queue()
        tasks = [line.split()[0] for line in status.splitlines() if "Success" in line or "Failed" in line]
        logs = [self.ok("dvc", "queue", "logs", task) for task in tasks]
        assert "Failed" not in status, "\n".join(log.output for log in logs)
        return Ran(0, f"{queued}{logs[-1].output}\n{len(logs)} tasks succeeded")

    def status_of_queue(self) -> str:
        """Return DVC's table of the queue; a look that meets a message which is just being written fails, and the next one does not."""
        looked = self.run("dvc", "queue", "status")
        for _ in range(10):
            if looked.code == 0 or HALF_WRITTEN not in looked.output:
                break
            time.sleep(1)
            looked = self.run("dvc", "queue", "status")
        assert looked.code == 0, looked.output
        return looked.output

    def start_queue(self) -> None:
        """Start two workers; they have no pipe to this process, for whose end it would wait."""
        nowhere = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(("dvc", "queue", "start", "-j", "2"), cwd=self.root, env=environment(self.programs), check=True, **nowhere)

    def live(self, stage: str, *overrides: str) -> Ran:
        return self.run("python", "-m", f"pipeline.stage.{stage}", *overrides)

    def read(self, path: str) -> str:
        return (self.root / path).read_text()

    def write(self, path: str, text: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def edit(self, path: str, old: str, new: str) -> None:
        """Change the one place where `old` stands."""
        text = self.read(path)
        assert text.count(old) == 1, f"{path} has {old!r} {text.count(old)} times"
        self.write(path, text.replace(old, new))

    def param(self, key: str) -> object:
        from pipeline.config.compose import read_yaml
        from pipeline.config.tree import get

        return get(read_yaml(self.root / "params.yaml"), key)

    def commit(self, message: str = "work") -> None:
        self.ok("git", "add", "-A")
        self.ok("git", "commit", "-qm", message)

    def copy(self, to: Path) -> "Project":
        shutil.copytree(self.root, to, symlinks=True)
        return Project(to, self.programs)


def environment(programs: Path | None = None) -> dict[str, str]:
    """Return the environment of a person who has activated .venv, without what a surrounding run of DVC set."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "MLFLOW_", "PYTEST_"))}
    path = os.pathsep.join(str(folder) for folder in (programs, Path(sys.executable).parent, kept["PATH"]) if folder)
    quiet = {"DVC_NO_ANALYTICS": "1", "MLFLOW_DISABLE_TELEMETRY": "true", "OMP_NUM_THREADS": "1"}
    person = {f"GIT_{role}_{what}": "a@b.c" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    return kept | quiet | person | {"PATH": path}


def cloned(to: Path, programs: Path | None = None) -> Project:
    """Clone the working tree, what is not committed included, without DVC's data."""
    command = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)
    project = Project(to, programs)
    (to / "data" / "own").mkdir(parents=True)
    project.ok("git", "init", "-q", "-b", "main")
    project.commit("clone")
    return project


def small_project(to: Path, programs: Path | None = None) -> Project:
    """Clone the project and make its baseline small: sixty images of three classes, 16x16, one epoch."""
    project = cloned(to, programs)
    draw_images(to / "data" / "own")
    make_small(project)
    project.commit("small")
    return project


def make_small(project: Project) -> None:
    project.edit("conf/config.yaml", "dataset: digits", "dataset: folder")
    project.edit("conf/dataset/folder.yaml", "defaults: [/own_photos@_global_, _self_]\n", "")  # these images are no photos
    project.edit("conf/training/default.yaml", "epochs: 30", "epochs: 1")
    project.edit("conf/resize/stretch.yaml", "size: 32", "size: 16")
    project.edit("conf/dataset/folder.yaml", "validation: 0.1", "validation: 0.25")
    project.edit("conf/dataset/folder.yaml", "test: 0.2 #", "test: 0.25 #")
    project.edit("conf/explain/default.yaml", "images: 3 #", "images: 1 #")


def draw_images(folder: Path, each: int = EACH) -> None:
    """Draw circles, squares and stripes of changing size, place and colour; photos of changing width and height."""
    rng = np.random.default_rng(0)
    for name in CLASSES:
        (folder / name).mkdir(parents=True)
        for i in range(each):
            Image.fromarray(picture(name, rng)).save(folder / name / f"{i:02}.png")


def picture(name: str, rng: np.random.Generator) -> np.ndarray:
    """Return one (H, W, 3) image."""
    height, width = rng.integers(24, 49, 2)
    y, x = np.mgrid[:height, :width]
    row, column, radius = height / 2 + rng.integers(-3, 4), width / 2 + rng.integers(-3, 4), rng.integers(6, 11)
    inside = {
        "circle": (y - row) ** 2 + (x - column) ** 2 < radius**2,
        "square": np.maximum(abs(y - row), abs(x - column)) < radius,
        "stripes": (y + rng.integers(6)) % 6 < 3,
    }[name]
    colours = rng.integers(0, 90, 3), rng.integers(160, 256, 3)
    image = np.where(inside[..., None], colours[1], colours[0]) + rng.integers(-15, 16, (height, width, 3))
    return np.clip(image, 0, 255).astype(np.uint8)


def wait_for(port: int) -> None:
    """Wait until a server listens on this machine."""
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError(f"nothing listens at port {port} after a minute")


def gone(process: psutil.Process, seconds: float) -> bool:
    """Tell whether a process ends in that time; also one that nobody takes note of, as an orphan in a container whose first process
    does not, is at its end."""
    end = time.monotonic() + seconds
    with suppress(psutil.NoSuchProcess):
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            if time.monotonic() > end:
                return False
            time.sleep(0.02)
    return True
