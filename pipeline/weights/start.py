"""Initialize a network from pretrained weights and freeze layers, as `cfg.weights` says.

Our ResNet, DenseNet and GoogLeNet have the layer names of torchvision (the first two of timm too). Their AlexNet and VGG number the
layers where ours have the papers' names, so there the layers with weights are paired in order."""

import re
from collections.abc import Iterable
from pathlib import Path

from torch import Tensor, nn

from pipeline.config.errors import ConfigError
from pipeline.config.schema import Config
from pipeline.config.secrets import without_credentials
from pipeline.config.wording import counted
from pipeline.model.init import heads_of, is_auxiliary
from pipeline.weights.freezing import freeze
from pipeline.weights.pretrained import Pretrained, Tensors, read_pretrained

COUNTER = "num_batches_tracked"  # of batch norm; missing in older files, and unused
SHOWN = 3  # tensors listed in an error
TRANSFORMED = "googlenet_torchvision"  # whose published weights expect another normalisation than ImageNet's

# Parts with numbered layers, in order of computation.
PARTS = {"torchvision": ("features", "classifier"), "timm": ("features", "pre_logits", "head")}
NUMBERED = r"\w+\.(?:fc)?\d*"  # features.0; pre_logits.fc1; head.fc
OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.(?=[12]\.)")  # torchvision's files have norm.1 where its code has norm1


def start_from_weights(cfg: Config, network: nn.Module, classes: list[str], root: Path) -> list[str]:
    """Load the weights of `network` and freeze layers as `cfg.weights` says; return lines to print.

    classes: of the images, index = label. root: as for `read_pretrained`. Raises as `read_pretrained` does, and ConfigError for
    weights that do not fit and for layers to freeze that do not exist."""
    weights, lines = cfg.weights, []
    if weights.source:
        source = read_pretrained(weights, cfg.fetch, root)
        lines.append(f"{cfg.model['name']} starts from the weights of {without_credentials(weights.source)}, sha256 {weights.sha256}")
        lines += load(network, source, classes, str(weights.names))
        if source.model == TRANSFORMED:
            lines.append(f"{TRANSFORMED}: these weights were trained with transform_input, on pixels of mean 0.5 and deviation 0.5")
    if weights.freeze:
        freeze(network, weights.freeze)
        learning = _count(parameter for parameter in network.parameters() if parameter.requires_grad)
        lines.append(f"frozen: {', '.join(weights.freeze)}; {learning:,} of {_count(network.parameters()):,} parameters learn")
    return lines


def load(network: nn.Module, source: Pretrained, classes: list[str], names: str) -> list[str]:
    """Load pretrained tensors into the network; return lines to print about those that were changed or skipped.

    Heads for other classes keep their initialization; colour filters are summed over the channels for gray images.
    names: whose layer names the source has. Raises ConfigError naming the tensors that do not fit otherwise."""
    own = network.state_dict()
    tensors = in_our_names(source.tensors, network, names, source.model)
    lines = _match_auxiliary(tensors, own) + _match_heads(network, tensors, own, source.classes not in (None, classes))
    lines += _match_colours(network, tensors, own)
    _require_fit(network, tensors, own, source.model)
    network.load_state_dict(own | tensors)
    return lines


def in_our_names(tensors: Tensors, network: nn.Module, names: str, model: str | None = None) -> Tensors:
    """Return a state dict with the layer names of `network`.

    names: ours, torchvision or timm. model: the option of conf/model whose tensors they are, if known.
    Raises ConfigError if layers are paired in order and their numbers differ."""
    tensors = {OLD_DENSENET.sub(r"\1", name): tensor for name, tensor in tensors.items()}
    theirs = list(dict.fromkeys(_layer(name) for name in tensors))
    if names not in PARTS or not all(_is_numbered(layer, PARTS[names]) for layer in theirs):
        return tensors
    theirs.sort(key=lambda layer: _place(layer, PARTS[names]))
    ours = list(dict.fromkeys(_layer(name) for name in network.state_dict()))
    if len(theirs) != len(ours):
        counts = f"{counted(len(theirs), 'layer')} with weights, and the network has {len(ours)}"
        raise ConfigError(f"weights.source has {counts}; choose the model that they belong to{_hint(network, model)}", "weights.source")
    paired = dict(zip(theirs, ours, strict=True))
    return {f"{paired[_layer(name)]}.{name.rpartition('.')[2]}": _flat(name, tensor) for name, tensor in tensors.items()}


