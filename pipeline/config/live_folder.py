"""Which folder may a live run write to? None that holds the project or lies in a part of it, and none with results of others."""

from pathlib import Path

from pipeline.config.errors import ConfigError
from pipeline.config.places import OUTS

# In the project's root; names that begin with a dot and files are its own too. tests/config/test_live_folder.py holds the list.
PARTS = {
    "benchmarks",
    "bundle",
    "checkpoints",
    "chunks",
    "conf",
    "data",
    "docs",
    "downloads",
    "dvc_plots",
    "hydra_plugins",
    "journals",
    "mlruns",
    "pipeline",
    "reports",
    "tests",
}
EMPTIED = {*OUTS, "config.yaml"}  # what a live run writes anew in its folder
MARK = ".*.lock"  # which each stage leaves there


def refuse_folder(key: str, folder: Path, root: Path) -> None:
    """Raise ConfigError for a folder in which a live run would overwrite what it has not made. key: what names it."""
    if what := _harm(folder.resolve(), root.resolve()):
        advice = f"name one of its own, {key}=runs/NAME say" if key in ("hydra.run.dir", "hydra.sweep.dir") else f"leave {key} out"
        raise ConfigError(f"{key} leads to {folder.resolve()}, which {what}; {advice}", key)


def _harm(folder: Path, root: Path) -> str:
    above = [path for path in (folder, *folder.parents) if path.exists()]
    if not above[0].is_dir():
        return f"can't be a folder: {above[0].name} is a file"
    identities = {_identity(path) for path in above}  # a file system may not tell capitals apart, and links lead here too
    if _identity(folder) in {_identity(path) for path in (root, *root.parents)}:
        return "is the project or holds it, and a live run would overwrite its results"
    for path in sorted(root.iterdir()):
        if _is_part(path.name) and _identity(path) in identities:
            return f"lies in {path.name}, a part of the project that a live run must not write to"
    if folder.is_relative_to(root) and _is_part(name := folder.relative_to(root).parts[0]):
        return f"lies in {name}, a part of the project that a live run must not write to"
    found = sorted(EMPTIED & {path.name.casefold() for path in folder.iterdir()}) if folder.exists() else []
    if found and not any(folder.glob(MARK)):
        return f"holds {', '.join(found)}, which no live run has left there and which would be overwritten"
    return ""


def _is_part(name: str) -> bool:
    return name.startswith(".") or name.casefold() in PARTS


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what a file system knows a folder by; None: it does not exist."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
