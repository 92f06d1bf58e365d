"""Small text files that a kill leaves old or new, never half."""

from pathlib import Path


def replace(path: Path, text: str) -> None:
    """Write a text file in one step, so that a kill leaves the old or the new one."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text)
    temporary.replace(path)