def _layer(name: str) -> str:
    return name.rpartition(".")[0]


def _is_numbered(layer: str, parts: tuple[str, ...]) -> bool:
    return layer.partition(".")[0] in parts and re.fullmatch(NUMBERED, layer) is not None


def _place(layer: str, parts: tuple[str, ...]) -> tuple[int, int]:
    part, _, rest = layer.partition(".")
    return parts.index(part), int(re.sub(r"\D", "", rest) or 0)


def _flat(name: str, tensor: Tensor) -> Tensor:
    """Return a weight in the shape of a linear layer: timm's first two are convolutions over the whole last map."""
    return tensor.flatten(1) if re.fullmatch(r"pre_logits\.fc\d\.weight", name) else tensor


def _count(parameters: Iterable[nn.Parameter]) -> int:
    return sum(parameter.numel() for parameter in parameters)


def _match_auxiliary(tensors: Tensors, own: Tensors) -> list[str]:
    """Drop auxiliary classifiers that the network lacks, and keep the initialization of those that the source lacks."""
    theirs, ours = ({name.partition(".")[0] for name in names if is_auxiliary(name)} for names in (tensors, own))
    for name in [name for name in tensors if name.partition(".")[0] in theirs - ours]:
        del tensors[name]
    tensors.update({name: own[name] for name in own if name.partition(".")[0] in ours - theirs})
    dropped = [f"{name}: left out, the network has no such auxiliary classifier" for name in sorted(theirs - ours)]
    return dropped + [f"{name}: newly initialized, the source has no such auxiliary classifier" for name in sorted(ours - theirs)]


def _match_heads(network: nn.Module, tensors: Tensors, own: Tensors, other_classes: bool) -> list[str]:
    """Keep the initialization of heads for other classes. other_classes: the classes differ, even if their number is the same."""
    heads, lines = heads_of(network), []
    if other_classes and not heads:
        lines.append("the network has no head with weights: all layers keep what they learnt from other classes")
    for head in heads:
        weight, mine = tensors.get(f"{head}.weight"), own[f"{head}.weight"]
        if weight is None or weight.shape[1:] != mine.shape[1:] or (len(weight) == len(mine) and not other_classes):
            continue
        tensors.update({name: own[name] for name in own if _layer(name) == head})
        lines.append(f"{head}: newly initialized for {_replaced(len(mine), len(weight), other_classes)}")
    return lines


def _replaced(mine: int, theirs: int, other_classes: bool) -> str:
    """Describe the outputs of a head and of the one it replaces; a single output scores two classes."""
    if 1 not in (mine, theirs):
        return f"{counted(mine, 'class', 'classes')} in place of the weights for {counted(theirs, 'other')}"
    outputs = {count: "one output" if count == 1 else f"{count} outputs" for count in (mine, theirs)}
    return f"{outputs[mine]} in place of the weights for {outputs[theirs]}{' of other classes' if other_classes else ''}"


def _match_colours(network: nn.Module, tensors: Tensors, own: Tensors) -> list[str]:
    """Sum the first filters over the channels for gray images, equivalent to three equal channels."""
    first = next((f"{name}.weight" for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d)), "")
    if first not in tensors or (tensors[first].shape[1], own[first].shape[1]) != (3, 1):
        return []
    tensors[first] = tensors[first].sum(dim=1, keepdim=True)
    return [f"{first}: summed over the colours, as the images are gray"]


def _require_fit(network: nn.Module, tensors: Tensors, own: Tensors, model: str | None) -> None:
    missing = [name for name in own if name not in tensors and not name.endswith(COUNTER)]
    unexpected = [name for name in tensors if name not in own]
    others = [
        f"{name} {tuple(tensor.shape)}, not {tuple(own[name].shape)}"
        for name, tensor in tensors.items()
        if name in own and tensor.shape != own[name].shape
    ]
    found = {"missing": missing, "unexpected": unexpected, "of another shape": others}
    if any(found.values()):
        words = "; ".join(f"{len(names)} {what} ({_few(names)})" for what, names in found.items() if names)
        advice = f"Choose the model that they belong to{_hint(network, model)}"
        raise ConfigError(f"weights.source does not fit the network, tensors: {words}. {advice}", "weights.source")


def _few(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")


def _hint(network: nn.Module, model: str | None) -> str:
    """Return the published model of the weights, and the network's notes on its variant."""
    return (f", model={model}" if model else "") + "".join(f"; {note}" for note in getattr(network, "notes", []))
