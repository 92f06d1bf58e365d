"""Atomic writes: a kill, or a power cut, leaves the old file or the new one, never half of one."""

import os
from pathlib import Path


def replace(path: Path, content: str | bytes, *, durable: bool = False) -> None:
    """Write a small file beside `path` and rename it into place. Raises OSError with the old file intact.

    durable: its bytes are on the disk before it has the name, as for what can't be made again after a power cut."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_bytes(content.encode() if isinstance(content, str) else content)
    if durable:
        rename_durably(partial, path)
    else:
        partial.replace(path)


def rename_durably(partial: Path, path: Path) -> None:
    """Rename a file that is complete, once its bytes are on the disk."""
    with partial.open("rb") as stream:
        os.fsync(stream.fileno())
    partial.replace(path)
