import shutil
from pathlib import Path

import pytest

from tests.config.copies import Copy


@pytest.fixture(scope="session")
def configured(conf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = Copy(tmp_path_factory.mktemp("configured"))
    shutil.copytree(conf, project.root / "conf")
    for group, option in {
        "dataset": "digits",
        "model": "cnn",
        "augmentation": "shift",
        "optimizer": "adamw",
        "scheduler": "cosine",
    }.items():
        project.default(group, option)
    for key, value in {"epochs": 30, "batch_size": 32, "patience": 10}.items():
        project.value("conf/training/default.yaml", key, value)
    for optimizer, rate in {"adamw": 0.003, "sgd": 0.02}.items():
        project.value(f"conf/optimizer/{optimizer}.yaml", "lr", rate)
    project.value("conf/optimizer/sgd.yaml", "momentum", 0.9)
    project.configure()
    return project.root


@pytest.fixture
def project(configured: Path, tmp_path: Path) -> Copy:
    """A working copy in which everything is up to date; the values that the tests name do not change with conf/."""
    return Copy(shutil.copytree(configured, tmp_path / "project"))
