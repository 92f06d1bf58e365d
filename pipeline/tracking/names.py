"""Names and values as MLflow takes them: people's names know more letters than its keys, and no limit.

A name that it takes stays as it is. Any other gets a short hash of itself behind what can be kept of it, so that two stay two."""

import posixpath
import re
from hashlib import sha256
from pathlib import PurePath

LONGEST_KEY, LONGEST_PARAM, LONGEST_TAG, LONGEST_SOURCE = 250, 6000, 8000, 65535  # characters: mlflow/utils/validation.py
LONGEST_IMAGE = 150  # characters, which are bytes: its files' names put about 90 more around it
LONGEST_FILE = 200  # bytes of 255 that a file system takes: MLflow's own names put more around it

KEY = re.compile(r"[^\w.\- :/]")  # what a parameter, metric or tag can't be called
IMAGE = re.compile(r"[^a-zA-Z0-9_\-./ ]")  # what the key of a picture can't be
FILE = re.compile(r"[^a-zA-Z0-9_\-. ]")  # what breaks an artifact's address, or MLflow's pages


def key_of(name: str, refused: re.Pattern[str] = KEY, longest: int = LONGEST_KEY) -> str:
    """Return the key of a parameter, metric or tag."""
    kept = refused.sub("_", name) or "_"
    if posixpath.normpath(kept) != kept or kept == "." or kept.startswith(("..", "/")):  # another's place, were it a path
        kept = re.sub(r"[/.]", "_", kept)
    return name if kept == name and len(name) <= longest else f"{kept[: longest - 10]}-{_hash(name)}"


def image_key_of(name: str) -> str:
    return key_of(name, IMAGE, LONGEST_IMAGE)


def file_name_of(name: str) -> str:
    """Return what an artifact is called; its suffix, by which the pages know how to show it, stays."""
    kept, suffix = FILE.sub("_", name), FILE.sub("_", PurePath(name).suffix)[:20]
    if kept == name and len(name) <= LONGEST_FILE:
        return name
    stem = kept.removesuffix(suffix)[: LONGEST_FILE - 10 - len(suffix)]
    return f"{stem}-{_hash(name)}{suffix}"


def cut(value: str, most: int) -> str:
    """Return a value that is no longer than `most` characters; two that differ only behind these still differ."""
    return value if len(value) <= most else f"{value[: most - 10]}… {_hash(value)}"


def _hash(text: str) -> str:
    return sha256(text.encode(errors="surrogatepass")).hexdigest()[:8]
