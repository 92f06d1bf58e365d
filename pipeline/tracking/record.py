"""What a run has logged of its origin, read from MLflow, and how that compares with what is here."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from pipeline.config.compose import read_yaml
from pipeline.config.errors import DataError
from pipeline.config.tree import Tree
from pipeline.tracking.comparison import TrackedRun
from pipeline.tracking.provenance import code_tags
from pipeline.tracking.run import PATCH

if TYPE_CHECKING:  # the store's packages take seconds to import
    from pipeline.tracking.store import Store

OF_PROCESS = ("python", "torch", "machine", "device")  # tags on which the same bits depend beside the packages


@dataclass(frozen=True)
class Record:
    """A run with the files that it logged. None: it logged no such file."""

    run: TrackedRun
    config: Tree
    lock: bytes | None  # dvc.lock
    patch: bytes | None  # of what was not committed
    packages: dict[str, str]  # name -> version; empty where they were not logged
    test: dict[str, float]  # test metrics
    is_local: bool = True  # read from a database on this machine, which only its users write to

    @property
    def commit(self) -> str:
        """The git commit. Raises DataError for a run without one."""
        commit = self.run.tags.get("commit", "")
        if not re.fullmatch(r"[0-9a-f]{40,64}", commit):
            raise DataError(f"the run {self.run.name} does not say its commit ({commit or 'no tag'}), so there is no code to restore")
        return commit

    @property
    def tta(self) -> str | None:
        """The test-time augmentation of the logged test metrics; None: that of the config."""
        tta = self.run.tags.get("tta", "")
        return tta if re.fullmatch(r"\w+", tta) else None

    @property
    def unknown_changes(self) -> str:
        """Why the code may differ from what is restored; "" where it does not."""
        tags = self.run.tags
        if self.run.restored:
            return "the run was recreated from its bundle, by code of a later moment perhaps"
        if why := tags.get("changes_not_logged"):
            return f"the run's changes that were not committed are not logged, as {why}"
        if tags.get("dirty") == "true" and self.patch is None:
            return "the run's code had changes that were not committed, and it logged no patch of them"
        return ""


def record_of(store: "Store", run: TrackedRun) -> Record:
    """Read what a run logged. Raises DataError for one without a config."""
    from pipeline.tracking.relocation import file_of

    with TemporaryDirectory() as folder:
        place = Path(folder)
        config, lock, patch, packages = (_file(store, run, name, place) for name in ("config.yaml", "dvc.lock", PATCH, "packages.txt"))
        if config is None:
            raise DataError(
                f"the run {run.name} has no config.yaml in MLflow, by which it would be restored; if it is still being uploaded, "
                "`python -m pipeline.command.sync` does so"
            )
        tree = read_yaml(config)
        test = {name: value for name, value in store.client.get_run(run.id).data.metrics.items() if name.startswith("test/")}
        listed = dict(line.split("==", 1) for line in packages.read_text().splitlines() if "==" in line) if packages else {}
        return Record(
            run,
            tree,
            lock.read_bytes() if lock else None,
            patch.read_bytes() if patch else None,
            listed,
            test,
            file_of(store.uri) is not None,
        )


def _file(store: "Store", run: TrackedRun, name: str, folder: Path) -> Path | None:
    from mlflow.exceptions import MlflowException

    try:
        path = Path(store.client.download_artifacts(run.id, name, str(folder)))
    except (MlflowException, OSError):
        return None
    return path if path.is_file() else None


def environment_here() -> tuple[dict[str, str], dict[str, str]]:
    """Return this process's tags and its packages, as a run logs them."""
    return code_tags(), {found.name: found.version for found in distributions()}


def environment_differences(record: Record, tags: Mapping[str, str], packages: Mapping[str, str]) -> list[str]:
    """Return `name then (here now)` for each difference that the run's record shows, those that change bits first.

    tags, packages: of the environment here."""
    then = {name: record.run.tags[name] for name in OF_PROCESS if name in record.run.tags}
    told = [_told(name, value, tags.get(name)) for name, value in then.items() if value != tags.get(name)]
    before, now = _named(record.packages), _named(packages)
    names = sorted(before.keys() | now.keys() if before else [])
    return told + [_told(name, before.get(name), now.get(name)) for name in names if before.get(name) != now.get(name) and name not in then]


def _named(packages: Mapping[str, str]) -> dict[str, str]:
    """Return the packages under names that are spelled alike everywhere (PEP 503)."""
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in packages.items()}


def _told(name: str, then: str | None, now: str | None) -> str:
    return f"{name} {then or 'none'} (here {now or 'none'})"


def unequal(logged: Mapping[str, float], found: Mapping[str, float]) -> list[str]:
    """Return a sentence for each logged metric whose value found now differs, if only in the last bit, or is missing."""
    told = []
    for name, value in sorted(logged.items()):
        if (now := found.get(name)) is None:
            told.append(f"{name} was {value!r} and is not measured now")
        elif now != value:
            told.append(f"{name} was {value!r}, is {now!r}: {now - value:+.3g}")
    return told
