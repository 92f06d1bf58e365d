"""Atomic per-epoch checkpoints from which a killed training resumes.

They are stored in checkpoints/<key>/ under the project's root, not in a DVC out, which DVC deletes before a stage runs. The key is a
hash of the training's identity, everything that its result depends on: a command finds the checkpoints of its own training only."""

import hashlib
import json
import os
import pickle
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import Any

import torch
from filelock import Timeout

from pipeline.config.atomic import replace
from pipeline.config.compose import read_yaml
from pipeline.config.errors import BusyError, DataError, RankError, Stopped
from pipeline.config.paths import OUTS, WORKSPACE
from pipeline.config.schema import Config
from pipeline.config.tree import get, with_order
from pipeline.dataset.files import lock_of, remove_old, sha256
from pipeline.training.device import kind_of_device

FOLDER = "checkpoints"  # below the project's root
KEPT = 2  # checkpoints: the newest, and the one before in case the newest is damaged
DESCRIPTION = "training.json"  # name and identity

Identity = dict[str, Any]  # plain types: it is written as JSON


class Checkpoints:
    """The checkpoints of one training, in a folder that this process has locked.

    name: random, and the same for all starts of this training, so that later ones resume its MLflow run.
    is_read_only: for ranks other than 0, which read the folder that rank 0 has locked; these have no name."""

    def __init__(self, folder: Path, identity: Identity, is_read_only: bool = False) -> None:
        self.folder = folder
        self.identity = identity
        if is_read_only:
            return
        folder.mkdir(parents=True, exist_ok=True)
        for unfinished in folder.glob("*.partial"):
            unfinished.unlink()
        description = folder / DESCRIPTION
        if not description.exists():
            replace(description, json.dumps({"name": os.urandom(8).hex(), "identity": identity}, indent=2), durable=True)
        self.name: str = json.loads(description.read_text())["name"]

    def path_of(self, epoch: int) -> Path:
        """Return the path of the checkpoint after `epoch` epochs."""
        return self.folder / f"epoch-{epoch:06}.ckpt"

    def latest(self) -> Path | None:
        """Return the newest intact checkpoint, with a note on stderr for each damaged one; None: there is none."""
        for path in self._newest_first():
            try:
                _verify_checksum(path)
            except DataError as error:
                print(f"note: {error}; the one before is used, or the beginning", file=sys.stderr)
            else:
                return path
        return None

    def save(self, state: dict[str, Any], path: Path) -> None:
        """Write a state and its checksum atomically, then remove all but the newest KEPT. Raises OSError; older checkpoints stay intact."""
        partial = path.with_suffix(".partial")
        try:
            with partial.open("wb") as file:
                torch.save(state | {"identity": self.identity}, file)
                file.flush()
                os.fsync(file.fileno())
            replace(_checksum(path), sha256(partial), durable=True)
            partial.replace(path)
        except (OSError, RuntimeError) as error:
            for unfinished in (partial, _checksum(path)):
                unfinished.unlink(missing_ok=True)
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None  # torch raises a RuntimeError about a file position, not that the disk is full
            raise
        _sync_folder(self.folder)
        for old in self._newest_first()[KEPT:]:
            _remove(old)

    def load(self, path: Path) -> dict[str, Any]:
        """Return a saved state, loaded without running code from it. Raises DataError if it is damaged or another training's."""
        _verify_checksum(path)
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError:
            raise DataError(f"{path} is no checkpoint of ours: it holds more than tensors and plain values; none of it was run") from None
        other = state.pop("identity")
        if other != self.identity:
            differing = ", ".join(_differences(self.identity, other))
            raise DataError(
                f"{path} belongs to another training: it differs in {differing}. Remove {path.parent} to train from the beginning"
            )
        return state

    def newest_epoch(self) -> int | None:
        """Return the epoch of the newest checkpoint, intact or not; None: there is none."""
        newest = next(iter(self._newest_first()), None)
        return int(newest.stem.removeprefix("epoch-")) if newest else None

    def _newest_first(self) -> list[Path]:
        return sorted(self.folder.glob("epoch-*.ckpt"), reverse=True)


