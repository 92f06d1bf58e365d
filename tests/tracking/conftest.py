import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline.bundle import TRAINED_WITH, Bundle, make_network, write_bundle
from pipeline.config.schema import Config
from pipeline.dataset.manifest import Manifest
from pipeline.tracking.events import EventLog
from pipeline.tracking.run import Run, begin
from pipeline.tracking.store import Store

MakeBundle = Callable[..., Bundle]


@pytest.fixture
def store(home: Path, cfg: Config) -> Store:
    return Store(cfg.tracking, home)


@pytest.fixture
def trained(cfg: Config, manifest: Manifest, tmp_path: Path) -> MakeBundle:
    """Makes a bundle of one epoch that had this validation loss."""

    def make(loss: float, of: Manifest = manifest) -> Bundle:
        folder = tmp_path / f"bundle-{loss}-{of.data_digest[:4]}"
        folder.mkdir()
        row = {"epoch": 1.0, "validation/loss": loss, "validation/accuracy": 0.5}
        config = {node: value for node, value in dataclasses.asdict(cfg).items() if node in TRAINED_WITH}
        filters = np.linspace(-1, 1, 2 * 8 * 9, dtype=np.float32).reshape(2, 8, 1, 3, 3)
        write_bundle(folder, make_network(cfg.model, of, None), of, config, row, [row], filters)
        return Bundle.read(folder)

    return make


@pytest.fixture
def begun(home: Path, cfg: Config, manifest: Manifest) -> Iterator[Run]:
    """A run whose training goes on, and whose log nobody uploads yet."""
    run = Run(EventLog(home))
    begin(run, dataclasses.asdict(cfg), manifest)
    yield run
    run.events.close()
