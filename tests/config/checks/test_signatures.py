import importlib
import inspect
import subprocess
import sys
from typing import Any

import pytest

from pipeline.config.build import build
from pipeline.config.checks.kinds import fits
from pipeline.config.checks.shortcuts import without_compiler
from pipeline.config.checks.signatures import find, is_a, keys_of, signature
from pipeline.config.checks.targets import PLACES
from pipeline.dataset.readers import READERS
from tests.project import ROOT

# place -> a module with many classes for it
LIBRARIES = {
    "model": "torch.nn",
    "optimizer": "torch.optim",
    "scheduler": "torch.optim.lr_scheduler",
    "augmentation.transforms": "albumentations",
}

# Their __init__ says (*args, **kwargs) and its overloads the rest.
OVERLOADED = {"torch.nn.RNN", "torch.nn.LSTM", "torch.nn.GRU", "torch.nn.NLLLoss2d"}


def kind_of(place: str) -> Any:
    module, _, name = PLACES[place].kind.rpartition(".")
    return getattr(importlib.import_module(module), name)


def classes(place: str) -> dict[str, type]:
    """Return name -> class for all that could stand at a place of the config."""
    module = importlib.import_module(LIBRARIES[place])
    members = inspect.getmembers(module, lambda member: inspect.isclass(member) and issubclass(member, kind_of(place)))
    return {f"{LIBRARIES[place]}.{name}": member for name, member in members}


@pytest.mark.parametrize("place", LIBRARIES)
def test_what_the_source_says_of_a_class_is_what_python_says(place: str) -> None:
    for name, member in classes(place).items():
        found = find(name)
        assert found, name
        assert found.node.name == member.__name__
        assert is_a(found, PLACES[place].kind), name
        if name not in OVERLOADED:
            parameters = inspect.signature(member).parameters.values()
            named = [p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
            assert list(signature(found).options) == named, name
            assert signature(found).required == [p.name for p in parameters if p.name in named and p.default is p.empty], name


@pytest.mark.parametrize("place", LIBRARIES)
def test_every_default_value_fits_its_annotation(place: str) -> None:
    for name, member in classes(place).items():
        found = find(name)
        assert found
        for parameter in inspect.signature(member).parameters.values():
            if parameter.default is not parameter.empty and not callable(parameter.default) and parameter.name in signature(found).options:
                assert fits(as_yaml(parameter.default), signature(found).options[parameter.name]), (name, parameter)


def as_yaml(value: Any) -> Any:
    return [as_yaml(item) for item in value] if isinstance(value, tuple) else value


@pytest.mark.parametrize("place", LIBRARIES)
def test_a_class_for_another_place_is_told_from_its_source(place: str) -> None:
    for other in LIBRARIES:
        if other != place:
            assert not [name for name in list(classes(other))[:10] if (found := find(name)) and is_a(found, PLACES[place].kind)]


@pytest.mark.parametrize(
    "name",
    [
        "torch.nn.Linaer",
        "torch.nn.functional",  # a module
        "torch.nn.functional.relu",  # a function
        "torch.nn.modules.module.warnings",  # a module that an allowed one imports
        "torch.nn.modules.module.torch.load",
        "torch.optim.lr_scheduler.warnings.os.system",
        "pipeline.model.layers.KINDS",
        "pipeline.model.choices.inspect.signature",
        "pipeline.model.vgg99.VGG",
        "os.system",
        "subprocess.Popen",
        "torch.nn.",
        "torch..nn.Linear",
        "",
    ],
)
def test_what_is_no_class_of_these_packages_is_not_found(name: str) -> None:
    assert find(name) is None


def test_a_network_of_this_project_is_found_through_its_imports() -> None:
    found = find("pipeline.model.lenet.LeNet")
    assert found
    assert is_a(found, PLACES["model"].kind)
    assert signature(found).required[:4] == ["in_channels", "num_classes", "image_size", "filters"]


def test_a_mapping_s_keys_are_read_from_its_source() -> None:
    assert keys_of("pipeline.dataset.readers", "READERS") == list(READERS)
    assert keys_of("pipeline.dataset.readers", "NOTHING") == []


def test_reading_a_class_imports_nothing() -> None:
    code = """
import sys
from pipeline.config.checks.signatures import find, signature
for name in ("torch.optim.AdamW", "albumentations.Affine", "pipeline.model.cnn.CNN", "albumentations.Nothing"):
    found = find(name)
    found and signature(found)
assert not {"torch", "albumentations", "pipeline.model", "numpy"} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", [name for name in classes("optimizer") if not name.endswith((".Optimizer", ".Muon"))])
def test_every_optimizer_can_be_made_without_the_compiler(name: str) -> None:
    import torch

    with without_compiler():
        build("optimizer", {"_target_": name}, kind_of("optimizer"), [torch.nn.Parameter(torch.zeros(1, 1))])
