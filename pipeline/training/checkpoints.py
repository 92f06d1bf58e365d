"""Where a training that was killed goes on: its state after an epoch, on disk in whole or not at all.

checkpoints/<key>/ lies under the project's root, in no DVC out, which DVC would delete first. The key is the training's
identity: whatever decides its result. So the same command finds what it began, and another never does."""

import hashlib
import json
import os
import pickle
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import torch
from filelock import Timeout
from lightning.fabric.plugins import CheckpointIO

from pipeline.config.errors import BusyError, DataError, RankError, Stopped
from pipeline.dataset.files import sha256
from pipeline.dataset.leftovers import lock_of, remove_old

FOLDER = "checkpoints"  # below the project's root
KEPT = 2  # the newest, and the one before should it be damaged
DESCRIPTION = "training.json"

Identity = dict[str, Any]  # plain types: it is written as JSON


class Checkpoints(CheckpointIO):
    """The checkpoints of one training, in a folder that no other process uses meanwhile.

    name: of this training through all its starts, by which its MLflow run is found again.
    is_reader: on behalf of the process that holds the folder, to go on with it; changes nothing there."""

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
            _write_whole(description, json.dumps({"name": os.urandom(8).hex(), "identity": identity}, indent=2).encode())
        self.name: str = json.loads(description.read_text())["name"]

    def place(self, epoch: int) -> Path:
        """Return where the state after that many epochs belongs."""
        return self.folder / f"epoch-{epoch:06}.ckpt"

    def latest(self) -> Path | None:
        """Return the newest checkpoint that is sound, with a note on stderr for each that is not; None: begin at the beginning."""
        for path in self._all():
            try:
                _require_sound(path)
            except DataError as error:
                print(f"note: {error}; the one before is used, or the beginning", file=sys.stderr)
            else:
                return path
        return None

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a state, and its checksum beside it; then remove all but the newest two. Raises OSError with the old ones intact."""
        path = Path(path)
        partial = path.with_suffix(".partial")
        try:
            with partial.open("wb") as file:
                torch.save(checkpoint | {"identity": self.identity}, file)
                file.flush()
                os.fsync(file.fileno())
            _write_whole(_checksum(path), sha256(partial).encode())
            partial.replace(path)
        except (OSError, RuntimeError) as error:
            for unfinished in (partial, _checksum(path)):
                unfinished.unlink(missing_ok=True)
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None  # torch's writer says that it lost its place, and not that the disk is full
            raise
        _sync_folder(self.folder)
        for old in self._all()[KEPT:]:
            self.remove_checkpoint(old)

    def load_checkpoint(self, path: Any, map_location: Any = "cpu", weights_only: bool | None = True) -> dict[str, Any]:
        """Read a state without running code. Raises DataError for a damaged one and for another training's."""
        path = Path(path)
        _require_sound(path)
        try:
            found: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError:
            raise DataError(f"{path} is none of ours: it holds more than tensors and plain values, and nothing of it was run") from None
        other = found.pop("identity")
        if other != self.identity:
            differing = ", ".join(_differences(self.identity, other))
            raise DataError(
                f"{path} is of another training: it differs in {differing}. Remove {path.parent} to start this one from its beginning"
            )
        return found

    def remove_checkpoint(self, path: Any) -> None:
        for file in (Path(path), _checksum(Path(path))):
            file.unlink(missing_ok=True)

    def _all(self) -> list[Path]:
        return sorted(self.folder.glob("epoch-*.ckpt"), reverse=True)


@contextmanager
def checkpoints_of(identity: Identity, home: Path, keep: float, is_shared: bool = False) -> Iterator[Checkpoints]:
    """Hold the folder of this training's checkpoints; it is removed where the training ends well.

    home: the project's root. keep: days after which the checkpoints of trainings that did not end are removed.
    is_shared: with helpers, which look for it by the identity alone. Raises BusyError where that one is held."""
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
            stopped.then = f"the same command goes on after epoch {done[0]}" if done else stopped.then
            raise
        _remove_whole(folder)


def checkpoints_of_rank_0(identity: Identity, home: Path) -> Checkpoints:
    """Return what a helper reads of its training's checkpoints."""
    return Checkpoints(home / FOLDER / _key(identity), identity, is_reader=True)


def _key(identity: Identity) -> str:
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def _held_folder(root: Path, identity: Identity, held: ExitStack, is_shared: bool) -> Path:
    """Return the first folder of this identity that no other process holds: two equal trainings may go on at the same time."""
    key = _key(identity)
    for n in range(1) if is_shared else count():
        folder = root / (f"{key}-{n}" if n else key)
        with suppress(Timeout):
            held.enter_context(lock_of(folder, is_waiting=False))
            return folder
    raise BusyError("another process makes this very training, on several devices too; wait for it or stop it, then repeat")


def _remove_whole(folder: Path) -> None:
    """Remove a folder at one moment: half of one would let the training go on under another name."""
    doomed = folder.with_name(f"{folder.name}.done")
    shutil.rmtree(doomed, ignore_errors=True)  # of a process that was killed here
    folder.replace(doomed)
    shutil.rmtree(doomed)


def _require_sound(path: Path) -> None:
    beside = _checksum(path)
    expected = beside.read_text() if beside.exists() else "a checksum beside it"
    if (found := sha256(path)) != expected:
        raise DataError(f"the checkpoint {path} is damaged: its sha256 is {found}, expected {expected}")


def _checksum(path: Path) -> Path:
    return path.with_suffix(".sha256")


def _write_whole(path: Path, content: bytes) -> None:
    """Write a small file such that whoever reads sees all of it or none."""
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _differences(ours: Any, theirs: Any, key: str = "") -> Iterator[str]:
    """Yield `key (here …, there …)` for each value in which two identities differ."""
    if not (isinstance(ours, dict) and isinstance(theirs, dict)):
        if ours != theirs:
            yield f"{key} (here {ours!r}, there {theirs!r})"
        return
    for name in sorted(ours.keys() | theirs.keys()):
        yield from _differences(ours.get(name), theirs.get(name), f"{key}.{name}" if key else name)
