import importlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.config.paths import Places
from pipeline.config.schema import Config

Stage = Callable[..., Any]


@pytest.fixture
def live(home: Path, prepared: Path, written_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a live run that has its own images and network; its project's root is `home`."""
    monkeypatch.setenv("DVC_ROOT", str(home))
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    (folder := tmp_path / "run").mkdir()
    (folder / "prepared").symlink_to(prepared)
    (folder / "bundle").symlink_to(written_bundle)
    return folder


@pytest.fixture
def stage(cfg: Config, live: Path) -> Stage:
    """Does a stage's work in the live run, as `entry` has it do; returns what the stage returns."""

    def do(name: str) -> Any:
        return work_of(f"pipeline.stage.{name}")(cfg, Places(live))

    return do


def work_of(module: str) -> Callable[[Config, Places], Any]:
    """Return what `entry` makes a command of."""
    work: Callable[[Config, Places], Any] = inspect.getclosurevars(importlib.import_module(module).main).nonlocals["main"]
    return work
