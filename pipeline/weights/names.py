"""Names of layers of torchvision and timm → ours. Their ResNet, DenseNet and torchvision's GoogLeNet have ours already.

Their AlexNet and VGG number the layers, ours have the papers' names, so the layers with weights are paired in order."""

import re

from torch import Tensor, nn

from pipeline.config.counted import counted
from pipeline.config.errors import ConfigError

# Numbered layers, the parts in the order of computation.
PARTS = {"torchvision": ("features", "classifier"), "timm": ("features", "pre_logits", "head")}
NUMBERED = r"\w+\.(?:fc)?\d*"  # features.0; pre_logits.fc1; head.fc

OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.(?=[12]\.)")  # torchvision's files have norm.1 where its code has norm1


def in_our_names(tensors: dict[str, Tensor], network: nn.Module, names: str, model: str | None = None) -> dict[str, Tensor]:
    """Return a state dict under the names of `network`'s layers as far as its own names tell which these are.

    names: ours, torchvision or timm. model: whose tensors they are, where that is known.
    Raises ConfigError where layers are to be paired in order and their number differs."""
    tensors = {OLD_DENSENET.sub(r"\1", name): tensor for name, tensor in tensors.items()}
    theirs = list(dict.fromkeys(_layer(name) for name in tensors))
    if names not in PARTS or not all(_is_numbered(layer, PARTS[names]) for layer in theirs):
        return tensors
    theirs.sort(key=lambda layer: _place(layer, PARTS[names]))
    ours = list(dict.fromkeys(_layer(name) for name in network.state_dict()))
    if len(theirs) != len(ours):
        raise ConfigError(
            f"weights.source has {counted(len(theirs), 'layer')} with weights, and the network has {len(ours)}; "
            "choose the model that they are of"
            f"{f', model={model}' if model else ''}{notes_of(network)}",
            "weights.source",
        )
    paired = dict(zip(theirs, ours, strict=True))
    return {f"{paired[_layer(name)]}.{_kind(name)}": _flat(name, tensor) for name, tensor in tensors.items()}


def notes_of(network: nn.Module) -> str:
    """Return what a network says of its form, after a semicolon, or nothing."""
    return "".join(f"; {note}" for note in getattr(network, "notes", []))


def _layer(name: str) -> str:
    return name.rpartition(".")[0]


def _kind(name: str) -> str:
    return name.rpartition(".")[2]


def _is_numbered(layer: str, parts: tuple[str, ...]) -> bool:
    return layer.partition(".")[0] in parts and re.fullmatch(NUMBERED, layer) is not None


def _place(layer: str, parts: tuple[str, ...]) -> tuple[int, int]:
    part, _, rest = layer.partition(".")
    return parts.index(part), int(re.sub(r"\D", "", rest) or 0)


def _flat(name: str, tensor: Tensor) -> Tensor:
    """Return a weight as a linear layer has it: timm's first two after the last map are convolutions over all of it."""
    return tensor.flatten(1) if re.fullmatch(r"pre_logits\.fc\d\.weight", name) else tensor
