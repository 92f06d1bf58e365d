"""Let a network begin with the weights that the config names, and take some of its layers out of the training."""

from collections.abc import Iterable
from pathlib import Path

from torch import nn

from pipeline.config.counted import counted
from pipeline.config.errors import ConfigError
from pipeline.config.schema import Config
from pipeline.config.urls import without_credentials
from pipeline.model.heads import heads_of, is_auxiliary
from pipeline.weights.freezing import freeze
from pipeline.weights.given import Given, Tensors, read_given
from pipeline.weights.names import in_our_names, notes_of

COUNTER = "num_batches_tracked"  # of batch norm; older files have none, and nothing is computed with it
SHOWN = 3  # tensors that a refusal names
TRANSFORMED = "googlenet_torchvision"  # the one whose published weights expect another normalisation than ImageNet's


def start_from_weights(cfg: Config, network: nn.Module, classes: list[str], root: Path) -> list[str]:
    """Fill and freeze `network` as `cfg.weights` says; return what was done, in lines to print.

    classes: of the images, index = label. root: as of `read_given`, which says what is raised beside ConfigError for weights
    that do not fit and for layers to freeze that are not there."""
    weights, lines = cfg.weights, []
    if weights.source:
        given = read_given(weights, cfg.fetch, root)
        lines.append(f"{cfg.model['name']} begins with the weights of {without_credentials(weights.source)}, sha256 {weights.sha256}")
        lines += fill(network, given, classes, str(weights.names))
        if given.model == TRANSFORMED:
            lines.append(f"{TRANSFORMED}: these weights were trained with transform_input, on pixels of mean 0.5 and deviation 0.5")
    if weights.freeze:
        freeze(network, weights.freeze)
        learning = _count(parameter for parameter in network.parameters() if parameter.requires_grad)
        lines.append(f"frozen: {', '.join(weights.freeze)}; {learning:,} of {_count(network.parameters()):,} parameters learn")
    return lines


def fill(network: nn.Module, given: Given, classes: list[str], names: str) -> list[str]:
    """Put given tensors into the network; return where they were not taken as they are, in lines to print.

    The scores of other classes keep their first values; colour filters are summed over the colours for gray images.
    Raises ConfigError naming the tensors where something else does not fit."""
    own = network.state_dict()
    tensors = in_our_names(given.tensors, network, names, given.model)
    lines = _match_auxiliary(tensors, own) + _match_heads(network, tensors, own, given.classes not in (None, classes))
    lines += _match_colours(network, tensors, own)
    _require_fit(network, tensors, own, given.model)
    network.load_state_dict(own | tensors)
    return lines


def _count(parameters: Iterable[nn.Parameter]) -> int:
    return sum(parameter.numel() for parameter in parameters)


def _match_auxiliary(tensors: Tensors, own: Tensors) -> list[str]:
    """Leave out auxiliary modules that the network has not, and leave alone those that the source has not."""
    theirs, ours = ({name.partition(".")[0] for name in names if is_auxiliary(name)} for names in (tensors, own))
    for name in [name for name in tensors if name.partition(".")[0] in theirs - ours]:
        del tensors[name]
    tensors.update({name: own[name] for name in own if name.partition(".")[0] in ours - theirs})
    left = [f"{name}: left out, the network has no such auxiliary scores" for name in sorted(theirs - ours)]
    return left + [f"{name}: first values, the source has no such auxiliary scores" for name in sorted(ours - theirs)]


def _match_heads(network: nn.Module, tensors: Tensors, own: Tensors, other_classes: bool) -> list[str]:
    """Leave the scores of other classes at their first values; other_classes: their number may be the same."""
    heads, lines = heads_of(network), []
    if other_classes and not heads:
        lines.append("the scores have no weights of their own: all layers keep what they learnt of other classes")
    for head in heads:
        weight, mine = tensors.get(f"{head}.weight"), own[f"{head}.weight"]
        if weight is None or weight.shape[1:] != mine.shape[1:] or (len(weight) == len(mine) and not other_classes):
            continue
        tensors.update({name: own[name] for name in own if name.rpartition(".")[0] == head})
        lines.append(f"{head}: first values for {_replaced(len(mine), len(weight), other_classes)}")
    return lines


def _replaced(mine: int, theirs: int, other_classes: bool) -> str:
    """Word which scores a head has and which it leaves; one output scores two classes, so that other outputs may be of the same."""
    if 1 not in (mine, theirs):
        return f"{counted(mine, 'class', 'classes')} in place of the weights for {counted(theirs, 'other')}"
    outputs = {count: "one output" if count == 1 else f"{count} outputs" for count in (mine, theirs)}
    return f"{outputs[mine]} in place of the weights for {outputs[theirs]}{' of other classes' if other_classes else ''}"


def _match_colours(network: nn.Module, tensors: Tensors, own: Tensors) -> list[str]:
    """Sum the first filters over the colours for gray images: so they answer as to the same picture in three equal colours."""
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
    found = {"missing": missing, "that the network has not": unexpected, "of another shape": others}
    if any(found.values()):
        words = "; ".join(f"{len(names)} {what} ({_few(names)})" for what, names in found.items() if names)
        raise ConfigError(
            f"weights.source does not fit the network, tensors: {words}. Choose the model that they are of"
            f"{f', model={model}' if model else ''}{notes_of(network)}",
            "weights.source",
        )


def _few(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
