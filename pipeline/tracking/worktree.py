"""A run's worktree: its commit in a folder of its own, with its changes, config, data and network, found by their digests."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.config.compose import dump, read_yaml
from pipeline.config.errors import ConfigError, DataError
from pipeline.config.merges import PAIR
from pipeline.config.paths import OUTS
from pipeline.config.splits import SPLITS
from pipeline.config.tree import Tree, difference, get
from pipeline.config.wording import counted
from pipeline.dataset.files import sha256
from pipeline.dataset.manifest import Manifest
from pipeline.tracking.events import STORE
from pipeline.tracking.record import Record

RESTORED = "restored"  # below the project's root, with a folder per run that was restored
OWNER = Path(".dvc/tmp/restored")  # in a worktree: the id of its run
LIVE = "runs"  # below the project's root, with a folder per live run
CHECK = Path("runs/check")  # in the worktree: the live run that evaluates anew
BLOCK = 1024  # images hashed at once


@dataclass(frozen=True)
class Worktree:
    """A folder with a run's code. project: where the run was found, whose data and caches are looked through."""

    folder: Path
    project: Path

    def is_of(self, run: str) -> bool:
        """Return whether an earlier call has restored the run with this id here."""
        owner = self.folder / OWNER
        return owner.exists() and owner.read_text() == run

    def create(self, record: Record) -> list[str]:
        """Check the run's commit out, apply its changes, set its config; return a line for each.

        Raises DataError where that can't be; then no worktree is left."""
        if self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
            raise DataError(f"{self.folder} exists and is not this run's; name another folder by --to, or remove that one")
        with self._whole(record):
            code = self._check_out(record)
            self._share_cache(record)
            config = self._configure(record.config)
            (self.folder / OWNER).write_text(record.run.id)
        return [code, config]

    @contextmanager
    def _whole(self, record: Record) -> Iterator[None]:
        commit, short = record.commit, record.commit[:8]
        if _git(self.project, "cat-file", "-e", f"{commit}^{{commit}}").returncode:
            raise DataError(
                f"the commit {short} of the run is not in this repository; fetch it from where the run was made, "
                "or, in a shallow clone, by `git fetch --unshallow`"
            )
        _git(self.project, "worktree", "prune")  # of folders that were removed by hand
        added = _git(self.project, "worktree", "add", "--detach", str(self.folder), commit)
        if added.returncode:
            raise DataError(f"git makes no worktree in {self.folder}: {_last_line(added.stderr)}")
        try:
            yield
        except BaseException:
            _git(self.project, "worktree", "remove", "--force", str(self.folder))
            raise

    def _check_out(self, record: Record) -> str:
        at = f"commit {record.commit[:8]}"
        if record.patch is None:
            return at
        applied = _git(self.folder, "apply", "--whitespace=nowarn", stdin=record.patch)
        if applied.returncode:
            raise DataError(f"the run's changes do not apply to {at}: {_last_line(applied.stderr)}")
        return f"{at} with the run's changes that were not committed"

    def _share_cache(self, record: Record) -> None:
        """Let DVC find here what is in the project's cache, and check out what the run's dvc.lock names of it."""
        if (local := self.project / ".dvc" / "config.local").exists():  # remotes of this machine
            shutil.copy(local, self.folder / ".dvc")
        cache = _dvc(self.project, "cache", "dir").stdout.decode().strip()
        _dvc(self.folder, "cache", "dir", "--local", cache)
        if record.lock is not None:
            (self.folder / "dvc.lock").write_bytes(record.lock)
        own = self.folder / "data" / "own"
        _dvc(self.folder, "checkout", "--quiet", "--allow-missing")
        own.mkdir(parents=True, exist_ok=True)
        if not any(own.iterdir()):  # DVC warns of an empty folder
            (own / ".keep").touch()

    def _configure(self, config: Tree) -> str:
        """Make conf/ compose to this config: what differs from it is lifted into conf/local/overrides.yaml, as an edit by hand is."""
        for name in PAIR:
            (self.folder / name).unlink(missing_ok=True)
        self._compose()
        params = self.folder / "params.yaml"
        changed = difference(config, read_yaml(params), skip=set())
        if changed:
            params.write_text(dump(config))
            self._compose()
        if left := difference(config, read_yaml(params), skip=set()):
            raise ConfigError(f"conf/ of the run's commit does not compose to its config, in {', '.join(left)}; was it a changed conf/?")
        return (
            f"{counted(len(changed), 'value')} beyond conf/, in conf/local/overrides.yaml"
            if changed
            else "as conf/ of the commit composes it"
        )

    def _compose(self) -> None:
        done = self._python("pipeline.stage.configure")
        if done.returncode:
            raise ConfigError(f"conf/ of the run's commit can't be composed here: {_last_line(done.stderr)}")

    def find_data(self, digest: str) -> tuple[str, bool]:
        """Bring the prepared images with this digest to data/prepared; return where they come from, or what is missing, and whether
        they are there. Others that lie there are removed, as the run did not see them."""
        here = self.folder / OUTS["prepared"]
        places = [here, self.project / OUTS["prepared"], *sorted((self.project / LIVE).glob("*/prepared"))]
        for place in places:
            if _claims(place, digest):
                if digest_of(place) != digest:
                    return f"{self._shown(place)} says that it has digest {digest[:12]}, but its images have another; it is damaged", False
                _bring(place, here)
                return f"digest {digest[:12]}, {self._origin(place)}", True
        _remove(here)
        return f"missing: no prepared images with digest {digest[:12]} are in DVC's cache, {OUTS['prepared']} or {LIVE}/", False

    def find_bundle(self, digest: str) -> tuple[str, bool]:
        """Bring the bundle with this digest to bundle/; return as `find_data` does."""
        here = self.folder / OUTS["bundle"]
        places = [here, self.project / OUTS["bundle"], *sorted((self.project / LIVE).glob("*/bundle"))]
        for place in places:
            if (place / "bundle.json").is_file() and sha256(place / "bundle.json") == digest:
                _bring(place, here)
                return f"digest {digest[:12]}, {self._origin(place)}", True
        _remove(here)
        return f"missing: no network with digest {digest[:12]} is in DVC's cache, {OUTS['bundle']}/ or {LIVE}/", False

    def _origin(self, place: Path) -> str:
        return "brought by DVC" if place.is_relative_to(self.folder) else f"copied from {self._shown(place)}"

    def _shown(self, place: Path) -> str:
        root = next(root for root in (self.folder, self.project) if place.is_relative_to(root))
        return str(place.relative_to(root))

    def evaluate(self, tta: str | None) -> dict[str, float]:
        """Evaluate the network anew by the run's own code; return its test metrics, named as they are logged.

        It is logged to a store in the worktree, so the run stays as it is. Raises DataError where it fails."""
        words = [f"hydra.run.dir={CHECK}", "tracking.uri=null", *([f"evaluate.tta={tta}"] if tta else [])]
        done = self._python("pipeline.stage.evaluate", *words)
        if done.returncode:
            raise DataError(f"the evaluation failed in {self.folder}: {_last_line(done.stderr)}")
        metrics = get(read_yaml(self.folder / CHECK / "reports" / "metrics.json"), "test")
        return {f"test/{name}": value for name, value in metrics.items() if isinstance(value, float)}

    def _python(self, module: str, *words: str) -> subprocess.CompletedProcess[bytes]:
        """Run a module of the worktree's own code."""
        return _run([sys.executable, "-m", module, *words], self.folder)


