import importlib
import inspect
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from albumentations.core.transforms_interface import BasicTransform
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from pipeline.config.build import build, check_options
from pipeline.config.errors import ConfigError
from tests.conftest import MakeConfig
from tests.samples import options


def optimizer(node: dict[str, Any]) -> Optimizer:
    return build("optimizer", node, Optimizer, nn.Linear(2, 2).parameters())


@pytest.mark.parametrize("name", options("optimizer"))
def test_every_optimizer_lowers_a_loss(name: str, config: MakeConfig) -> None:
    torch.manual_seed(0)
    layer, images = nn.Linear(4, 1), torch.randn(16, 4)
    stepper = build("optimizer", config(f"optimizer={name}").optimizer, Optimizer, layer.parameters())
    losses = []
    for _ in range(20):
        stepper.zero_grad()
        loss = layer(images).square().mean()
        loss.backward()
        stepper.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", options("scheduler"))
def test_every_scheduler_has_the_optimizer_s_rate_at_its_top_and_never_raises_it_afterwards(name: str, config: MakeConfig) -> None:
    cfg = config(f"scheduler={name}", "training.epochs=100")
    stepper = optimizer(cfg.optimizer)
    schedule = build("scheduler", cfg.scheduler, LRScheduler, stepper, steps=100)
    rates = []
    for _ in range(100):
        rates.append(schedule.get_last_lr()[0])
        stepper.step()
        schedule.step()
    top = rates.index(max(rates))
    assert rates[top] == cfg.optimizer["lr"]
    assert rates[top:] == sorted(rates[top:], reverse=True)


@pytest.mark.parametrize("name", options("loss"))
def test_every_loss_is_smaller_for_the_right_answer(name: str, config: MakeConfig) -> None:
    loss = build("loss", config(f"loss={name}").loss, nn.Module)
    scores, right, wrong = torch.tensor([[4.0, 0.0]]), torch.tensor([0]), torch.tensor([1])  # some are for two classes alone
    assert loss(scores, right) < loss(scores, wrong)


def test_options_come_from_the_node_and_the_rest_from_the_data_without_the_name() -> None:
    layer = build("layer", {"name": "x", "_target_": "torch.nn.Linear", "bias": False}, nn.Module, in_features=3, out_features=2, unused=1)
    assert isinstance(layer, nn.Linear)
    assert (layer.in_features, layer.out_features, layer.bias) == (3, 2, None)


HOSTILE = [
    "os.system",
    "builtins.eval",
    "builtins.exec",
    "subprocess.Popen",
    "subprocess.run",
    "shutil.rmtree",
    "pickle.loads",
    "torch.load",
    "torch.hub.load",
    "torch.jit.load",
    "torch.utils.cpp_extension.load",
    "numpy.load",
    "pandas.read_pickle",
    "joblib.load",
    "pipeline.stage.configure.main",
    "pipeline.config.cli.launch",
    "pipeline.training.classifier.Classifier",
    "pipeline.training.fit.fit",
    "hydra.utils.instantiate",
    "antigravity.fly",
    "torchxnn.Linear",
    "..torch.nn.Linear",
    " torch.nn.Linear",
    "",
    None,
    3,
    ["torch.nn.Linear"],
]


@pytest.mark.parametrize("target", HOSTILE)
def test_targets_outside_the_allowed_packages_are_neither_run_nor_imported(target: Any, tmp_path: Path) -> None:
    before = set(sys.modules)
    with pytest.raises(
        ConfigError,
        match=r"model\._target_ must name a class below pipeline\.model\., .*torch\.nn\..*Nothing was imported",
    ):
        build("model", {"_target_": target, "command": f"touch {tmp_path}/ran"}, nn.Module)
    assert set(sys.modules) == before
    assert list(tmp_path.iterdir()) == []


def test_a_node_without_a_target_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"model\._target_ must name a class below .*; got None"):
        build("model", {"name": "x"}, nn.Module)


@pytest.mark.parametrize(
    "target",
    [
        "torch.nn.functional",  # a module
        "torch.nn.functional.relu",  # a function
        "torch.nn.init.normal_",
        "torch.nn.modules.module.warnings",  # a module that an allowed one has imported
        "torch.nn.parallel.data_parallel.Any",
        "torch.optim.SGD",  # a class of another kind
        "torch.nn.Parameter",
        "pipeline.model.cnn.BLOCKS",
        "pipeline.model.layers.conv",
        "pipeline.training.losses.Tensor",
        "albumentations.HorizontalFlip",
    ],
)
def test_allowed_packages_hold_much_that_is_no_network_and_is_refused(target: str) -> None:
    with pytest.raises(ConfigError, match=rf"model\._target_: {target} is not a torch\.nn\.modules\.module\.Module"):
        build("model", {"_target_": target}, nn.Module)


@pytest.mark.parametrize(
    "target", ["torch.nn.Linaer", "torch.nn.modules.nowhere.Linear", "pipeline.model.vgg99.VGG", "torch.nn..Linear", "torch.nn."]
)
def test_a_class_that_is_not_there_is_told(target: str) -> None:
    with pytest.raises(ConfigError, match=rf"model\._target_: there is no class {target}: "):
        build("model", {"_target_": target}, nn.Module)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lrr": 1}, r"optimizer\.lrr is not an option of torch\.optim\.SGD; did you mean lr\?$"),
        ({"qqqqq": 1}, r"optimizer\.qqqqq is not an option of torch\.optim\.SGD$"),
        ({"lr": -1}, r"optimizer: torch\.optim\.SGD refused its options: Invalid learning rate: -1"),
        ({"lr": "fast"}, r"optimizer\.lr must be a number, but it is \"fast\"$"),
        ({"params": []}, r"optimizer\.params is decided by what is trained; leave it out$"),
        ({"lr": 0.1, "nesterov": True}, r"optimizer: torch\.optim\.SGD refused its options: Nesterov momentum requires a momentum"),
    ],
)
def test_options_that_the_class_does_not_take_are_told(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        optimizer({"_target_": "torch.optim.SGD", **options})


def test_a_missing_option_is_told() -> None:
    with pytest.raises(ConfigError, match=r"^model\.out_features is missing, which torch\.nn\.Linear needs$"):
        build("model", {"_target_": "torch.nn.Linear", "in_features": 3}, nn.Module)


# place of the config -> its base class, and a module with many classes for it
LIBRARIES: dict[str, tuple[type, str]] = {
    "model": (nn.Module, "torch.nn"),
    "optimizer": (Optimizer, "torch.optim"),
    "scheduler": (LRScheduler, "torch.optim.lr_scheduler"),
    "augmentation.transforms.a": (BasicTransform, "albumentations"),
}


@pytest.mark.parametrize("place", LIBRARIES)
def test_the_default_values_of_every_class_of_the_libraries_fit_their_types(place: str) -> None:
    kind, module = LIBRARIES[place]
    classes = inspect.getmembers(importlib.import_module(module), lambda member: inspect.isclass(member) and issubclass(member, kind))
    assert len(classes) > 10
    for name, target in classes:
        parameters = inspect.signature(target).parameters.values()
        named = [parameter for parameter in parameters if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)]
        needed = {parameter.name for parameter in named if parameter.default is parameter.empty}
        options = {each.name: as_yaml(each.default) for each in named if each.name not in needed and not callable(each.default)}
        check_options(place, name, target, options, needed)


def as_yaml(value: Any) -> Any:
    return [as_yaml(item) for item in value] if isinstance(value, tuple) else value
