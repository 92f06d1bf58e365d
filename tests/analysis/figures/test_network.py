"""The figure of a network: every part with its shape and parameters, readable."""

from itertools import combinations
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

from pipeline.analysis.figures.network import network_figure
from pipeline.model.summary import summarise
from tests.conftest import Compose
from tests.drawn import Saved
from tests.model.measures import on_meta


def drawn(composed: Compose, name: str, side: int, channels: int, folder: Path) -> Path:
    def made(size: int) -> nn.Module:
        return on_meta(composed, name, size, channels)

    summary = summarise(made(side), made, torch.optim.Adam, channels, side)
    network_figure(folder / "network.png", name, summary)
    return folder / "network.png"


def test_lenet_is_drawn_layer_by_layer_with_shapes_and_parameters(composed: Compose, saved: Saved, tmp_path: Path) -> None:
    drawn(composed, "lenet", 32, 1, tmp_path)
    [figure] = saved.values()
    words = [text.get_text() for text in figure.axes[0].texts]
    assert words[::3] == ["1×32×32", "6×28×28", "6×14×14", "16×10×10", "16×5×5", "120", "100", "10"]
    assert [text.split("\n")[-1] for text in words[2::3] if "parameters" in text] == [
        f"{count} parameters" for count in ("156", "2,416", "48,120", "12,100", "1,010")
    ]
    assert "63,802 parameters" in figure.get_suptitle()


@pytest.mark.parametrize(("name", "side", "channels"), [("lenet", 32, 1), ("vgg16", 224, 3), ("resnet18", 32, 3), ("densenet121", 224, 3)])
def test_no_label_covers_another_and_all_are_in_the_picture(
    name: str, side: int, channels: int, composed: Compose, saved: Saved, tmp_path: Path
) -> None:
    with Image.open(drawn(composed, name, side, channels, tmp_path)) as picture:
        width, height = picture.size
    [figure] = saved.values()
    boxes = [text.get_window_extent() for text in [*figure.axes[0].texts, figure._suptitle] if text.get_text()]
    assert not [(a, b) for a, b in combinations(boxes, 2) if a.overlaps(b)]
    assert all(box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height for box in boxes)


@pytest.mark.parametrize(
    ("name", "sign", "blocks"), [("resnet20", "+", 9), ("densenet121", "c", 4), ("googlenet", "+", 0), ("googlenet", "c", 0)]
)
def test_a_way_round_layers_is_seen_in_the_block_that_has_it(
    name: str, sign: str, blocks: int, composed: Compose, saved: Saved, tmp_path: Path
) -> None:
    drawn(composed, name, 32, 3, tmp_path)
    [figure] = saved.values()
    words = [text.get_text() for text in figure.axes[0].texts]
    assert words.count(sign) == blocks
    assert sum("skip" in text.replace("\n", " ") for text in words) == (0 if name == "googlenet" else blocks)
