"""Page: the networks by their names, as conf/model has them; built without memory for their weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pipeline.config.build import build
from pipeline.config.compose import known_keys, resolved
from pipeline.config.errors import ConfigError
from pipeline.model.tracing import trace
from tour.drawing.plots import scatter
from tour.material import Material
from tour.page import Block, Page, Picture, Table

Input = tuple[int, int, int]  # channels, pixels, classes

IMAGENET, CIFAR, MNIST = (3, 224, 1000), (3, 32, 10), (1, 32, 10)
INPUTS: dict[str, Input] = {  # of the texts; others: ImageNet's where the network has a paper's variant, else CIFAR-10's
    **dict.fromkeys(("alexnet", "alexnet_ungrouped"), (3, 227, 1000)),
    **dict.fromkeys(("lenet", "lenet5", "lenet5_modern", "lenet5_softmax", "lenet_harley"), MNIST),
    "cnn5": (3, 64, 2),
    "four_class": (3, 32, 4),
    "keras": (3, 300, 2),
    "keras_one_output": (3, 300, 2),
    "mlp": (1, 28, 10),
    "mlp_small": (1, 8, 10),
    "nielsen": (1, 28, 10),
}


@dataclass(frozen=True)
class Measured:
    input: Input
    parameters: int
    macs: int  # multiplications with additions, for one image
    field: int  # pixels: what the last convolution or pooling window sees


def names(conf: Path) -> list[str]:
    return sorted(path.stem for path in (conf / "model").glob("*.yaml"))


def network(conf: Path, name: str, channels: int, side: int, classes: int) -> nn.Module:
    """Return the network of conf/model/<name>.yaml for images of `side` x `side` pixels."""
    return _built(_node(conf, name), (channels, side, classes))


def measured(conf: Path, name: str) -> Measured:
    """Return the figures of a network as it answers, without the auxiliary heads that help in training.

    Raises ConfigError where its options are wrong."""
    node = _node(conf, name)
    shape = INPUTS.get(name, IMAGENET if "variant" in node else CIFAR)
    with torch.device("meta"):
        built = _built(node | {"auxiliary_weight": 0} if "auxiliary_weight" in node else node, shape)
    calls = trace(built, shape[0], shape[1])
    field = max((call.field.size for call in calls if call.window), default=shape[1])
    return Measured(shape, sum(weight.numel() for weight in built.parameters()), sum(call.macs for call in calls), field)


def body(material: Material) -> list[Block]:
    found, refused = {}, []
    for name in names(material.conf):
        try:
            found[name] = measured(material.conf, name)
        except ConfigError as error:
            refused.append(f"{name}: {error}")
    large = {name: (one.parameters, one.macs) for name, one in found.items() if one.input[1] >= IMAGENET[1] and one.input[2] == 1000}
    return [
        "Every network that the tutorials name can be chosen by its name: `model=resnet18`. The figures below are counted on the "
        "networks themselves, layer by layer; tests hold them to the papers'. A MAC is one multiplication with its addition, for one "
        "image. *Sees* is the receptive field of the last convolution or pooling window.",
        Picture("sizes", "Parameters and computation of the networks for ImageNet", lambda path: _draw(path, large)),
        Table(("`model=`", "image", "classes", "parameters", "MACs", "sees"), [row(name, one) for name, one in found.items()]),
        *(["Not built, because its options refuse these images:"] + [f"- {words}" for words in refused] if refused else []),
        f"Parameters and computation are different things. VGG's first fully connected layer alone has {512 * 7 * 7 * 4096:,} weights, "
        "each used once; its convolutions have few weights, each used thousands of times. ResNets end with an average over each map in "
        "place of that layer.",
        "## What the tutorials say of them",
        Table(("text", "says", "is"), _corrections(found)),
    ]


def _node(conf: Path, name: str) -> dict[str, Any]:
    return resolved(known_keys(conf, {"model": {"name": name}}))["model"]  # without what this working copy changes


def _built(node: dict[str, Any], shape: Input) -> nn.Module:
    channels, side, classes = shape
    return build("model", node, nn.Module, in_channels=channels, num_classes=classes, image_size=side)


def row(name: str, one: Measured) -> tuple[str, ...]:
    """Return the cells of a network's line of the table."""
    channels, side, classes = one.input
    macs = f"{one.macs / 1e6:,.1f} M" if one.macs >= 1e6 else f"{one.macs:,}"
    return f"`{name}`", f"{side}x{side}x{channels}", f"{classes:,}", f"{one.parameters:,}", macs, f"{one.field}"


def _corrections(found: dict[str, Measured]) -> list[tuple[str, ...]]:
    def count(name: str) -> str:
        return f"{found[name].parameters:,}" if name in found else "see conf/model"

    return [
        ("Karn", "GoogLeNet has 4 million parameters, AlexNet 60", f"{count('googlenet')} and {count('alexnet')}"),
        ("Gupta", "the network has 219,801 parameters", f"{count('keras')}: the printed code ends with two outputs, the count with one"),
        (
            "Deshpande",
            "AlexNet brought the error from 26 % to 15 %",
            "15.3 % of the images had their class not among five guesses; the second had 26.2 %",
        ),
        ("Karn", "ZFNet won in 2013", "Clarifai did, Zeiler's company, with networks designed by that paper's method"),
        (
            "Karn",
            "DenseNet was best in five highly competitive tasks",
            "as its paper's first version has it: CIFAR-10 and CIFAR-100, each as it is and augmented, and SVHN",
        ),
    ]


def _draw(path: Path, points: Mapping[str, tuple[float, float]]) -> None:
    scatter(path, "Networks for ImageNet", "parameters", "multiplications with additions for one image", points)


PAGE = Page("networks", "The networks by name", "parameters, computation, receptive fields; wrong figures set right", body)
