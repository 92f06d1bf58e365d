"""A source of weights → tensors by name. No code of a file is run: safetensors, or what torch loads with weights_only."""

import json
import pickle
from dataclasses import dataclass
from hashlib import sha256 as digest_of
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import torch
from filelock import FileLock
from safetensors.torch import load_file
from torch import Tensor

from pipeline.config.errors import ConfigError, DataError
from pipeline.config.schema import Fetch, SourceFile, Weights
from pipeline.config.urls import without_credentials
from pipeline.dataset.files import sha256
from pipeline.dataset.source.download import download, received
from pipeline.weights.published import published_model

Tensors = dict[str, Tensor]  # a state dict


@dataclass(frozen=True)
class Given:
    tensors: Tensors
    classes: list[str] | None  # index = score, of a bundle; None: the source does not say
    model: str | None = None  # the option whose weights they are, where that is known


def read_given(weights: Weights, how: Fetch, root: Path) -> Given:
    """Return what `weights.source` holds; root: what a path is relative to. A URL is downloaded once, into downloads/ there.

    Raises ConfigError where there is no such file or its sha256 is null or another one, DataError for a file that holds
    something else than tensors and for a folder that is no bundle, NetworkError for a URL that can't be fetched."""
    source = str(weights.source)
    path = _fetched(weights, source, how, root) if "://" in source else root / source
    if path.is_dir():
        return _of_bundle(path, weights, source)
    if not path.is_file():
        raise ConfigError(f"weights.source: there is no file or folder {path}", "weights.source")
    _require_sha256(path, weights, source)
    tensors = _tensors_of(path, source)
    return Given(tensors, None, published_model(tensors))


def _of_bundle(folder: Path, weights: Weights, source: str) -> Given:
    description, values = folder / "bundle.json", folder / "weights.safetensors"
    for path in (description, values):
        if not path.exists():
            raise ConfigError(f"weights.source: {source} is not the folder of a bundle: {path.name} is missing", "weights.source")
    _require_sha256(description, weights, f"{source}/bundle.json")
    expected, classes, model = _described(description, source)
    if (found := sha256(values)) != expected:
        raise DataError(f"{values} is damaged: sha256 {found}, expected {expected}; take another copy of the bundle")
    return Given(_tensors_of(values, f"{source}/{values.name}"), classes, model)


def _described(description: Path, source: str) -> tuple[str, list[str], str | None]:
    """Return the sha256 of a bundle's weights, its classes, and its model's name."""
    try:
        tree = json.loads(description.read_text())
        return tree["weights_sha256"], list(tree["manifest"]["classes"]), tree.get("config", {}).get("model", {}).get("name")
    except (ValueError, LookupError, TypeError) as error:
        raise DataError(
            f"{source}/{description.name} does not describe a network of this project: it is no JSON with weights_sha256 and "
            f"manifest.classes ({type(error).__name__}: {error}). Name the folder of a bundle, or the file of weights alone"
        ) from error


def _require_sha256(path: Path, weights: Weights, shown: str) -> None:
    found = sha256(path)
    shown = without_credentials(shown)
    if weights.sha256 is None:
        raise ConfigError(
            f"weights.sha256 is null, and {shown} has {found}. Compare that with what its publisher says, then give weights.sha256={found}",
            "weights.sha256",
        )
    if found != weights.sha256:
        raise ConfigError(
            f"weights.sha256 is {weights.sha256}, but {shown} has {found}: it is another file, or has changed since", "weights.sha256"
        )


def _fetched(weights: Weights, source: str, how: Fetch, root: Path) -> Path:
    """Return where a URL's file lies, downloaded now if need be."""
    name = _name_in(source)
    if weights.sha256 is None:
        return _unchecked(source, name, how, root)
    kept = _place(root, weights.sha256, name)
    with FileLock(kept.parent / ".lock"):
        if not (kept.exists() and sha256(kept) == weights.sha256):
            download(SourceFile(name, weights.sha256, url=source), [], kept, how, root)
    return kept


def _name_in(source: str) -> str:
    """Return the file's name in a URL, which the file is kept under."""
    name = PurePosixPath(urlsplit(source).path).name
    if not name or name.startswith("."):
        raise ConfigError(
            f"weights.source: {without_credentials(source)} does not end with a file's name, as net.safetensors; give the file's own URL",
            "weights.source",
        )
    return name


def _unchecked(source: str, name: str, how: Fetch, root: Path) -> Path:
    """Download what has no sha256 yet, to say which it has; it is kept under this one."""
    part = _place(root, digest_of(source.encode()).hexdigest(), f".{name}.part")
    with FileLock(part.parent / ".lock"):
        part.unlink(missing_ok=True)  # of an earlier time: whether it is of the same file nobody can say
        received(source, SourceFile(name), part, how, root)
        kept = _place(root, sha256(part), name)
        return part.replace(kept)


def _place(root: Path, digest: str, name: str) -> Path:
    folder = root / "downloads" / digest[:16]
    folder.mkdir(parents=True, exist_ok=True)
    return folder / name


def _tensors_of(path: Path, source: str) -> Tensors:
    shown = without_credentials(source)
    try:
        found = load_file(path) if path.suffix == ".safetensors" else torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{shown} holds code beside tensors, or no tensors at all; nothing of it was run. {ADVICE} ({reason})") from error
    except Exception as error:  # torch's unpickler stumbles over what is no pickle in every way
        raise DataError(f"{shown} can't be read as tensors: {' '.join(str(error).split())}. {ADVICE}") from error
    if not isinstance(found, dict) or not found or not all(isinstance(tensor, Tensor) for tensor in found.values()):
        held = ", ".join(map(str, list(found)[:5])) or "nothing" if isinstance(found, dict) else type(found).__name__
        raise DataError(f"{shown} holds {held}, and tensors by the names of layers are needed. {ADVICE}")
    return dict(found)


ADVICE = "Save the network's state_dict() alone, best as .safetensors"
