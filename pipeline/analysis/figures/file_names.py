"""File names of pictures."""

import re

from pipeline.dataset.names import LONGEST


def stem_of(name: str) -> str:
    """Return a name in the only characters that are valid in MLflow's image keys, and no longer than a file's may be."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name)[:LONGEST]
