import copy
import functools
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.bundle import TRAINED_WITH, Bundle, make_network, write_bundle
from pipeline.config.compose import compose, parse, resolved
from pipeline.config.schema import Config
from pipeline.config.tree import Tree
from pipeline.dataset.manifest import Manifest
from pipeline.dataset.resize import resize
from tests.project import environment
from tests.samples import CLASSES, CONF, EACH, SMALL_NETWORK, bars, write_idx_split
from tests.warm import Warm

torch.set_num_threads(1)  # more threads fight with other processes, and give other weights

Compose = Callable[..., Tree]

UNTIL, FROM = "SLOW_TESTS_UNTIL", "SLOW_TESTS_FROM"  # set by .ci/run, whose time is limited: seconds since 1970, and which test begins


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin the slow tests at another one for each commit, so that those for which no time is left differ from run to run."""
    if FROM in os.environ and items:
        first = int(os.environ[FROM]) % len(items)
        items[:] = items[first:] + items[:first]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("slow") and time.time() > float(os.environ.get(UNTIL, "inf")):
        pytest.skip("no time is left for this slow test in this run")


MakeConfig = Callable[..., Config]


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What belongs first on the PATH of those who start commands in number: their interpreters are ready (tests/warm.py)."""
    with Warm(tmp_path_factory.mktemp("warm") / "bin", environment()) as warm:
        yield warm.folder


@pytest.fixture(scope="session")
def conf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of conf/ without what this working copy changes on top."""
    copied = tmp_path_factory.mktemp("project") / "conf"
    shutil.copytree(CONF, copied, ignore=shutil.ignore_patterns("local"))
    return copied


@pytest.fixture(scope="session")
def composed(conf: Path) -> Compose:
    """Returns conf/ under some overrides, composed once; not to be changed."""
    return functools.cache(lambda *overrides: compose(conf, list(overrides)))


@pytest.fixture(scope="session")
def config(composed: Compose) -> MakeConfig:
    """Returns conf/ under some overrides, parsed."""
    return lambda *overrides: parse(resolved(composed(*overrides)))


@pytest.fixture(scope="session")
def small_config(config: MakeConfig) -> Config:
    """A config for the images of `prepared`."""
    cfg = config("dataset=mnist", "resize.size=8", "training.epochs=3", "training.batch_size=4", "training.threads=1", "augmentation=none")
    cfg.dataset.classes = list(CLASSES)
    cfg.dataset.splits = {split: split for split in EACH}
    cfg.model = copy.deepcopy(SMALL_NETWORK)
    return cfg


@pytest.fixture
def cfg(small_config: Config) -> Config:
    """The same, to be changed by one test."""
    return copy.deepcopy(small_config)


@pytest.fixture(scope="session")
def prepared(small_config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared 8x8 gray images of three classes: 12 of train, 9 of validation, 6 of test; not to be written to."""
    raw, folder = tmp_path_factory.mktemp("raw"), tmp_path_factory.mktemp("prepared")
    rng = np.random.default_rng(0)
    for split, each in EACH.items():
        labels = [label for label in range(len(CLASSES)) for _ in range(each)]
        write_idx_split(raw, split, np.concatenate([bars(label, each, rng) for label in range(len(CLASSES))]), labels)
    resize(small_config, raw, folder, raw.parent / "data.html", raw.parent / "chunks")
    return folder


@pytest.fixture(scope="session")
def manifest(prepared: Path) -> Manifest:
    return Manifest.read(prepared)


@pytest.fixture(scope="session")
def written_bundle(small_config: Config, manifest: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of an untrained network; not to be written to."""
    folder = tmp_path_factory.mktemp("bundle")
    torch.manual_seed(0)
    network = make_network(small_config.model, manifest, None)
    config = {node: asdict(small_config)[node] for node in TRAINED_WITH}
    metrics = {"train/accuracy": 0.5, "train/loss": 1.0, "validation/accuracy": 0.4, "validation/loss": 1.1, "learning_rate": 0.003}
    history = [{"epoch": epoch, **metrics} for epoch in (1, 2)]
    trained = next(layer for layer in network.modules() if isinstance(layer, torch.nn.Conv2d)).weight.detach().numpy()
    filters = np.stack([trained - 0.1, trained, trained + 0.1])  # before training, after each epoch; the first is kept
    write_bundle(folder, network, manifest, config, history[0], history, filters)
    return folder


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store's database with nothing in its tables, which MLflow takes seconds to make."""
    from mlflow import MlflowClient  # seconds, for those alone who ask

    database = tmp_path_factory.mktemp("tables") / "mlflow.db"
    MlflowClient(f"sqlite:///{database}").search_experiments()
    return database


@pytest.fixture
def home(tables: Path, tmp_path: Path) -> Path:
    """A project's root with an empty store."""
    (tmp_path / "home").mkdir()
    shutil.copy(tables, tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def bundle_folder(written_bundle: Path, tmp_path: Path) -> Path:
    """The same, to be damaged by one test."""
    return Path(shutil.copytree(written_bundle, tmp_path / "bundle"))


@pytest.fixture
def bundle(bundle_folder: Path) -> Bundle:
    return Bundle.read(bundle_folder)
