"""Names of classes that YAML does not read as text: 1e3 is a number to it, true and null are none either."""

from collections.abc import Mapping
from typing import Any

from pipeline.config.checks.kinds import shown
from pipeline.config.composition import Tree
from pipeline.config.errors import ConfigError


def check_class_names(params: Tree) -> None:
    """Raise ConfigError for a name in dataset.classes or dataset.take that is not what its folder is called; whole numbers pass."""
    dataset = params["dataset"]
    if isinstance(dataset["classes"], list):
        _check("dataset.classes", dataset["classes"])
    if isinstance(dataset["take"], Mapping):
        _check("dataset.take", [*dataset["take"], *dataset["take"].values()])


def _check(key: str, names: list[Any]) -> None:
    for name in names:
        if isinstance(name, bool) or not isinstance(name, str | int):
            raise ConfigError(
                f"{key} must name classes, but {shown(name)} is no text to YAML: write the name in quotes as the folder has it, "
                "in a file of conf/, such as '1e3' or 'true'",
                key,
            )
