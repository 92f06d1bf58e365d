"""What a run is of: its name, parameters, data, code, and what else the same bits depend on."""

import os
import platform
import shlex
import subprocess
import sys
import tempfile
import time
from functools import cache
from importlib.metadata import version
from pathlib import Path

from pipeline.bundle import debugging
from pipeline.config.paths import WORKSPACE
from pipeline.config.secrets import redact
from pipeline.config.splits import SPLITS
from pipeline.config.tree import Tree, leaves, with_order
from pipeline.dataset.manifest import Manifest
from pipeline.tracking.events import STORE, Event
from pipeline.training.device import kind_of_device

CODE = ("pipeline", "dvc.yaml", "requirements.lock")  # compared for the tag dirty: in an experiment params.yaml always differs
NEEDED = (*CODE, "conf", "hydra_plugins", "data/own.dvc")  # of which a run logs the uncommitted changes; its params it logs anyway
LARGEST_PATCH = 1_000_000  # bytes: more is data, not code


def begin_fields(config: Tree, manifest: Manifest, tags: dict[str, str], name: str | None = None) -> Event:
    """Return the fields of the BEGIN event. A store URI from the environment may hold a password and is not among them."""
    experiment = {"dvc_experiment": os.environ["DVC_EXP_NAME"]} if "DVC_EXP_NAME" in os.environ else {}
    debug = {"debug": overlay} if (overlay := debugging(config)) else {}
    return {
        "name": name or run_name(config),
        "tracking": config["tracking"],
        "by_variable": not config["tracking"]["uri"] and bool(os.environ.get(STORE)),
        "params": {key: str(value) for key, value in leaves(with_order(config))},  # named as in `dvc params diff`
        "tags": {**tags, **experiment, **debug, **code_tags(), "data_digest": manifest.data_digest},
        "data": {
            "name": manifest.dataset,
            "digest": manifest.data_digest[:36],  # MLflow's limit
            "source": config["dataset"]["sources"],
            "images": {split: manifest.images(split) for split in SPLITS},
            "shape": list(manifest.image_shape),  # height, width, channels
        },
    }


def run_name(config: Tree) -> str:
    """Return the name in `dvc exp show`, else model, dataset and time."""
    return os.environ.get("DVC_EXP_NAME") or f"{config['model']['name']}-{config['dataset']['name']}-{time.strftime('%m%d-%H%M%S')}"


def code_tags() -> dict[str, str]:
    """Return the git commit, whether the code differs from it, and what else bit-equality depends on."""
    tags = {
        "python": platform.python_version(),
        "torch": version("torch"),
        "machine": platform.machine(),
        "device": kind_of_device(),
        "mlflow.source.name": Path(sys.argv[0]).stem,
    }
    try:
        tags["commit"] = tags["mlflow.source.git.commit"] = _git("rev-parse", "HEAD")
        tags["dirty"] = str(bool(_git("status", "--porcelain", "--", *CODE))).lower()
    except (OSError, subprocess.CalledProcessError) as error:
        tags["commit"] = "not in git"
        if "safe.directory" in (getattr(error, "stderr", None) or ""):  # in git's hint in every language
            trust = shlex.join(["git", "config", "--global", "--add", "safe.directory", str(WORKSPACE)])
            _note_once(
                f"note: git does not read this folder, which is another user's, so the run does not say its commit; `{trust}` allows it"
            )
    return tags


def uncommitted(root: Path) -> tuple[bytes, str]:
    """Return what differs from the commit, new files included, as a patch for `git apply`; and why it must not be logged, or "".

    Both are empty where nothing differs or there is no git, which the run's tag `commit` says."""
    try:
        if not _git("status", "--porcelain", "--", *NEEDED, root=root):
            return b"", ""
        patch = _patch(root)
    except (OSError, subprocess.CalledProcessError):
        return b"", ""
    text = patch.decode(errors="replace")
    if redact(text) != text:
        return b"", "they hold what looks like a secret"
    if len(patch) > LARGEST_PATCH:
        return b"", f"they have {len(patch):,} bytes, more than {LARGEST_PATCH:,}"
    return patch, ""


def _patch(root: Path) -> bytes:
    """Return the patch by an index of its own: what the user has staged stays as it is."""
    with tempfile.TemporaryDirectory() as folder:
        index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        _git("read-tree", "HEAD", root=root, **index)
        new = [name for name in _git("ls-files", "-oz", "--exclude-standard", "--", *NEEDED, root=root, **index).split("\0") if name]
        if new:
            _git("add", "--intent-to-add", "--", *new, root=root, **index)
        command = ["git", "diff", "HEAD", "--binary", "--no-ext-diff", "--no-color", "--", *NEEDED]
        return subprocess.run(command, cwd=root, check=True, capture_output=True, env=os.environ | index).stdout


@cache
def _note_once(words: str) -> None:
    print(words, file=sys.stderr)


def _git(*arguments: str, root: Path = WORKSPACE, **variables: str) -> str:
    command, environment = ["git", *arguments], os.environ | variables
    return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True, env=environment).stdout.strip()
