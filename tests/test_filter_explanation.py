"""Filters of each layer over a training: strips on one scale, and the film."""

import copy
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.bundle import TRAINED_WITH, Bundle, make_network, write_bundle
from pipeline.config.schema import Config
from pipeline.dataset.manifest import Manifest
from pipeline.filter_explanation import FILM, write_film, write_filter_pictures
from tests.drawn import drawn

WIDE = {"kind": "conv", "filters": 6, "kernel": 3, "padding": "same"}
EPOCHS = 4  # of which the third was the best
LAST = "layers.second"


@pytest.fixture(scope="module")
def deep(small_config: Config, manifest: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle of two convolutions, of whose second four filters of three channels were kept before training and after epochs 1 and 4."""
    cfg = copy.deepcopy(small_config)
    cfg.model["layers"] = {"first": WIDE, "second": WIDE | {"kernel": 5}, "scores": {"kind": "linear"}}
    torch.manual_seed(0)
    network = make_network(cfg.model, manifest, None)
    first, second = (network.get_parameter(f"layers.{name}.weight").detach() for name in ("first", "second"))
    history = [{"epoch": epoch, "validation/loss": 1.0} for epoch in range(1, EPOCHS + 1)]
    filters = np.stack([first.numpy() * (1 + step / 10) for step in range(EPOCHS + 1)])
    layer_filters = {step: {LAST: (second[:4, :3] * (1 + step)).roll(step, 1).contiguous()} for step in (0, 1, EPOCHS)}
    folder = tmp_path_factory.mktemp("deep")
    config = {node: asdict(cfg)[node] for node in TRAINED_WITH}
    write_bundle(folder, network, manifest, config, history[2], history, filters, layer_filters)
    return Bundle.read(folder)


def test_a_bundle_gives_back_the_later_filters_by_epoch_and_layer(deep: Bundle) -> None:
    assert list(deep.layer_filters) == [0, 1, EPOCHS]
    assert deep.layer_filters[1].keys() == {LAST}
    assert deep.layer_filters[1][LAST].shape == (4, 3, 5, 5)


def test_a_later_layers_strip_has_the_kept_network_and_the_same_slices_at_each_step_on_one_scale(deep: Bundle, tmp_path: Path) -> None:
    with drawn() as figures:
        write_filter_pictures(deep, tmp_path, [0, 2])
    assert sorted(figures) == ["filters_over_time-2-second.png", "filters_over_time.png"]
    figure = figures["filters_over_time-2-second.png"]
    assert "the first 4 of 6 filters, the strongest 5×5 slice of each among the first 3 of 6" in figure.get_suptitle().replace("\n", " ")
    frames = [axes for axes in figure.axes if axes.get_title(loc="left")]
    assert [axes.get_title(loc="left").split(":")[0] for axes in frames] == ["before training", "epoch 3, kept", "epoch 4"]
    kept = deep.network.get_parameter(f"{LAST}.weight").detach()[:4, :3]
    channels = kept.flatten(2).norm(dim=2).argmax(dim=1)
    wanted = [part[range(4), channels] for part in (deep.layer_filters[0][LAST], kept, deep.layer_filters[EPOCHS][LAST])]
    limit = max(part.abs().max().item() for part in wanted)
    for axes, part in zip(frames, wanted, strict=True):
        [picture] = axes.images
        assert picture.get_clim() == pytest.approx((-limit, limit))
        np.testing.assert_allclose(picture.get_array()[1:6, 7:12], part[1], atol=1e-6)  # two a row, a pixel between


def test_the_film_has_a_frame_for_each_epoch_rests_on_the_last_and_is_the_same_each_time(deep: Bundle, tmp_path: Path) -> None:
    write_film(deep, tmp_path)
    first = (tmp_path / FILM).read_bytes()
    write_film(deep, tmp_path)
    assert (tmp_path / FILM).read_bytes() == first
    with Image.open(tmp_path / FILM) as film:
        assert film.n_frames == EPOCHS + 1
        film.seek(0)
        before = np.array(film.convert("RGB"))
        film.seek(EPOCHS)
        after = np.array(film.convert("RGB"))
        assert film.info["duration"] > 1000
    assert before.shape == after.shape
    assert (before != after).any()
