"""Hydra's compositions remembered, and YAML read in C: half of a script's time is the composition of a conf/ that was composed before."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml
from dvc.utils.serialize import _yaml as dvc_yaml
from hydra.core.global_hydra import GlobalHydra

from pipeline.config import compose as composition

WITHOUT_LOCAL = "~local"


@contextmanager
def remembered_compositions() -> Iterator[None]:
    """Let `compose` of pipeline.config.compose ask Hydra once for the same files and words."""
    known: dict[tuple[str, ...], Any] = {}
    ask: Callable[..., Any] = composition.hydra_compose

    def compose(name: str, overrides: list[str]) -> Any:
        loader = GlobalHydra.instance().config_loader()
        (place,) = [path.path for path in loader.get_search_path().get_path() if path.provider == "main"]
        conf = Path(place.removeprefix("file://"))
        files = sorted(path for path in conf.rglob("*.yaml") if WITHOUT_LOCAL not in overrides or path.parent.name != "local")
        key = (*(f"{path.relative_to(conf)}:{path.read_text()}" for path in files), *(word for word in overrides if word != WITHOUT_LOCAL))
        if key not in known:
            known[key] = ask(name, overrides=overrides)
        return known[key]

    with (
        patch.object(composition, "hydra_compose", compose),
        patch.object(yaml, "SafeLoader", yaml.CSafeLoader),  # OmegaConf's
        patch.object(dvc_yaml, "parse_yaml", lambda text, path, typ="safe": yaml.load(text, yaml.CSafeLoader) or {}),
    ):
        yield
