"""What a newcomer adds by the table of docs/architecture.md takes the files that it names, and then works everywhere."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from pipeline.dataset.files import sha256
from tests.project import Project, small_project

NETWORK = '''\
"""A perceptron with one hidden layer."""

from torch import Tensor, nn


class Perceptron(nn.Module):
    """(B, C, H, W) -> (B, classes) through one hidden layer."""

    def __init__(self, in_channels: int, num_classes: int, image_size: int, units: int) -> None:
        super().__init__()
        pixels = in_channels * image_size**2
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(pixels, units), nn.ReLU(), nn.Linear(units, num_classes))

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)  # (B, num_classes)
'''

READER = '''\
"""A NumPy archive with `images` (N, H, W, C) and `labels` (N,)."""

from pathlib import Path

import numpy as np

from pipeline.config.schema import Dataset
from pipeline.config.splits import ALL
from pipeline.dataset.records import Sample, named


def npz(raw: Path, dataset: Dataset) -> list[Sample]:
    """Read shapes.npz; raises DataError for a label without a class."""
    data = np.load(raw / "shapes.npz")
    pairs = enumerate(zip(data["images"], data["labels"], strict=True))
    return [Sample(f"shapes.npz#{i}", named(int(label), dataset, f"shapes.npz#{i}"), ALL, image) for i, (image, label) in pairs]
'''


def add(project: Project) -> dict[str, int]:
    """Add a network, an augmentation and a data set of a new format; return file -> lines added."""
    project.write("pipeline/model/perceptron.py", NETWORK)
    project.write("conf/model/perceptron.yaml", "name: perceptron\n_target_: pipeline.model.perceptron.Perceptron\nunits: 32 # hidden\n")
    project.write("conf/augmentation/blur.yaml", "name: blur\ntransforms:\n  blur: {_target_: albumentations.GaussianBlur, p: 0.5}\n")
    rng = np.random.default_rng(0)
    labels = np.arange(90) % 3
    images = rng.integers(0, 60, (90, 12, 12, 1)) + labels[:, None, None, None] * 90
    archive = project.root.parent / "published" / "shapes.npz"
    archive.parent.mkdir()
    np.savez(archive, images=images.astype(np.uint8), labels=labels)
    project.write(
        "conf/dataset/shapes.yaml",
        "name: shapes\nsources:\n  folder: null\n"
        f"  mirrors: [{archive.parent.as_uri()}]\n  files:\n    all: {{name: shapes.npz, sha256: {sha256(archive)}}}\n"
        "reader: npz\nchannels: 1\nclasses: [dark, gray, light]\ntake: null\ncolumns: null\nsplits: null\n"
        "split: {validation: 0.2, test: 0.2, seed: 0, folds: null, fold: 0}\ntwins: {correlation: 0.995, across: keep}\n",
    )
    project.write("pipeline/dataset/formats/npz.py", READER)
    listed = "from pipeline.dataset.formats.parquet import parquet\n"
    project.edit("pipeline/dataset/readers.py", listed, f"from pipeline.dataset.formats.npz import npz\n{listed}")
    project.edit("pipeline/dataset/readers.py", '    "parquet": parquet,\n', '    "parquet": parquet,\n    "npz": npz,\n')
    project.ok("python", "-m", "pipeline.command.deps")
    project.ok("git", "add", "-A")
    counts = project.ok("git", "diff", "--cached", "--numstat").output.split("\n")
    return {path: int(added) for added, _, path in (line.split("\t") for line in counts if line)}


@pytest.mark.slow
def test_a_network_an_augmentation_and_a_data_set_work_by_the_files_that_the_table_names(tmp_path: Path) -> None:
    project = small_project(tmp_path / "project")

    files = add(project)

    assert set(files) == {
        "pipeline/model/perceptron.py",
        "conf/model/perceptron.yaml",
        "conf/augmentation/blur.yaml",
        "conf/dataset/shapes.yaml",
        "pipeline/dataset/formats/npz.py",
        "pipeline/dataset/readers.py",
        "dvc.yaml",
    }
    assert sum(files.values()) < 70
    ran = project.exp_run("model=perceptron", "augmentation=blur", "dataset=shapes", "training.epochs=3")
    assert ran.stages == ["configure", "fetch", "resize", "train", "evaluate", "explain", "register"]
    assert "shapes" in project.read("bundle/bundle.json")
    tested = project.ok(
        "python", "-m", "pytest", "-q", "-k", "perceptron or blur or shapes", "tests/model", "tests/config", "tests/dataset"
    ).output
    assert int(tested.split(" passed")[0].split()[-1]) >= 3, "what is added is tested by being there"
    project.ok("git", "stash", "-q")
    assert subprocess.run(["git", "diff", "--quiet", "HEAD"], cwd=project.root, check=False).returncode == 0
