"""What a config must satisfy beyond its types: known keys, ranges, values that go together.

The configure stage checks for all that follow it, so a changed rule re-runs that stage alone."""

import difflib
import re
from collections.abc import Callable, Mapping
from typing import Any

from pipeline.config.build import accepts
from pipeline.config.composition import Tree, get, has, leaves, parse
from pipeline.config.errors import ConfigError

# Mappings whose entries people name themselves.
OPEN = ("model.layers", "augmentation.transforms", "dataset.sources.files", "dataset.splits")

PASSWORD = re.compile(r"://[^/@]*:[^/@]*@")

Rule = tuple[Callable[[Any], bool], str]


def above(low: float) -> Rule:
    return lambda value: value > low, f"a number above {low}"


def at_least(low: float) -> Rule:
    return lambda value: value >= low, f"{low} or more"


def share(value_below: float = 1) -> Rule:
    return lambda value: 0 <= value < value_below, f"a share from 0 to below {value_below}"


def one_of(*options: str) -> Rule:
    return lambda value: value in options, "one of " + ", ".join(options)


RULES: dict[str, Rule] = {
    "seed": at_least(0),
    "dataset.channels": (lambda value: value in (1, 3), "1 (gray) or 3 (colour)"),
    "dataset.split.validation": share(),
    "dataset.split.test": share(),
    "dataset.split.seed": at_least(0),
    "resize.size": (lambda value: 4 <= value <= 4096, "4 to 4096 pixels"),
    "resize.method": one_of("stretch", "letterbox", "crop"),
    "resize.max_refused": share(),
    "optimizer.lr": above(0),
    "optimizer.momentum": share(),
    "optimizer.weight_decay": at_least(0),
    "training.epochs": at_least(1),
    "training.batch_size": at_least(1),
    "training.patience": at_least(1),
    "training.divergence": above(1),
    "training.threads": at_least(1),
    "training.workers": at_least(0),
    "training.monitor": one_of("validation/loss", "validation/accuracy"),
    "evaluate.batch_size": at_least(1),
    "evaluate.confidence": (lambda value: 0 < value < 1, "a level between 0 and 1"),
    "evaluate.hardest": at_least(0),
}


def check(params: Tree, base: Tree) -> None:
    """Refuse a composed config that can't work; base: conf/ under the same choices, whose keys are the known ones.

    Raises ConfigError naming the key, what was expected and what came."""
    for key in unknown_keys(params, base):
        raise ConfigError(unknown_key(key, [name for name, _ in leaves(base)]))
    parse(params)
    for key, (is_right, expected) in RULES.items():
        if has(params, key) and (value := get(params, key)) is not None and not _holds(is_right, value):
            raise ConfigError(f"{key} must be {expected}, but it is {value!r}")
    for split in params["dataset"]["splits"] or {}:
        if split not in ("train", "validation", "test"):
            raise ConfigError(f"dataset.splits.{split} must be one of train, validation, test")
    if (uri := params["tracking"]["uri"]) and PASSWORD.search(uri):
        raise ConfigError("tracking.uri holds a password, which would end up in git; give it by MLFLOW_TRACKING_URI")
    if any(PASSWORD.search(mirror) for mirror in params["dataset"]["sources"]["mirrors"]):
        raise ConfigError(
            "dataset.sources.mirrors holds a password, which would end up in git; fetch the files once by other means and name file://…"
        )
    if not (params["dataset"]["sources"]["folder"] or params["dataset"]["sources"]["mirrors"]):
        raise ConfigError("dataset.sources.mirrors is empty, so dataset.sources.files can't be fetched: give one base URL or more")


def unknown_key(key: str, known: list[str]) -> str:
    """Word the refusal of an unknown key with the nearest known one."""
    near = difflib.get_close_matches(key, known, n=1) or [name for name in known if name.split(".")[-1] == key.split(".")[-1]]
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"{key} is not a key of conf/{hint}"


def unknown_keys(tree: Mapping[str, Any], base: Tree) -> list[str]:
    """Return the dotted keys of tree that base lacks and that no open mapping or `_target_` signature takes."""
    return [key for key, _ in leaves(tree) if not _is_known(key, base)]


def _is_known(key: str, base: Tree) -> bool:
    if any(key == name or key.startswith(f"{name}.") for name in OPEN):
        return True
    node: Any = base
    parts = key.split(".")
    for i, part in enumerate(parts):
        if isinstance(node, dict) and part in node:
            node = node[part]
        elif isinstance(node, dict) and "_target_" in node and i == len(parts) - 1:
            return accepts(node["_target_"], part)
        else:
            return node is None  # null stands for a mapping that may be given
    return True


def _holds(is_right: Callable[[Any], bool], value: Any) -> bool:
    try:
        return bool(is_right(value))
    except TypeError:
        return False
