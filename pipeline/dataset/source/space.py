"""Disk space that is needed, looked at before it is used up."""

import errno
import shutil
from pathlib import Path


def require_space(folder: Path, needed: int, purpose: str) -> int:
    """Return the free bytes where `folder` is or will be; raises OSError (no space left) with the figures when too few."""
    there = next(path for path in [folder, *folder.parents] if path.exists())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise OSError(errno.ENOSPC, f"can't take {purpose}: {gigabytes(needed)} are needed, {gigabytes(free)} are free", str(folder))
    return free


def gigabytes(count: int) -> str:
    return f"{count / 1e9:.2f} GB"
