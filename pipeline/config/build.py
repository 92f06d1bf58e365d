"""A config node with `_target_` becomes an object: only of allowed packages, only of the expected kind, only with options it takes.

Hydra's `instantiate` is not used: it runs whatever it is given (docs/decisions/0004)."""

import collections.abc
import importlib
import inspect
import re
import sys
import typing
from typing import Any, TypeVar

from pipeline.config.errors import ConfigError
from pipeline.config.value_types import in_words, misfit
from pipeline.config.wording import shown, unknown

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

    key: where the node stands in the config, for messages. args, given: what the data decides, so that the node must not.
    Raises ConfigError for a target outside the allow-list or of another kind, and for options that its signature or it itself refuses."""
    target = resolve(key, node.get("_target_"), kind)
    parameters = inspect.signature(target).parameters
    options = {name: value for name, value in node.items() if name not in ("_target_", "name")}
    check_options(key, node["_target_"], target, options, {*list(parameters)[: len(args)], *given})
    try:
        return target(*args, **{name: value for name, value in given.items() if takes(target, name)}, **options)
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


def resolve(key: str, target: Any, kind: type[Kind]) -> type[Kind]:
    """Import the class that an allowed target names; raises ConfigError where there is none, or one that is no `kind`."""
    module, _, name = allowed(key, target).rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{key}._target_: there is no class {target}: {error}", f"{key}._target_") from error
    if not (inspect.isclass(found) and issubclass(found, kind)):
        raise ConfigError(f"{key}._target_: {target} is not a {kind.__module__}.{kind.__name__}", f"{key}._target_")
    return found


def check_options(key: str, named: str, target: type, options: dict[str, Any], given: set[str]) -> None:
    """Refuse what the signature of `target` does not take, by name and type, and what it needs and does not get."""
    parameters = inspect.signature(target).parameters
    for name, value in options.items():
        option = f"{key}.{name}"
        if name in given:
            raise ConfigError(f"{option} is decided by what is trained; leave it out", option)
        if not takes(target, name):
            raise ConfigError(unknown(option, f"an option of {named}", parameters.keys() - given, name), option)
        is_default = value is None and name in parameters and parameters[name].default is None  # whatever the annotation says
        if not is_default and (wrong := misfit(option, value, _hint(target, parameters.get(name)))):
            words = in_words(wrong[2]) or f"left out: what {named} takes there can't be written in YAML"
            raise ConfigError(f"{wrong[0]} must be {words}, but it is {shown(wrong[1])}", wrong[0])
    for name, each in parameters.items():
        is_needed = each.default is each.empty and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
        if is_needed and name not in given and name not in options:
            raise ConfigError(f"{key}.{name} is missing, which {named} needs", f"{key}.{name}")


def takes(target: type, name: str) -> bool:
    """Tell whether a class takes an option of this name."""
    parameters = inspect.signature(target).parameters
    return name in parameters or any(each.kind is each.VAR_KEYWORD for each in parameters.values())


def _hint(target: type, parameter: inspect.Parameter | None) -> Any:
    """Return the type of what a class takes; Any where it has none, or none that can be read."""
    hint: Any = parameter.annotation if parameter else Any
    if not isinstance(hint, str):
        return Any if hint is inspect.Parameter.empty else hint
    names = {**vars(collections.abc), **vars(typing)}  # which some import for a type checker alone
    for above in reversed(target.__mro__):
        names |= vars(sys.modules[above.__module__])
    try:
        return eval(hint, names)  # noqa: S307  # the text is the library's own
    except (NameError, TypeError, AttributeError):
        return Any


def _named_in(message: str, key: str, node: dict[str, Any]) -> str:
    """Return the key below the node that a message begins with, `layers.conv1.kernel must be …`, or the node's own."""
    found: Any = node
    for part in message.split(":")[0].split(" ")[0].split("."):
        if not isinstance(found, dict) or part not in found:
            break
        key, found = f"{key}.{part}", found[part]
    return key
