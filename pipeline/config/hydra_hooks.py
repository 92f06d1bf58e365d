"""Where Hydra has no place for others to look and refuse: before it writes anything, and before a sweep's jobs start.

What its own callbacks raise becomes a warning, so two of its names are replaced while it works; requirements.lock pins it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import hydra._internal.hydra as hydras
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig

Look = Callable[[DictConfig], None]
Wrap = Callable[[Launcher, Any, DictConfig], Launcher]


@contextmanager
def looking(look: Look, wrap: Wrap) -> Iterator[None]:
    """Let `look` see the whole config, Hydra's part included, of a run or a sweep; put `wrap` around a sweep's launcher."""
    callbacks, instantiate = hydras.Callbacks, Plugins.instantiate_launcher

    def looked(config: DictConfig) -> Any:
        look(config)
        return callbacks(config)

    def instantiated(plugins: Plugins, hydra_context: Any, task_function: Any, config: DictConfig) -> Launcher:
        return wrap(instantiate(plugins, hydra_context, task_function, config), hydra_context.config_loader, config)

    hydras.Callbacks, Plugins.instantiate_launcher = looked, instantiated  # type: ignore[misc, assignment, method-assign]
    try:
        yield
    finally:
        hydras.Callbacks, Plugins.instantiate_launcher = callbacks, instantiate  # type: ignore[misc, method-assign]
