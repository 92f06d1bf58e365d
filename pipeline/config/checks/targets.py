"""The nodes that name a class by `_target_`: is it allowed, is it of the kind that its place expects, does it take these options.

Nothing is imported for that: the classes are read from their source. `build()` looks again when it constructs them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pipeline.config.build import allowed, unknown_option
from pipeline.config.checks.kinds import in_words, misfit, shown
from pipeline.config.checks.signatures import Signature, find, is_a, signature
from pipeline.config.composition import Tree
from pipeline.config.errors import ConfigError


@dataclass(frozen=True)
class Place:
    """What a place of the config expects, and which arguments it gives itself: by name, or the first one."""

    kind: str
    given: tuple[str, ...] = ()
    gives_first: bool = False
    never: dict[str, str] = field(default_factory=dict)  # classes of that kind that can't be had, and why


PLATEAU = (
    "steps by what was measured, after Lightning's checkpoint of the epoch is written: a training that was killed would go on "
    "with other rates. Choose scheduler=cosine or step; training.patience stops on a plateau"
)

PLACES = {
    "model": Place("torch.nn.modules.module.Module", ("in_channels", "num_classes", "image_size")),
    "optimizer": Place("torch.optim.optimizer.Optimizer", gives_first=True),
    "scheduler": Place(
        "torch.optim.lr_scheduler.LRScheduler",
        ("steps",),
        gives_first=True,
        never={"torch.optim.lr_scheduler.ReduceLROnPlateau": PLATEAU},
    ),
    "loss": Place("torch.nn.modules.module.Module"),
    "augmentation.transforms": Place("albumentations.core.transforms_interface.BasicTransform"),
}


def check_targets(params: Tree) -> None:
    """Raise ConfigError for the first node whose class is not allowed, not there, of another kind, or takes no such option."""
    for key, node, place in targets(params):
        if not isinstance(node, dict):
            raise ConfigError(f"{key} must be a mapping such as {{_target_: …}}, but it is {shown(node)}", key)
        _check_options(key, node, signature_at(key, node, place), place)


def targets(params: Tree) -> Iterator[tuple[str, Any, Place]]:
    """Yield (key, node, place) for every node that names a class; what is no mapping at all is the types' affair."""
    for key, place in PLACES.items():
        group, _, below = key.partition(".")
        node = params.get(group)
        if not below and isinstance(node, dict):
            yield key, node, place
        elif isinstance(node, dict) and isinstance(node.get(below), dict):
            yield from ((f"{key}.{name}", entry, place) for name, entry in node[below].items() if entry is not None)


def signature_at(key: str, node: Tree, place: Place | None = None) -> Signature:
    """Return what the node's class takes; raises ConfigError where it is not allowed, not there, or not of the place's kind."""
    target = allowed(key, node.get("_target_"))
    found = find(target)
    if found is None:
        raise ConfigError(f"{key}._target_: there is no class {target}", f"{key}._target_")
    if place and found.name in place.never:
        raise ConfigError(f"{key}._target_: {target} {place.never[found.name]}", f"{key}._target_")
    if place and not is_a(found, place.kind):
        raise ConfigError(f"{key}._target_: {target} is not a {place.kind}", f"{key}._target_")
    return signature(found)


def _check_options(key: str, node: Tree, takes: Signature, place: Place) -> None:
    given = {*place.given, *list(takes.options)[: place.gives_first]}
    for name, value in node.items():
        option = f"{key}.{name}"
        if name in ("_target_", "name"):
            continue
        if name in given:
            raise ConfigError(f"{option} is decided by what is trained; leave it out", option)
        if not takes.takes(name):
            raise ConfigError(unknown_option(option, node["_target_"], takes.options.keys() - given), option)
        if wrong := misfit(option, value, takes.options.get(name)):
            words = in_words(wrong[2]) or f"left out: what {node['_target_']} takes there can't be written in YAML"
            raise ConfigError(f"{wrong[0]} must be {words}, but it is {shown(wrong[1])}", wrong[0])
    for name in takes.required:
        if name not in given and name not in node:
            raise ConfigError(f"{key}.{name} is missing, which {node['_target_']} needs", f"{key}.{name}")
