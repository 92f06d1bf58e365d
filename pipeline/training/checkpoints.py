"""Atomic per-epoch checkpoints from which a killed training resumes.

They lie in checkpoints/<key>/ under the project's root, not in a DVC out, which DVC deletes before a stage runs. The key is a
hash of the training's identity, everything that its result depends on: the same command finds its checkpoints, and no other does."""

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
KEPT = 2  # the newest, and the one before should it be damaged
DESCRIPTION = "training.json"

Identity = dict[str, Any]  # plain types: it is written as JSON


class Checkpoints:
    """The checkpoints of one training, in a folder that no other process uses.

    name: shared by all starts of this training, so that later ones resume its MLflow run.
    is_reader: read only, for a rank that resumes with the process that holds the folder."""

    def __init__(self, folder: Path, identity: Identity, is_reader: bool = False) -> None:
        self.folder = folder
        self.identity = identity
        if is_reader:
            return
        folder.mkdir(parents=True, exist_ok=True)
        for unfinished in folder.glob("*.partial"):
            unfinished.unlink()
        description = folder / DESCRIPTION
        if not description.exists():
            replace(description, json.dumps({"name": os.urandom(8).hex(), "identity": identity}, indent=2), durable=True)
        self.name: str = json.loads(description.read_text())["name"]

    def place(self, epoch: int) -> Path:
        """Return the path of the checkpoint after `epoch` epochs."""
        return self.folder / f"epoch-{epoch:06}.ckpt"

    def latest(self) -> Path | None:
        """Return the newest intact checkpoint, with a note on stderr for each damaged one; None: there is none."""
        for path in self._all():
            try:
                _require_sound(path)
            except DataError as error:
                print(f"note: {error}; the one before is used, or the beginning", file=sys.stderr)
            else:
                return path
        return None

    def save(self, state: dict[str, Any], path: Path) -> None:
        """Write a state and its checksum atomically, then remove all but the newest two. Raises OSError, with the older ones intact."""
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
                raise error.__context__ from None  # torch's writer reports a wrong position, not the full disk
            raise
        _sync_folder(self.folder)
        for old in self._all()[KEPT:]:
            _remove(old)

    def load(self, path: Path) -> dict[str, Any]:
        """Load a state without running code from it. Raises DataError for a damaged checkpoint and for another training's."""
        _require_sound(path)
        try:
            found: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError:
            raise DataError(f"{path} is no checkpoint of ours: it holds more than tensors and plain values; none of it was run") from None
        other = found.pop("identity")
        if other != self.identity:
            differing = ", ".join(_differences(self.identity, other))
            raise DataError(
                f"{path} belongs to another training: it differs in {differing}. Remove {path.parent} to train from the beginning"
            )
        return found

    def _all(self) -> list[Path]:
        return sorted(self.folder.glob("epoch-*.ckpt"), reverse=True)


@contextmanager
def checkpoints_of(identity: Identity, home: Path, keep: float, is_shared: bool = False) -> Iterator[Checkpoints]:
    """Lock the folder of this training's checkpoints, and remove it once the training has succeeded.

    home: the project's root. keep: days after which checkpoints of unfinished trainings are removed.
    is_shared: with other ranks, which find it by the identity alone. Raises BusyError where that folder is locked."""
    root = home / FOLDER
    root.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        folder = _held_folder(root, identity, held, is_shared)
        remove_old(root, keep)
        checkpoints = Checkpoints(folder, identity)
        try:
            yield checkpoints
        except (Stopped, RankError) as stopped:
            done = [path.stem.removeprefix("epoch-").lstrip("0") for path in checkpoints._all()[:1]]
            stopped.then = f"the same command resumes after epoch {done[0]}" if done else stopped.then
            raise
        _remove_folder(folder)


def checkpoints_of_rank_0(identity: Identity, home: Path) -> Checkpoints:
    """Return the checkpoints of this training as a rank other than 0 reads them."""
    return Checkpoints(home / FOLDER / key_of(identity), identity, is_reader=True)


def key_of(identity: Identity) -> str:
    """Return 16 hexadecimal digits by which two trainings differ."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def _held_folder(root: Path, identity: Identity, held: ExitStack, is_shared: bool) -> Path:
    """Return the first folder of this identity that is not locked: two equal trainings may run at the same time."""
    key = key_of(identity)
    for n in range(1) if is_shared else count():
        folder = root / (f"{key}-{n}" if n else key)
        with suppress(Timeout):
            held.enter_context(lock_of(folder, is_waiting=False))
            return folder
    raise BusyError("another process runs this same training, also on several devices; wait for it or stop it, then repeat")


def _remove_folder(folder: Path) -> None:
    """Remove a folder atomically: from a half-removed one the training would resume under another name."""
    doomed = folder.with_name(f"{folder.name}.done")
    shutil.rmtree(doomed, ignore_errors=True)  # of a process that was killed here
    folder.replace(doomed)
    shutil.rmtree(doomed)


def _remove(path: Path) -> None:
    for file in (path, _checksum(path)):
        file.unlink(missing_ok=True)


def _require_sound(path: Path) -> None:
    beside = _checksum(path)
    expected = beside.read_text() if beside.exists() else "a checksum beside it"
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


def identity_of(cfg: Config, nodes: Iterable[str], data_digest: str) -> Identity:
    """Return everything that a training's result depends on, to the bit. nodes: those of the config that matter."""
    tree = with_order(asdict(cfg))  # JSON with sorted keys loses the order
    return {
        "config": {node: tree[node] for node in nodes},
        "data": data_digest,
        "code": code_digest(WORKSPACE),
        "torch": str(torch.__version__),
        "device": kind_of_device(),
    }


def code_digest(root: Path) -> str:
    """Return the sha256 over names and contents of the files that make DVC re-train when they change."""
    digest = hashlib.sha256()
    for file in sorted(code_files(root)):
        digest.update(f"{file.relative_to(root)}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def code_files(root: Path) -> Iterator[Path]:
    """Yield the train stage's code deps in dvc.yaml (written by pipeline/command/deps.py), folders as their files."""
    for dep in get(read_yaml(root / "dvc.yaml"), "stages.train.deps"):
        if dep not in OUTS.values():
            yield from (root / dep).rglob("*.py") if (root / dep).is_dir() else [root / dep]
