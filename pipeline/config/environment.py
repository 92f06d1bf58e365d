"""No value of the environment in a config: OmegaConf's oc.env refuses, in whatever way a text leads to it.

yaml_files.py and live.py name the line or the word where they can see it; `${oc.${part}:X}` is seen when it is resolved."""

from typing import Any, NoReturn

from omegaconf import OmegaConf
from omegaconf.errors import InterpolationResolutionError

RESOLVER = "oc.env"


class ReadsEnvironmentError(InterpolationResolutionError):
    """A config would read the environment; of OmegaConf's kind, so that its words come through."""


def reads_environment(key: str) -> str:
    """Word the refusal of a value that is read from the environment."""
    return (
        f"{key} reads the environment, and what it reads would end up in params.yaml, git and MLflow; "
        "write the value itself, or give it to the tool that needs it by its own environment variable"
    )


def close_environment() -> None:
    """Let OmegaConf's oc.env refuse, in this process."""
    OmegaConf.register_new_resolver(RESOLVER, _refuse, replace=True)


def _refuse(*_: Any, _node_: Any) -> NoReturn:
    raise ReadsEnvironmentError(reads_environment(_node_._get_full_key(None)))
