"""Training as people set it up by the tutorials: a Dataset that normalises each image, the Trainer's defaults, MLFlowLogger.

python -m benchmarks.usual TARGET KWARGS PREPARED EPOCHS BATCH THREADS IS_AUGMENTED      prints images per second as JSON

What `benchmarks.training` compares with; the first epoch warms up."""

import importlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"

import albumentations as A
import lightning as L
import numpy as np
import torch
from albumentations.pytorch import ToTensorV2
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import MLFlowLogger
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

WORKERS = 2
HALF, QUARTER = (0.5,) * 3, (0.25,) * 3  # mean and deviation


class Images(Dataset[tuple[Tensor, int]]):
    def __init__(self, prepared: Path, split: str, transforms: list[A.BasicTransform]) -> None:
        self.images = np.load(prepared / f"{split}.npy")
        self.labels = np.load(prepared / f"{split}_labels.npy")
        self.transform = A.Compose([*transforms, A.Normalize(HALF, QUARTER), ToTensorV2()])

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(image=self.images[index])["image"], self.labels[index]


class Usual(L.LightningModule):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def step(self, batch: tuple[Tensor, Tensor], split: str) -> Tensor:
        images, labels = batch
        scores = self.network(images)
        loss = F.cross_entropy(scores, labels)
        self.log(f"{split}_loss", loss, prog_bar=True)
        self.log(f"{split}_accuracy", (scores.argmax(dim=1) == labels).float().mean(), prog_bar=True)
        return loss

    def training_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> Tensor:
        return self.step(batch, "train")

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> None:
        self.step(batch, "validation")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1e-3, momentum=0.9)


class Clock(Callback):
    """Keeps when each epoch ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.ends.append(time.perf_counter())


def transforms(size: int) -> list[A.BasicTransform]:
    """Return the bare loop's augmentation: a random crop after padding by a tenth, and a mirror."""
    padded = size + 2 * max(1, size // 10)
    return [A.PadIfNeeded(padded, padded), A.RandomCrop(size, size), A.HorizontalFlip(p=0.5)]


def main() -> None:
    target, kwargs, folder, epochs, batch, threads, is_augmented = sys.argv[1:]
    torch.set_num_threads(int(threads))
    module, _, name = target.rpartition(".")
    network: Any = getattr(importlib.import_module(module), name)(**json.loads(kwargs))
    prepared, clock = Path(folder), Clock()
    size = np.load(prepared / "train.npy", mmap_mode="r").shape[1]
    train = Images(prepared, "train", transforms(size) if is_augmented == "True" else [])
    validation = Images(prepared, "validation", [])
    with tempfile.TemporaryDirectory() as home:
        trainer = L.Trainer(
            max_epochs=int(epochs),
            default_root_dir=home,
            logger=MLFlowLogger("usual", tracking_uri=f"sqlite:///{home}/mlflow.db", artifact_location=f"{home}/artifacts"),
            callbacks=[clock],
        )
        batches = DataLoader(train, batch_size=int(batch), shuffle=True, num_workers=WORKERS)
        trainer.fit(Usual(network), batches, DataLoader(validation, batch_size=int(batch), num_workers=WORKERS))
    print(json.dumps({"images_per_second": len(train) * (len(clock.ends) - 1) / (clock.ends[-1] - clock.ends[0])}))


if __name__ == "__main__":
    main()
