"""Which keys a config may have: those of conf/, the options of the classes that it names, and what people name themselves."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.config.checks.targets import signature_at
from pipeline.config.composition import Tree, get, has, leaves

# Mappings whose entries people name themselves.
OPEN = ("model.layers", "augmentation.transforms", "dataset.sources.files", "dataset.splits", "dataset.take")


def unknown_key(key: str, known: list[str]) -> str:
    """Word the refusal of an unknown key with the nearest known one."""
    same_end = [name for name in known if name.split(".")[-1] == key.split(".")[-1]]
    return f"{key} is not a key of conf/{nearest(key, known) or nearest(key, same_end, cutoff=0)}"


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """Return the question after the nearest known name, or nothing."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return f"; did you mean {near[0]}?" if near else ""


def unknown_keys(tree: Mapping[str, Any], base: Tree) -> list[str]:
    """Return the dotted keys of tree that base lacks and that no open mapping or `_target_` signature takes."""
    return [key for key, _ in leaves(tree) if not _is_known(key, tree, base)]


def _is_known(key: str, tree: Mapping[str, Any], base: Tree) -> bool:
    if any(key == name or key.startswith(f"{name}.") for name in OPEN):
        return True
    node: Any = base
    parts = key.split(".")
    for i, part in enumerate(parts):
        if isinstance(node, dict) and part in node:
            node = node[part]
        elif isinstance(node, dict) and "_target_" in node and i == len(parts) - 1:
            return _takes(".".join(parts[:-1]), part, tree, node)
        else:
            return node is None  # null stands for a mapping that may be given
    return True


def _takes(key: str, option: str, tree: Mapping[str, Any], node: Tree) -> bool:
    """Tell whether the class that stands at `key` takes the option; the tree may name another class than conf/ does."""
    target = f"{key}._target_"
    return signature_at(key, {"_target_": get(dict(tree), target)} if has(dict(tree), target) else node).takes(option)
