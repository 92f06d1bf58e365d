"""Networks become steps: branches as well as sequences; what the page can't compute is named."""

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.bundle import Bundle
from pipeline.config.explain_schema import Walk
from pipeline.walk.graph import steps_of
from pipeline.walk.page import in_turn, samples_of, write_walk_or_note
from pipeline.walk.steps import UnsupportedError
from tests.conftest import Compose
from tests.model.measures import option
from tests.samples import CLASSES, TWO_CLASSES, options
from tests.walk.networks import bundle_of


@pytest.mark.parametrize("name", ["airbench94", "densenet_40_12", "googlenet", "zfnet"])
def test_networks_of_every_family_become_steps(composed: Compose, name: str) -> None:
    network = option(composed, name, 32).eval()
    steps = steps_of(network, torch.zeros(1, 3, 32, 32))
    assert steps[0].made.op == "input"
    assert steps[-1].shape == (10,)
    assert all(source.step < place for place, step in enumerate(steps) for source in step.made.inputs)
    weights = sum(tensor.numel() for step in steps for tensor in step.made.tensors.values())
    assert weights >= sum(parameter.numel() for parameter in network.parameters() if parameter.ndim > 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", options("model"))
def test_every_network_of_conf_becomes_steps(composed: Compose, name: str) -> None:
    classes = 2 if name in TWO_CLASSES else 10
    steps = steps_of(option(composed, name, 28, 1, classes).eval(), torch.zeros(1, 1, 28, 28))
    assert steps[-1].shape == (classes,)


def test_a_sum_knows_the_two_paths_that_meet_in_it(composed: Compose) -> None:
    steps = steps_of(option(composed, "resnet20", 32).eval(), torch.zeros(1, 3, 32, 32))
    first = next(step for step in steps if step.made.op == "add")
    assert [steps[source.step].name for source in first.made.inputs] == ["layer1.0.bn2", "relu"]
    assert first.name == "layer1.0.add"


def test_an_even_filter_that_keeps_the_size_begins_as_torchs_does() -> None:
    with warnings.catch_warnings(action="ignore"):  # torch's, of the copy that it makes
        [_, step] = steps_of(nn.Sequential(nn.Conv2d(1, 1, 4, padding="same")).eval(), torch.zeros(1, 1, 8, 8))
    assert step.made.options["padding"] == [1, 1]
    assert step.shape == (1, 8, 8)


class Doubled(nn.Linear):
    """A layer whose class is torch's in name alone."""

    def forward(self, values: Tensor) -> Tensor:
        return super().forward(values) * 2


def test_a_subclass_that_computes_something_else_is_looked_into() -> None:
    steps = steps_of(nn.Sequential(nn.Flatten(), Doubled(4, 2)).eval(), torch.zeros(1, 1, 2, 2))
    assert [step.made.op for step in steps] == ["input", "flatten", "linear", "affine"]


class Branching(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1)[:, :2] if images.sum() > 0 else images.flatten(1)[:, 2:]


@pytest.mark.parametrize(
    ("network", "named"),
    [
        (nn.Sequential(nn.Flatten(), nn.Hardswish()), r"1 \(hardswish\)"),
        (nn.Sequential(nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular")), r"0 \(padding by circular"),
        (Branching(), "torch.fx can't trace this network"),
    ],
)
def test_what_the_page_lacks_is_named(network: nn.Module, named: str) -> None:
    with pytest.raises(UnsupportedError, match=named):
        steps_of(network.eval(), torch.zeros(1, 1, 4, 4))


def test_a_network_that_the_page_cannot_compute_gets_a_page_that_says_so(written_bundle: Path, prepared: Path, tmp_path: Path) -> None:
    bundle = Bundle.read(written_bundle)
    other = bundle_of("odd <one>", nn.Sequential(nn.Flatten(), nn.Hardswish(), nn.Linear(64, 3)), bundle.manifest, 1, 3, 8)
    reason = write_walk_or_note(other, prepared, tmp_path / "walk.html", Walk(samples=3, megabytes=12))
    assert reason is not None
    assert reason.startswith("this page can't compute 1 (hardswish); pipeline/walk/translation.py says what it can")
    page = (tmp_path / "walk.html").read_text()
    assert "odd &lt;one&gt;" in page
    assert "hardswish" in page


def test_weights_beyond_the_limit_are_left_out_with_the_key_that_says_so(written_bundle: Path, prepared: Path, tmp_path: Path) -> None:
    bundle = Bundle.read(written_bundle)
    reason = write_walk_or_note(bundle, prepared, tmp_path / "walk.html", Walk(samples=3, megabytes=bundle.parameters * 3.9 / 1e6))
    assert "explain.walk.megabytes=" in str(reason)
    assert "explain.walk.megabytes=" in (tmp_path / "walk.html").read_text()
    assert write_walk_or_note(bundle, prepared, tmp_path / "walk.html", Walk(samples=3, megabytes=bundle.parameters * 4.1 / 1e6)) is None


def test_samples_are_taken_from_all_classes_in_turn(written_bundle: Path, prepared: Path, tmp_path: Path) -> None:
    assert in_turn(np.array([1, 1, 1, 0, 2, 0]), 4) == [3, 0, 4, 5]
    bundle = Bundle.read(written_bundle)
    assert [sample.label for sample in samples_of(bundle, prepared, 5)] == [CLASSES[label] for label in (0, 0, 1, 1, 2)]
    assert samples_of(bundle, tmp_path, 5) == []  # there are no images
    other = replace(bundle, manifest=replace(bundle.manifest, data_digest="other"))
    assert samples_of(other, prepared, 5) == []  # it was trained on others
