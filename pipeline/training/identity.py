"""What decides a training's result, to the bit: its config, data, code, packages, and the kind of machine."""

import hashlib
import platform
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import torch

from pipeline.config.order import spelled
from pipeline.config.places import WORKSPACE
from pipeline.config.schema import Config
from pipeline.training.checkpoints import Identity

CODE = ("pipeline/dataset", "pipeline/model", "pipeline/training", "pipeline/weights", "requirements.lock")


def identity_of(cfg: Config, nodes: Iterable[str], data_digest: str) -> Identity:
    """Return the identity of a training. nodes: of the config, those that its result depends on."""
    accelerator = torch.accelerator.current_accelerator()
    device = torch.cuda.get_device_name() if accelerator and accelerator.type == "cuda" else platform.machine()
    tree = spelled(asdict(cfg))  # as JSON with sorted keys has no order
    return {
        "config": {node: tree[node] for node in nodes},
        "data": data_digest,
        "code": code_digest(WORKSPACE),
        "torch": str(torch.__version__),
        "device": device,
    }


def code_digest(root: Path) -> str:
    """Return the sha256 over names and contents of the source files that a training may use."""
    files = [file for place in CODE for file in ([root / place] if (root / place).is_file() else (root / place).rglob("*.py"))]
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(f"{file.relative_to(root)}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()
