"""What decides a training's result, to the bit: its config, data, code, packages, and the kind of device."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

import torch

from pipeline.config.composition import get, read_yaml
from pipeline.config.order import spelled
from pipeline.config.places import OUTS, WORKSPACE
from pipeline.config.schema import Config
from pipeline.training.checkpoints import Identity
from pipeline.training.device import kind_of_device


def identity_of(cfg: Config, nodes: Iterable[str], data_digest: str) -> Identity:
    """Return the identity of a training. nodes: of the config, those that its result depends on."""
    tree = spelled(asdict(cfg))  # as JSON with sorted keys has no order
    return {
        "config": {node: tree[node] for node in nodes},
        "data": data_digest,
        "code": code_digest(WORKSPACE),
        "torch": str(torch.__version__),
        "device": kind_of_device(),
    }


def code_digest(root: Path) -> str:
    """Return the sha256 over names and contents of the files that a training may use: those by which DVC re-trains."""
    digest = hashlib.sha256()
    for file in sorted(code_files(root)):
        digest.update(f"{file.relative_to(root)}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def code_files(root: Path) -> Iterator[Path]:
    """Yield the files of the train stage's code deps in dvc.yaml, which pipeline/command/deps.py writes."""
    for dep in get(read_yaml(root / "dvc.yaml"), "stages.train.deps"):
        if dep not in OUTS.values():
            yield from (root / dep).rglob("*.py") if (root / dep).is_dir() else [root / dep]
