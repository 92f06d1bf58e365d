"""Fine-tuning as a person does it: a training that begins with the bundle of another."""

import dataclasses
import re
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from pipeline.bundle import TRAINED_WITH, Bundle, make_network, write_bundle
from pipeline.config.schema import Config, Weights
from pipeline.dataset.manifest import Manifest
from pipeline.training.checkpoints import Checkpoints
from pipeline.training.fit import fit
from pipeline.weights.start import start_from_weights
from tests.project import small_project

NETWORK = {
    "name": "normed",
    "_target_": "pipeline.model.cnn.CNN",
    "layers": {
        "conv1": {"kind": "conv", "filters": 8, "kernel": 3, "bias": False},
        "norm1": {"kind": "batch_norm"},
        "relu1": {"kind": "relu"},
        "conv2": {"kind": "conv", "filters": 8, "kernel": 3, "bias": False},
        "norm2": {"kind": "batch_norm"},
        "relu2": {"kind": "relu"},
        "scores": {"kind": "linear"},
    },
}


class Silent:
    """Follows a training and tells nobody."""

    def log_metrics(self, metrics: dict[str, float], step: int) -> None: ...

    def log_filters(self, weight: NDArray[np.float32], step: int) -> None: ...

    def fail(self, reason: str) -> None: ...


@pytest.fixture
def cfg(cfg: Config) -> Config:
    cfg.model = NETWORK
    cfg.training.epochs, cfg.optimizer["lr"] = 4, 0.02
    return cfg


@pytest.fixture
def fewer(prepared: Path, manifest: Manifest, tmp_path: Path) -> tuple[Path, Manifest]:
    """The prepared images of two of the three classes."""
    folder = tmp_path / "fewer"
    folder.mkdir()
    for split in ("train", "validation", "test"):
        images, labels = (np.load(prepared / f"{split}{end}.npy") for end in ("", "_labels"))
        np.save(folder / f"{split}.npy", images[labels < 2])
        np.save(folder / f"{split}_labels.npy", labels[labels < 2])
    classes = manifest.classes[:2]
    counts = {split: {name: each[name] for name in classes} for split, each in manifest.counts.items()}
    return folder, dataclasses.replace(manifest, classes=classes, counts=counts)


def train(cfg: Config, manifest: Manifest, images: Path, home: Path) -> tuple[nn.Module, dict, list[str]]:
    """Train as the stage does; return the network, its state at the beginning, and what was said."""
    torch.manual_seed(cfg.seed)
    network = make_network(cfg.model, manifest, None)
    lines = start_from_weights(cfg, network, manifest.classes, home)
    start = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    fitted = fit(cfg, network, manifest, images, Checkpoints(home / f"checkpoints-{len(manifest.classes)}", {}), Silent())
    config = {node: asdict(cfg)[node] for node in TRAINED_WITH}
    (home / "bundle").mkdir()
    write_bundle(home / "bundle", network, manifest, config, fitted.best, fitted.history, fitted.filters)
    return network, start, lines


def test_a_training_goes_on_from_another_with_frozen_layers_as_they_were(
    cfg: Config, manifest: Manifest, prepared: Path, fewer: tuple[Path, Manifest], tmp_path: Path
) -> None:
    first, _, _ = train(cfg, manifest, prepared, tmp_path)
    (tmp_path / "bundle").rename(tmp_path / "start")
    digest = Bundle.read(tmp_path / "start").digest
    cfg.weights = Weights("bundle", "start", digest, "ours", ["layers.conv1", "layers.norm1"])
    images, few = fewer
    network, start, lines = train(cfg, few, images, tmp_path)
    assert lines == [
        f"normed starts from the weights of start, sha256 {digest}",
        "layers.scores: newly initialized for 2 classes in place of the weights for 3 others",
        "frozen: layers.conv1, layers.norm1; 850 of 938 parameters learn",
    ]
    given, now = first.state_dict(), network.state_dict()
    frozen = [name for name in now if "1." in name]
    assert len(frozen) == 6
    assert all(torch.equal(now[name], given[name]) for name in frozen)  # running means of batch norm included
    assert all(torch.equal(start[name], given[name]) for name in now if "scores" not in name)
    assert not any(torch.equal(now[name], start[name]) for name in now if name not in frozen)


def test_the_bundle_tells_what_it_began_with(cfg: Config, manifest: Manifest, prepared: Path, tmp_path: Path) -> None:
    cfg.training.epochs, cfg.weights.freeze = 1, ["layers.conv1"]
    train(cfg, manifest, prepared, tmp_path)
    assert Bundle.read(tmp_path / "bundle").config["weights"] == {
        "name": "none",
        "source": None,
        "sha256": None,
        "names": None,
        "freeze": ["layers.conv1"],
    }


@pytest.mark.slow
def test_a_person_fine_tunes_a_bundle_live_and_in_an_experiment(tmp_path: Path) -> None:
    project = small_project(tmp_path / "project")
    project.repro("train")
    project.ok("cp", "-rL", "bundle", "start")
    refused = project.live("train", "weights=bundle", "weights.source=start")
    assert refused.code == 78
    [digest] = re.findall(r"then give weights\.sha256=(\w{64})\n", refused.output)
    words = ["weights=bundle", "weights.source=start", f"weights.sha256={digest}", "weights.freeze=[layers.conv1]"]
    live = project.live("train", *words)
    assert live.code == 0, live.output
    assert f"cnn starts from the weights of start, sha256 {digest}" in live.output
    assert "frozen: layers.conv1; " in live.output
    project.exp_run(*words[:3])
    assert project.param("weights.name") == "bundle"
    assert Bundle.read(tmp_path / "project" / "bundle").config["weights"]["sha256"] == digest
    assert project.repro().stages == []
