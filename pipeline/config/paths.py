"""Where a stage reads and writes: DVC's outs inside `dvc repro`, a folder of its own in a live run."""

import os
import re
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

WORKSPACE = Path(__file__).resolve().parents[2]  # in a queued experiment: DVC's copy of the project

# What crosses stages, and where DVC's out of it lies.
OUTS = {
    "raw": "data/raw",
    "prepared": "data/prepared",
    "bundle": "bundle",
    "reports": "reports",
    "pictures": "reports/pictures",
    "film": "reports/film",  # apart from the pictures, as DVC's plots know no WebP
}
PAGES = {  # outs that are one file
    "data_report": "reports/data.html",
    "contact_sheet": "reports/contact_sheet.png",
    "walk": "reports/walk.html",
}


@dataclass(frozen=True)
class Job:
    """One job of Hydra's multirun. sweep: its name; sweep_id: that of no other. varied: its overrides that not all jobs have."""

    sweep: str
    sweep_id: str
    number: int
    varied: tuple[str, ...]


@dataclass(frozen=True)
class Places:
    """live: the folder of a live run, or None inside DVC. typed: the overrides by which a person asked for it. job: of a sweep."""

    live: Path | None
    typed: Sequence[str] = ()
    job: Job | None = None

    @property
    def home(self) -> Path:
        """The project's root, also from DVC's copy of it: the store, downloads and checkpoints live here."""
        return Path(os.environ.get("DVC_ROOT", WORKSPACE))

    def source(self, name: str) -> Path:
        """Return the path to read: what this live run made itself, else DVC's out."""
        if self.live and (self.live / name).exists():
            return self.live / name
        return WORKSPACE / OUTS[name]

    def beside(self, name: str, other: str) -> Path:
        """Return the path to read `name` from such that it belongs to `other`: both of this live run, or both not."""
        return self.live / name if self.live and (self.live / other).exists() else self.source(name)

    def target(self, name: str) -> Path:
        """Return the folder to write to, emptied of what an earlier run left; another stage's out within it stays."""
        folder = self.live / name if self.live else WORKSPACE / OUTS[name]
        folder.mkdir(parents=True, exist_ok=True)
        others = {WORKSPACE / place for place in (OUTS | PAGES).values()}
        for path in set(folder.iterdir()) - others:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        return folder

    def page(self, name: str) -> Path:
        """Return the path to write an out to that is one file."""
        path = self.live / Path(PAGES[name]).name if self.live else WORKSPACE / PAGES[name]
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def show(self, path: Path) -> str:
        """Return a path as a person in the project's root would type it in a shell."""
        root = next((root for root in (WORKSPACE, self.home) if path.is_relative_to(root)), None)
        return shlex.quote(str(path.relative_to(root) if root else path))

    @property
    def naming(self) -> str:
        """The override that gives another command this live run's folder, as a person would type it; Hydra wants a quote of its own."""
        [folder] = shlex.split(self.show(self.live or WORKSPACE))
        if re.fullmatch(r"[\w./-]+", folder):
            return f"hydra.run.dir={folder}"
        inner = folder.replace("'", r"\'")
        return shlex.quote(f"hydra.run.dir='{inner}'")
