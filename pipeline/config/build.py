"""A config node with `_target_` becomes an object: only of allowed packages, only of the expected kind.

Hydra's `instantiate` is not used: it runs whatever it is given (docs/decisions/0004)."""

import difflib
import importlib
import inspect
from typing import Any, TypeVar

from pipeline.config.errors import ConfigError

Kind = TypeVar("Kind")

ALLOWED = ("pipeline.model.", "torch.nn.", "torch.optim.", "albumentations.")


def build(key: str, node: dict[str, Any], kind: type[Kind], *args: Any, **given: Any) -> Kind:
    """Construct the class that node["_target_"] names from the node's other keys.

    key: where the node stands in the config, for messages. args, given: what the data decides.
    Raises ConfigError for a target outside the allow-list or of another kind, and for arguments it does not take."""
    target = _resolve(key, node.get("_target_"), kind)
    options = {name: value for name, value in node.items() if name not in ("_target_", "name")}
    for name in options:
        if not _takes(target, name):
            near = difflib.get_close_matches(name, inspect.signature(target).parameters, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ConfigError(f"{key}.{name} is not an option of {node['_target_']}{hint}")
    try:
        return target(*args, **{name: value for name, value in given.items() if _takes(target, name)}, **options)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{key}: {node['_target_']} refused its options: {error}") from error


def accepts(target: str, option: str) -> bool:
    """Tell whether the allowed class `target` takes an argument of this name."""
    return _takes(_resolve("_target_", target, object), option)


def _takes(target: type, name: str) -> bool:
    parameters = inspect.signature(target).parameters
    return name in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def _resolve(key: str, target: Any, kind: type[Kind]) -> type[Kind]:
    if not isinstance(target, str) or not target.startswith(ALLOWED):
        raise ConfigError(f"{key}._target_ must name a class below {', '.join(ALLOWED)}; got {target!r}. Nothing was imported")
    module, _, name = target.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{key}._target_: there is no {target}: {error}") from error
    if not (inspect.isclass(found) and issubclass(found, kind)):
        raise ConfigError(f"{key}._target_: {target} is not a {kind.__module__}.{kind.__name__}")
    return found
