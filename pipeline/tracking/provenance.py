"""What a run is of: its name, parameters, data, code, and what else the same bits depend on."""

import os
import platform
import re
import shlex
import subprocess
import sys
import tempfile
from functools import cache
from importlib.metadata import version
from pathlib import Path

from pipeline.bundle import debugging
from pipeline.config.differences import Differences, differences, name_of
from pipeline.config.paths import WORKSPACE, Places
from pipeline.config.secrets import redact
from pipeline.config.splits import SPLITS
from pipeline.config.tree import Tree, leaves, with_order
from pipeline.dataset.manifest import Manifest
from pipeline.tracking.events import CHANGED, COMMAND, LAUNCHER, STORE, SWEEP_ID, Event
from pipeline.training.device import kind_of_device

CODE = ("pipeline", "dvc.yaml", "requirements.lock")  # compared for the tag dirty: in an experiment params.yaml always differs
NEEDED = (*CODE, "conf", "hydra_plugins", "data/own.dvc")  # of which a run logs the uncommitted changes; its params it logs anyway
LARGEST_PATCH = 1_000_000  # bytes: more is data, not code
BY_DVC = re.compile(r"[a-z]+-[a-z]+")  # a name that DVC has drawn: an adjective and a noun


def begin_fields(config: Tree, manifest: Manifest, tags: dict[str, str], name: str | None = None) -> Event:
    """Return the fields of the BEGIN event. A store URI from the environment may hold a password and is not among them."""
    found = differences(config, WORKSPACE / "conf")
    experiment = {"dvc_experiment": os.environ["DVC_EXP_NAME"], **queue_tags()} if "DVC_EXP_NAME" in os.environ else {}
    changes = _changes(found.words) if found else {}
    debug = {"debug": overlay} if (overlay := debugging(config)) else {}
    return {
        "name": name or run_name(config, found),
        "tracking": config["tracking"],
        "by_variable": not config["tracking"]["uri"] and bool(os.environ.get(STORE)),
        "params": {key: str(value) for key, value in leaves(with_order(config))},  # named as in `dvc params diff`
        "tags": {**tags, **experiment, **debug, **changes, **code_tags(), "data_digest": manifest.data_digest},
        "data": {
            "name": manifest.dataset,
            "digest": manifest.data_digest[:36],  # MLflow's limit
            "source": config["dataset"]["sources"],
            "images": {split: manifest.images(split) for split in SPLITS},
            "shape": list(manifest.image_shape),  # height, width, channels
        },
    }


def queue_tags() -> dict[str, str]:
    """Return the tags of a queued experiment's run: those queued from one commit are a sweep. {}: DVC runs it in the workspace."""
    commit = os.environ.get("DVC_EXP_BASELINE_REV")
    if not commit or Places(None).home == WORKSPACE:
        return {}
    return {"sweep": f"queue-{commit[:7]}", SWEEP_ID: f"queue-{commit}", LAUNCHER: "dvc queue"}


def run_name(config: Tree, found: Differences | None) -> str:
    """Return the name that a person gave to a DVC experiment, else what differs from conf/ (the tag dvc_experiment has DVC's)."""
    given = os.environ.get("DVC_EXP_NAME", "")
    return given if given and not BY_DVC.fullmatch(given) else name_of(config, found)


def _changes(words: list[str]) -> dict[str, str]:
    """Return the tags that say what a training changes on top of conf/, and the command that repeats it."""
    live = ["python", "-m", "pipeline.stage.train", *words]
    in_project = ["dvc", "exp", "run", *(word for change in words for word in ("-S", change))] if words else ["dvc", "repro"]
    return {CHANGED: shlex.join(words), COMMAND: shlex.join(in_project if "DVC_STAGE" in os.environ else live)}


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


def _git(*arguments: str, root: Path | None = None, **variables: str) -> str:
    command, environment = ["git", *arguments], os.environ | variables
    return subprocess.run(command, cwd=root or WORKSPACE, check=True, capture_output=True, text=True, env=environment).stdout.strip()
