"""A config node with `_target_` becomes an object: only of allowed packages, only of the expected kind.

Hydra's `instantiate` is not used: it runs whatever it is given (docs/decisions/0004)."""

import difflib
import importlib
import inspect
import re
from typing import Any, TypeVar

from pipeline.config.errors import ConfigError

Kind = TypeVar("Kind")

ALLOWED = (
    "pipeline.model.",
    "pipeline.training.losses.",
    "pipeline.training.optimizers.",
    "pipeline.training.schedules.",
    "torch.nn.",
    "torch.optim.",
    "albumentations.",
)


def build(key: str, node: dict[str, Any], kind: type[Kind], *args: Any, **given: Any) -> Kind:
    """Construct the class that node["_target_"] names from the node's other keys.

    key: where the node stands in the config, for messages. args, given: what the data decides.
    Raises ConfigError for a target outside the allow-list or of another kind, and for arguments it does not take."""
    target = _resolve(key, node.get("_target_"), kind)
    options = {name: value for name, value in node.items() if name not in ("_target_", "name")}
    for name in options:
        if not _takes(target, name):
            raise ConfigError(unknown_option(f"{key}.{name}", node["_target_"], inspect.signature(target).parameters), f"{key}.{name}")
    try:
        return target(*args, **{name: value for name, value in given.items() if _takes(target, name)}, **options)
    except Exception as error:  # a class may refuse by any of them
        words = " ".join(str(error).split()).partition(" For further information")[0]
        raise ConfigError(f"{key}: {node['_target_']} refused its options: {words}", _named_in(words, key, node)) from error


def allowed(key: str, target: Any) -> str:
    """Return a target that is a plain dotted name below the allowed packages; raises ConfigError for anything else."""
    if not isinstance(target, str) or not target.startswith(ALLOWED) or not re.fullmatch(r"[\w.]+", target, re.ASCII):
        raise ConfigError(
            f"{key}._target_ must name a class below {', '.join(ALLOWED)}; got {target!a}. Nothing was imported", f"{key}._target_"
        )
    return target


def unknown_option(key: str, target: str, known: Any) -> str:
    """Word the refusal of an option that a class does not take, with the nearest that it takes."""
    near = difflib.get_close_matches(key.rpartition(".")[2], known, n=1)
    return f"{key} is not an option of {target}{f'; did you mean {near[0]}?' if near else ''}"


def _takes(target: type, name: str) -> bool:
    parameters = inspect.signature(target).parameters
    return name in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def _resolve(key: str, target: Any, kind: type[Kind]) -> type[Kind]:
    module, _, name = allowed(key, target).rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{key}._target_: there is no {target}: {error}", f"{key}._target_") from error
    if not (inspect.isclass(found) and issubclass(found, kind)):
        raise ConfigError(f"{key}._target_: {target} is not a {kind.__module__}.{kind.__name__}", f"{key}._target_")
    return found


def _named_in(message: str, key: str, node: dict[str, Any]) -> str:
    """Return the key below the node that a message begins with, `layers.conv1.kernel must be …`, or the node's own."""
    found: Any = node
    for part in message.split(":")[0].split(" ")[0].split("."):
        if not isinstance(found, dict) or part not in found:
            break
        key, found = f"{key}.{part}", found[part]
    return key
