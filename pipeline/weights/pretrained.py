"""Read pretrained weights from a file, a URL or a bundle. No code in a file is run: safetensors or weights_only.

Published models are recognized by their number of weights (ImageNet's 1,000 classes, images of 224 pixels)."""

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
from pipeline.config.secrets import without_credentials
from pipeline.dataset.download import download, receive
from pipeline.dataset.files import sha256

Tensors = dict[str, Tensor]  # a state dict


@dataclass(frozen=True)
class Pretrained:
    """Pretrained weights and what is known of them."""

    tensors: Tensors
    classes: list[str] | None  # of a bundle, index = label; None: unknown
    model: str | None = None  # their option of conf/model, if known


def read_pretrained(weights: Weights, how: Fetch, root: Path) -> Pretrained:
    """Return the weights in `weights.source`. root: what a path is relative to; a URL is downloaded once, into its downloads/.

    Raises ConfigError for a missing file and for a sha256 that is null or differs, DataError for a file that holds anything but
    tensors and for a folder that is no bundle, NetworkError for a URL that can't be fetched."""
    source = str(weights.source)
    path = _fetched(weights, source, how, root) if "://" in source else root / source
    if path.is_dir():
        return _of_bundle(path, weights, source)
    if not path.is_file():
        raise ConfigError(f"weights.source: there is no file or folder {path}", "weights.source")
    _require_sha256(path, weights, source)
    tensors = _tensors_of(path, source)
    return Pretrained(tensors, None, published_model(tensors))


def _of_bundle(folder: Path, weights: Weights, source: str) -> Pretrained:
    description, values = folder / "bundle.json", folder / "weights.safetensors"
    for path in (description, values):
        if not path.exists():
            raise ConfigError(f"weights.source: {source} is not the folder of a bundle: {path.name} is missing", "weights.source")
    _require_sha256(description, weights, f"{source}/bundle.json")
    expected, classes, model = _described(description, source)
    if (found := sha256(values)) != expected:
        raise DataError(f"{values} is damaged: sha256 {found}, expected {expected}; take another copy of the bundle")
    return Pretrained(_tensors_of(values, f"{source}/{values.name}"), classes, model)


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
    """Return the local path of a URL's file, downloaded if need be."""
    name = _name_in(source)
    if weights.sha256 is None:
        return _unchecked(source, name, how, root)
    kept = _place(root, weights.sha256, name)
    with FileLock(kept.parent / ".lock"):
        if not (kept.exists() and sha256(kept) == weights.sha256):
            download(SourceFile(name, weights.sha256, url=source), [], kept, how, root)
    return kept


def _name_in(source: str) -> str:
    """Return the file's name in a URL."""
    name = PurePosixPath(urlsplit(source).path).name
    if not name or name.startswith("."):
        raise ConfigError(
            f"weights.source: {without_credentials(source)} does not end with a file's name, as net.safetensors; give the file's own URL",
            "weights.source",
        )
    return name


def _unchecked(source: str, name: str, how: Fetch, root: Path) -> Path:
    """Download a file whose sha256 is not in the config, and keep it under the one it has."""
    part = _place(root, digest_of(source.encode()).hexdigest(), f".{name}.part")
    with FileLock(part.parent / ".lock"):
        part.unlink(missing_ok=True)  # from an earlier download, perhaps of another file
        receive(source, SourceFile(name), part, how, root)
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
    except Exception as error:  # torch's unpickler raises anything for other files
        raise DataError(f"{shown} can't be read as tensors: {' '.join(str(error).split())}. {ADVICE}") from error
    if not isinstance(found, dict) or not found or not all(isinstance(tensor, Tensor) for tensor in found.values()):
        held = ", ".join(map(str, list(found)[:5])) or "nothing" if isinstance(found, dict) else type(found).__name__
        raise DataError(f"{shown} holds {held}, expected tensors by layer name. {ADVICE}")
    return dict(found)


ADVICE = "Save the network's state_dict() alone, best as .safetensors"


STATISTICS = ("running_mean", "running_var", "num_batches_tracked")  # batch norm's buffers
MODELS = {  # without auxiliary classifiers; the same in torchvision and timm
    61_100_840: "alexnet_one_tower",
    132_863_336: "vgg11",
    132_868_840: "vgg11_bn",
    133_047_848: "vgg13",
    133_053_736: "vgg13_bn",
    138_357_544: "vgg16",
    138_365_992: "vgg16_bn",
    143_667_240: "vgg19",
    143_678_248: "vgg19_bn",
    6_624_904: "googlenet_torchvision",
    11_689_512: "resnet18",
    21_797_672: "resnet34",
    25_557_032: "resnet50",
    44_549_160: "resnet101",
    60_192_808: "resnet152",
    68_883_240: "wide_resnet50_2",
    7_978_856: "densenet121",
    14_149_480: "densenet169",
    20_013_928: "densenet201",
    28_681_000: "densenet161",
}


def published_model(tensors: dict[str, Tensor]) -> str | None:
    """Return the option of conf/model whose published weights these are; None for others."""
    weights = (value for name, value in tensors.items() if not name.endswith(STATISTICS) and not name.startswith("aux"))
    return MODELS.get(sum(value.numel() for value in weights))
