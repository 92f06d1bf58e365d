"""Generated files after a git merge, and the command that resolves their conflicts.

Either side's will do, as the next `dvc repro` updates them; but params.yaml and conf.lock must be of one side: a difference
between them counts as an edit by hand."""

import subprocess
from pathlib import Path

from pipeline.config.errors import ConfigError

PAIR = ("params.yaml", "conf.lock")
GENERATED = (*PAIR, "dvc.lock", "reports/metrics.json")  # of those that git keeps

MARKER = "<<<<<<< "

UNDER_WAY = ("HEAD", "MERGE_HEAD", "CHERRY_PICK_HEAD", "REBASE_HEAD", "refs/stash", "AUTO_MERGE")
COMMITTED = ("HEAD^1", "HEAD^2")


def bring_back(root: Path, *names: str) -> str | None:
    """Return the command that restores these files from one commit, in any state of the index; None where no side has them whole."""
    for commit in UNDER_WAY:
        texts = [_git(root, "show", f"{commit}:{name}") for name in names]
        if all(text and not has_markers(text) for text in texts):
            return f"git checkout {commit} -- {' '.join(names)}"
    return None


def has_markers(text: str) -> bool:
    """Tell whether a text holds git's conflict markers."""
    return any(line.startswith(MARKER) for line in text.splitlines())


def refuse_conflicts(root: Path) -> None:
    """Raise ConfigError where a generated file is in conflict, with the command that resolves all of them."""
    unmerged = _git(root, "diff", "--name-only", "--diff-filter=U", "--relative") or ""
    torn = [name for name in GENERATED if name in unmerged.splitlines() or _is_torn(root / name)]
    if torn:
        together = [name for name in GENERATED if name in torn or (name in PAIR and not set(torn).isdisjoint(PAIR))]
        raise ConfigError(f"{' and '.join(torn)} in conflict, by a merge. {way_out(root, *together)}")


def way_out(root: Path, *names: str) -> str:
    """Return what to do about generated files that are in conflict."""
    command = bring_back(root, *names) or f"rm {' '.join(names)}"
    return f"What is generated takes either side: settle conf/, type `{command}`, then `dvc repro`"


def refuse_mixture(root: Path) -> None:
    """Raise ConfigError where params.yaml is of one side of a merge and conf.lock of the other, both as git has them."""
    held = [_git(root, "hash-object", name) for name in PAIR]
    for sides in (UNDER_WAY, COMMITTED):
        blobs = {side: [_git(root, "rev-parse", "--quiet", "--verify", f"{side}:{name}") for name in PAIR] for side in sides}
        of_params, of_lock = ({side for side in sides if blobs[side][i] == held[i]} for i in range(len(PAIR)))
        if of_params and of_lock and of_params.isdisjoint(of_lock):
            raise ConfigError(
                "params.yaml and conf.lock are of two sides of a merge, and what differs would pass for an edit by hand. "
                f"Take both from one: `git checkout {sides[0]} -- {' '.join(PAIR)}`, then repeat"
            )


def is_shallow(root: Path) -> bool:
    """Tell whether a clone lacks history: DVC loses the results of what it runs in a copy of one."""
    return _git(root, "rev-parse", "--is-shallow-repository") == "true"


def _is_torn(path: Path) -> bool:
    return path.exists() and has_markers(path.read_text(errors="replace"))


def _git(root: Path, *arguments: str) -> str | None:
    """Return git's output; None where it fails, or is not installed."""
    try:
        done = subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True, errors="replace")
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