@contextmanager
def checkpoints_of(identity: Identity, home: Path, keep: float, is_shared: bool = False) -> Iterator[Checkpoints]:
    """Lock the folder of this training's checkpoints, and remove it once the training has succeeded.

    home: the project's root. keep: days after which checkpoints of unfinished trainings are removed.
    is_shared: with other ranks, which find the folder by the identity alone. Raises BusyError if that folder is locked."""
    trainings = home / FOLDER
    trainings.mkdir(parents=True, exist_ok=True)
    with ExitStack() as locks:
        folder = _lock_folder(trainings, identity, locks, is_shared)
        remove_old(trainings, keep)
        checkpoints = Checkpoints(folder, identity)
        try:
            yield checkpoints
        except (Stopped, RankError) as stopped:
            if epoch := checkpoints.newest_epoch():
                stopped.then = f"the same command resumes after epoch {epoch}"
            raise
        _remove_folder(folder)


def checkpoints_of_rank_0(identity: Identity, home: Path) -> Checkpoints:
    """Return this training's checkpoints for a rank other than 0, read-only. home: the project's root."""
    return Checkpoints(home / FOLDER / key_of(identity), identity, is_read_only=True)


def identity_of(cfg: Config, nodes: Iterable[str], data_digest: str) -> Identity:
    """Return everything that decides a training's result, bit for bit. nodes: top-level keys of the config that do."""
    tree = with_order(asdict(cfg))  # JSON with sorted keys loses the order
    return {
        "config": {node: tree[node] for node in nodes},
        "data": data_digest,
        "code": code_digest(WORKSPACE),
        "torch": str(torch.__version__),
        "device": kind_of_device(),
    }


def key_of(identity: Identity) -> str:
    """Return the first 16 hexadecimal digits of an identity's sha256, which name the training's folder."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def code_digest(root: Path) -> str:
    """Return the sha256 over the paths and contents of the code whose change makes DVC retrain, 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for file in sorted(code_files(root)):
        digest.update(f"{file.relative_to(root)}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def code_files(root: Path) -> Iterator[Path]:
    """Yield the train stage's code deps in dvc.yaml (written by pipeline/command/deps.py), folders as their files."""
    for dep in get(read_yaml(root / "dvc.yaml"), "stages.train.deps"):
        if dep not in OUTS.values():
            yield from (root / dep).rglob("*.py") if (root / dep).is_dir() else [root / dep]


def _lock_folder(trainings: Path, identity: Identity, locks: ExitStack, is_shared: bool) -> Path:
    """Lock and return the first folder of this identity that is free: equal trainings may run at the same time."""
    key = key_of(identity)
    for n in range(1) if is_shared else count():
        folder = trainings / (f"{key}-{n}" if n else key)
        with suppress(Timeout):
            locks.enter_context(lock_of(folder, is_waiting=False))
            return folder
    raise BusyError("another process runs this same training, also on several devices; wait for it or stop it, then repeat")


def _remove_folder(folder: Path) -> None:
    """Remove a folder in one step: from a half-removed one, the training would resume under another name."""
    doomed = folder.with_name(f"{folder.name}.done")
    shutil.rmtree(doomed, ignore_errors=True)  # left by a process that was killed here
    folder.replace(doomed)
    shutil.rmtree(doomed)


def _remove(path: Path) -> None:
    for file in (path, _checksum(path)):
        file.unlink(missing_ok=True)


def _verify_checksum(path: Path) -> None:
    """Raise DataError for a checkpoint whose checksum is missing or differs."""
    checksum = _checksum(path)
    expected = checksum.read_text() if checksum.exists() else "a checksum beside it"
    if (found := sha256(path)) != expected:
        raise DataError(f"the checkpoint {path} is damaged: its sha256 is {found}, expected {expected}")


def _checksum(path: Path) -> Path:
    return path.with_suffix(".sha256")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _differences(ours: Any, theirs: Any, key: str = "") -> Iterator[str]:
    """Yield `key (here …, there …)` for each value that differs between two identities."""
    if not (isinstance(ours, dict) and isinstance(theirs, dict)):
        if ours != theirs:
            yield f"{key} (here {ours!r}, there {theirs!r})"
        return
    for name in sorted(ours.keys() | theirs.keys()):
        yield from _differences(ours.get(name), theirs.get(name), f"{key}.{name}" if key else name)
