"""Build what the config names, without data: the network meets no image but of the right size, the transforms a black one.

It finds what the classes alone know: options that they refuse, an image size that the network shrinks to nothing, a loss that
does not compare scores with classes. What an earlier check accepted is not built again, as torch takes a second to import."""

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pipeline.config.build import build
from pipeline.config.checks.forward import require_learning, scores_shape
from pipeline.config.checks.shortcuts import without_compiler, without_first_values, without_torch
from pipeline.config.composition import Tree, get, has, leaves
from pipeline.config.counted import counted
from pipeline.config.errors import ConfigError
from pipeline.config.order import spelled
from pipeline.config.schema import Training

LARGEST = 4096  # pixels: of resize.size in ranges.py
MOST_EPOCHS = 10_000  # that a schedule is tried for

NETWORK = (
    "model",
    "resize.size",
    "training.input",
    "dataset.channels",
    "dataset.classes",
    "optimizer",
    "scheduler",
    "training.epochs",
    "training.batch_size",
    "training.accumulate",
    "weights.freeze",
    "loss",
)
TRANSFORMS = ("augmentation.transforms", "resize.size", "training.input", "dataset.channels")


def try_out(params: Tree, accepted: Tree) -> None:
    """Raise ConfigError for what can't be built or does not fit together."""
    with warnings.catch_warnings(action="ignore"):
        if _is_new(NETWORK, params, accepted):
            try_training(params)
        if _is_new(TRANSFORMS, params, accepted):
            try_transforms(params)


def _is_new(keys: tuple[str, ...], params: Tree, accepted: Tree) -> bool:
    before, now = spelled(accepted), spelled(params)
    return any(not has(before, key) or get(before, key) != get(now, key) for key in keys)


def try_training(params: Tree) -> None:
    """Build network, loss, optimizer and schedule; compare scores of nothing with classes, and step through the epochs."""
    import torch
    from torch import nn
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler

    network, classes = _network(params)
    if not params["weights"]["freeze"]:  # the training itself knows which layers those are, and says so before it begins
        require_learning(network, params["dataset"]["channels"], _seen(params)[1], Training(**params["training"]))
    loss = build("loss", params["loss"], nn.Module)
    with _told("loss", params["loss"], "can't compare the scores of images with their classes"):
        scores = torch.zeros(classes + 1, classes)  # of a number of images that no mistaken loss can broadcast
        labels = torch.zeros(len(scores), dtype=torch.long)
        if loss(scores, labels).shape != ():
            raise ValueError("it gives one number for each image, and one for all is needed")
        if loss(scores, labels) * 1.5 < loss(scores.repeat(2, 1), labels.repeat(2)):
            raise ValueError("it gives the sum over the images, and their mean is needed; leave reduction out")
    with without_compiler():
        parameters = [nn.Parameter(torch.zeros((1,) * parameter.dim())) for parameter in network.parameters()]
        optimizer = build("optimizer", params["optimizer"], Optimizer, parameters)
        schedule = build("scheduler", params["scheduler"], LRScheduler, optimizer, steps=params["training"]["epochs"])
    with _told("scheduler", params["scheduler"], f"can't step through training.epochs={params['training']['epochs']}"):
        for _ in range(min(params["training"]["epochs"], MOST_EPOCHS)):
            schedule.step()


def tried_classes(params: Tree) -> int:
    """Return the number of classes that a network is tried with where the data decides it. Raises as `try_out` does."""
    return _network(params)[1]


def _network(params: Tree) -> tuple[Any, int]:
    """Return the network and its number of classes; refuse an image size that it shrinks to nothing."""
    key, size = _seen(params)
    try:
        return _network_for(params, size)
    except ConfigError as error:
        smallest = smallest_size(lambda size: _works(params, size), size)
        if smallest is None:
            raise
        reason = " ".join(str(error.__cause__ or error).split())  # the layer and what is too small for it
        raise ConfigError(f"{key} must be at least {smallest} for this network, but it is {size}: {reason}", key) from error


def _seen(params: Tree) -> tuple[str, int]:
    """Return which key says the height and width of what the network sees, and these, in pixels."""
    side = params["training"]["input"]
    return ("training.input", side) if side else ("resize.size", params["resize"]["size"])


def smallest_size(works: Callable[[int], bool], size: int) -> int | None:
    """Return the smallest size above `size` that works, None where none does."""
    while size < LARGEST:
        fails, size = size, min(2 * size, LARGEST)
        if works(size):
            while size - fails > 1:
                middle = (fails + size) // 2
                fails, size = (fails, middle) if works(middle) else (middle, size)
            return size
    return None


def _works(params: Tree, size: int) -> bool:
    try:
        _network_for(params, size)
    except ConfigError:
        return False
    return True


def _network_for(params: Tree, size: int) -> tuple[Any, int]:
    """Return network and number of classes; where the data decides that, it is two, what the network's layers say, or ten digits."""
    classes = params["dataset"]["classes"]
    numbers = [len(classes)] if classes else [2, *(units for key, units in leaves(params["model"]) if key.endswith(".units")), 10]
    refusals = []
    for number in numbers:
        try:
            return _network_of(params, size, number), number
        except ConfigError as error:
            refusals.append(error)
    raise refusals[0]


def _network_of(params: Tree, size: int, classes: int) -> Any:
    from torch import nn

    model, channels = params["model"], params["dataset"]["channels"]
    with without_first_values():
        network = build("model", model, nn.Module, in_channels=channels, num_classes=classes, image_size=size)
    with _told("model", model, f"does not take images of {size}x{size} pixels and {counted(channels, 'channel')}"):
        shape = tuple(scores_shape(network.eval(), channels, size))
        if len(shape) != 2 or shape[1] != classes:
            raise ValueError(f"it makes {('images', *shape[1:])} of them, ('images', {classes}) is needed, a score for each class")
    return network


def try_transforms(params: Tree) -> None:
    """Build every transform and hand a black image through them all; refuse what leaves it in another shape."""
    nodes = {f"augmentation.transforms.{name}": node for name, node in params["augmentation"]["transforms"].items() if node}
    if not nodes:
        return
    import numpy as np

    (_, size), channels = _seen(params), params["dataset"]["channels"]
    image = first = np.zeros((size, size, channels), np.uint8)
    changer = ""
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # its import asks the network for news, 10 s where none answers
    for key, node in nodes.items():
        before = image.shape
        with without_torch():
            transform: Any = build(key, node, object)
        with _told(key, node, f"does not take images of {before[1]}x{before[0]} pixels and {counted(before[2], 'channel')}"):
            transform.p = 1
            image = transform(image=image)["image"]
        changer = changer if image.shape == before else key
    if image.shape != first.shape:
        with _told(changer, nodes[changer], "leaves images in a shape that the network is not made for"):
            raise ValueError(f"{first.shape} has become {image.shape}; end with albumentations.Resize, height: {size}, width: {size}")


@contextmanager
def _told(key: str, node: Tree, what: str) -> Iterator[None]:
    """Turn whatever a class raises into a ConfigError that says what it can't do."""
    try:
        yield
    except Exception as error:
        raise ConfigError(f"{key}: {node['_target_']} {what}: {' '.join(str(error).split())}", key) from error
