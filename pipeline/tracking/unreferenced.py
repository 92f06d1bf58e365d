"""Files that nothing refers to any more: what MLflow says of the trainings and networks to which they belong."""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from pipeline.dataset.files import lock_of, sha256
from pipeline.tracking.worktree import LIVE, OWNER, RESTORED
from pipeline.training.checkpoints import DESCRIPTION, FOLDER

if TYPE_CHECKING:  # the store's packages take seconds to import
    from pipeline.tracking.store import Store

PLOTS = "dvc_plots"  # which `dvc plots show` writes anew


@dataclass(frozen=True)
class Known:
    """What MLflow has: a training's or a bundle's key -> the states of its runs; of deleted ones the state is `deleted`."""

    trainings: dict[str, set[str]]
    bundles: dict[str, set[str]]
    runs: dict[str, set[str]]  # by id
    is_complete: bool  # nothing waits to be uploaded, so what is not there is nowhere

    @classmethod
    def of(cls, store: "Store", is_complete: bool) -> "Known":
        """Read the experiment's runs, deleted ones too."""
        from mlflow.entities import ViewType

        from pipeline.tracking.store import every

        known = cls({}, {}, {}, is_complete)
        for view in (ViewType.ACTIVE_ONLY, ViewType.DELETED_ONLY):
            for run in every(store.client.search_runs, experiment_ids=[store.experiment], run_view_type=view):
                known._add(run, "deleted" if view == ViewType.DELETED_ONLY else run.info.status.lower())
        return known

    def _add(self, run: Any, state: str) -> None:
        for found, key in ((self.trainings, "training"), (self.bundles, "bundle")):
            if key in run.data.tags:
                found.setdefault(run.data.tags[key], set()).add(state)
        self.runs.setdefault(run.info.run_id, set()).add(state)


@dataclass(frozen=True)
class Unreferenced:
    """A folder that can go."""

    path: Path
    why: str

    @property
    def bytes(self) -> int:
        """What it takes on disk; a file that has another link takes nothing."""
        return sum(size_of(Path(top) / name) for top, _, names in os.walk(self.path) for name in names)


def size_of(file: Path) -> int:
    """Return what is freed if a file is removed, in bytes; 0 for a missing one."""
    with suppress(OSError):
        found = file.lstat()
        return found.st_size if found.st_nlink == 1 else 0
    return 0


def unreferenced(home: Path, known: Known) -> list[Unreferenced]:
    """Return the folders of the project that can go; none that a process uses."""
    found = [*_checkpoints(home, known), *_live_runs(home, known), *_worktrees(home, known), *_plots(home)]
    return [item for item in found if not in_use(item.path)]


def in_use(folder: Path) -> bool:
    """Return whether a process holds the folder's lock, or one within it."""
    within = [FileLock(path, blocking=False) for path in folder.glob(".*.lock")]
    beside = [lock_of(folder, is_waiting=False)] if folder.with_name(f"{folder.name}.lock").exists() else []
    try:
        with ExitStack() as held:
            for lock in [*beside, *within]:
                held.enter_context(lock)
    except Timeout:
        return True
    return False


def _checkpoints(home: Path, known: Known) -> Iterator[Unreferenced]:
    """Yield the checkpoints of trainings that no command resumes; those of a killed or failed one are what it resumes from."""
    for folder in _folders(home / FOLDER):
        description = folder / DESCRIPTION
        if folder.name.endswith(".done"):
            yield Unreferenced(folder, "checkpoints of a training that has finished")
            continue
        with suppress(OSError, ValueError, KeyError):
            states = known.trainings.get(json.loads(description.read_text())["name"])
            if states is None and known.is_complete:
                yield Unreferenced(folder, "checkpoints of a training that MLflow does not know")
            elif states == {"finished"}:
                yield Unreferenced(folder, "checkpoints of a training that has finished")
            elif states == {"deleted"}:
                yield Unreferenced(folder, "checkpoints of a training whose run was deleted in MLflow")


def _live_runs(home: Path, known: Known) -> Iterator[Unreferenced]:
    for description in sorted((home / LIVE).glob("**/bundle/bundle.json")):
        if known.bundles.get(sha256(description)) == {"deleted"}:
            yield Unreferenced(description.parents[1], "a live run whose run was deleted in MLflow")


def _worktrees(home: Path, known: Known) -> Iterator[Unreferenced]:
    for folder in _folders(home / RESTORED):
        if (folder / OWNER).exists() and known.runs.get((folder / OWNER).read_text(), {"deleted"}) == {"deleted"}:
            yield Unreferenced(folder, "a restored worktree whose run was deleted in MLflow")


def _plots(home: Path) -> Iterator[Unreferenced]:
    if (home / PLOTS).is_dir():
        yield Unreferenced(home / PLOTS, "DVC's page of plots, which `dvc plots show` writes anew")


def _folders(parent: Path) -> Iterable[Path]:
    return sorted(path for path in parent.iterdir() if path.is_dir() and not path.is_symlink()) if parent.is_dir() else ()