def digest_of(prepared: Path) -> str:
    """Return the data digest of prepared images as they are on disk, which their manifest only claims; "" where a file is missing."""
    digest = hashlib.sha256("\0".join(Manifest.read(prepared).classes).encode(errors="surrogatepass"))
    try:
        for split in SPLITS:
            images = np.load(prepared / f"{split}.npy", mmap_mode="r")  # (N, H, W, C)
            part = hashlib.sha256()
            for start in range(0, len(images), BLOCK):
                part.update(np.ascontiguousarray(images[start : start + BLOCK]).tobytes())
            part.update(np.load(prepared / f"{split}_labels.npy").tobytes())
            digest.update(part.digest())
    except (OSError, ValueError):
        return ""
    return digest.hexdigest()


def _claims(prepared: Path, digest: str) -> bool:
    with suppress(DataError, OSError, ValueError, TypeError, KeyError):  # missing, or of another version
        return Manifest.read(prepared).data_digest == digest
    return False


def _bring(place: Path, here: Path) -> None:
    """Copy a folder: of a linked one a stage could change the original."""
    if place != here:
        _remove(here)
        shutil.copytree(place, here)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _git(root: Path, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", *arguments], cwd=root, input=stdin, capture_output=True, check=False)


def _dvc(root: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return _run([sys.executable, "-m", "dvc", *arguments], root)


def _run(command: list[str], root: Path) -> subprocess.CompletedProcess[bytes]:
    """Run a command in the worktree, where neither another store nor a surrounding DVC counts."""
    kept = {name: value for name, value in os.environ.items() if name != STORE and not name.startswith("DVC_")}
    return subprocess.run(command, cwd=root, capture_output=True, check=False, env=kept, stdin=subprocess.DEVNULL)


def _last_line(text: bytes) -> str:
    lines = text.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it does not say why"
