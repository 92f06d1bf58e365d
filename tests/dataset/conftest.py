import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.config.schema import Decode
from tests.conftest import MakeConfig
from tests.dataset.mirrors import Mirrors, serving
from tests.project import ROOT


@pytest.fixture(scope="session")
def how(config: MakeConfig) -> Decode:
    """The decoding of conf/; not to be changed."""
    return config().decode


def unpacked(archive: str, folder: Path) -> Path:
    if "IMAGE_DATA" not in os.environ:
        pytest.skip("IMAGE_DATA names no folder of real images")
    with tarfile.open(ROOT / os.environ["IMAGE_DATA"] / archive) as files:
        files.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="session")
def odd_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpacked("odd-images/odd-images.tar.gz", tmp_path_factory.mktemp("odd")) / "odd-images"


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return sorted(unpacked("cats-dogs/cats-dogs.tar.gz", tmp_path_factory.mktemp("photos")).rglob("*.jpg"))


@pytest.fixture
def mirrors(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirrors]:
    monkeypatch.setenv("no_proxy", "*")
    with serving() as server:
        yield server


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return tmp_path / "raw"


@pytest.fixture
def downloads(tmp_path: Path) -> Path:
    return tmp_path / "downloads"
