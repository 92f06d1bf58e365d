"""The parts that follow a training hear all that they listen to, in their order."""

from pathlib import Path

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from torch.utils.data import DataLoader

import pipeline.training.fit  # noqa: F401  # which imports all parts
from pipeline.training.course import HOOKS, Course, overrides

EVERY_HOOK = [name for name in vars(Callback) if name.startswith(("on_", "setup", "teardown"))]
PARTS = [kind for kind in Callback.__subclasses__() if kind.__module__.startswith("pipeline.training.")]


@pytest.mark.parametrize("kind", PARTS, ids=lambda kind: kind.__name__)
def test_no_part_waits_for_a_hook_that_is_never_handed_on(kind: type[Callback]) -> None:
    heard = [hook for hook in EVERY_HOOK if overrides(object.__new__(kind), hook)]
    assert heard
    assert set(heard) <= set(HOOKS)


class Part(Callback):
    def __init__(self, name: str, said: list[str]) -> None:
        self.name, self.said = name, said

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.said.append(f"{self.name} at the start")

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.said.append(f"{self.name} at an epoch's end")


class Other(Part):
    pass


class Module(L.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def training_step(self, batch: torch.Tensor, index: int) -> None:
        pass

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD([self.weight])


def test_each_hook_goes_to_the_parts_in_their_order(tmp_path: Path) -> None:
    said: list[str] = []
    trainer = L.Trainer(
        max_epochs=1,
        callbacks=[Course([Part("one", said), Other("another", said)])],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
        accelerator="cpu",
    )
    trainer.fit(Module(), DataLoader([torch.zeros(1)], batch_size=1))
    assert said == ["one at the start", "another at the start", "one at an epoch's end", "another at an epoch's end"]
