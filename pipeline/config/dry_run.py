"""A dry run of what the config names, without data: the network sees an empty batch, the transforms a black image.

It finds what the classes alone know: options that they refuse, an image size that the network shrinks to nothing, a loss that
does not compare scores with classes. What an earlier check accepted is not built again, as torch takes a second to import."""

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pipeline.config.build import build, resolve
from pipeline.config.errors import ConfigError
from pipeline.config.lone_image import lone_image
from pipeline.config.ranks import at_once, ranks_of
from pipeline.config.schema import Training
from pipeline.config.tree import Tree, get, has, leaves, with_order
from pipeline.config.wording import counted

LARGEST = 4096  # pixels: of resize.size in schema.py
TRANSFORM = "albumentations.core.transforms_interface.BasicTransform"
MOST_EPOCHS = 10_000  # that a schedule is tried for

PLATEAU = (
    "steps by what was measured, after the epoch's checkpoint is written: a training that was killed would go on with other rates. "
    "Choose scheduler=cosine or step; training.patience stops on a plateau"
)

# Keys that decide what is built.
NETWORK = ("model", "resize.size", "training.input", "dataset.channels", "dataset.classes", "weights.freeze")
TRAINING = ("optimizer", "scheduler", "loss", "training.epochs", "training.batch_size", "training.accumulate")
TRANSFORMS = ("augmentation.transforms", "resize.size", "training.input", "dataset.channels")


def try_out(params: Tree, accepted: Tree) -> None:
    """Raise ConfigError for what can't be built or does not fit together."""
    with warnings.catch_warnings(action="ignore"):
        network = try_network(params) if _is_new(NETWORK + TRAINING, params, accepted) else None
        if _is_new(TRANSFORMS, params, accepted):
            try_transforms(params)
        if network:  # last, as torch takes another second to import what the first optimizer needs
            _try_schedule(params, network)


def _is_new(keys: tuple[str, ...], params: Tree, accepted: Tree) -> bool:
    before, now = with_order(accepted), with_order(params)
    return any(not has(before, key) or get(before, key) != get(now, key) for key in keys)


def try_network(params: Tree) -> Any:
    """Build network and loss, and compare scores of nothing with classes; return the network."""
    network, classes = _network(params)
    if not params["weights"]["freeze"]:  # the training itself knows which layers those are, and says so before it begins
        require_learning(network, params["dataset"]["channels"], _seen(params)[1], Training(**params["training"]))
    _try_loss(params["loss"], classes)
    return network


def _try_loss(node: Tree, classes: int) -> None:
    import torch
    from torch import nn

    loss = build("loss", node, nn.Module)
    with _told("loss", node, "can't compare the scores of images with their classes"):
        scores = torch.zeros(classes + 1, classes)  # of a number of images that no mistaken loss can broadcast
        labels = torch.zeros(len(scores), dtype=torch.long)
        if loss(scores, labels).shape != ():
            raise ValueError("it gives one number for each image, and one for all is needed")
        if loss(scores, labels) * 1.5 < loss(scores.repeat(2, 1), labels.repeat(2)):
            raise ValueError("it gives the sum over the images, and their mean is needed; leave reduction out")


def _try_schedule(params: Tree, network: Any) -> None:
    """Build optimizer and schedule, and step through the epochs."""
    import torch
    from torch import nn
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

    node, epochs = params["scheduler"], params["training"]["epochs"]
    if issubclass(resolve("scheduler", node["_target_"], LRScheduler), ReduceLROnPlateau):
        raise ConfigError(f"scheduler._target_: {node['_target_']} {PLATEAU}", "scheduler._target_")
    parameters = [nn.Parameter(torch.zeros((1,) * parameter.dim())) for parameter in network.parameters()]
    optimizer = build("optimizer", params["optimizer"], Optimizer, parameters)
    schedule = build("scheduler", node, LRScheduler, optimizer, steps=epochs)
    with _told("scheduler", node, f"can't step through training.epochs={epochs}"):
        for _ in range(min(epochs, MOST_EPOCHS)):
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
    with skip_init():
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

    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # its import asks the network for news, 10 s where none answers

    (_, size), channels = _seen(params), params["dataset"]["channels"]
    image = first = np.zeros((size, size, channels), np.uint8)
    changer = ""
    for key, node in nodes.items():
        before = image.shape
        transform: Any = build(key, node, resolve(key, TRANSFORM, object))
        with _told(key, node, f"does not take images of {before[1]}x{before[0]} pixels and {counted(before[2], 'channel')}"):
            transform.p = 1
            image = transform(image=image)["image"]
        changer = changer if image.shape == before else key
    if image.shape != first.shape:
        with _told(changer, nodes[changer], "leaves images in a shape that the network is not made for"):
            raise ValueError(f"{first.shape} has become {image.shape}; end with albumentations.Resize, height: {size}, width: {size}")


def scores_shape(network: Any, channels: int, size: int) -> Any:
    """Return the shape of the scores of no image at all, which computes nothing. Raises ValueError naming the layer that refuses it."""
    import torch

    with _entering(network) as entered:
        try:
            with torch.no_grad():
                try:
                    return network(torch.empty(0, channels, size, size)).shape
                except Exception:  # some can't do with none: two images on the meta device, whose first use takes a second
                    return network.to("meta")(torch.empty(2, channels, size, size, device="meta")).shape
        except Exception as error:
            raise ValueError(f"{entered[-1]}: {error}" if entered else str(error)) from error


def require_learning(network: Any, channels: int, size: int, training: Training) -> None:
    """Raise ConfigError where batch norm can't learn from one image at a time; the network ends on the meta device.

    On several devices it may measure the images of all: the training itself says so before it begins."""
    import torch

    if at_once(training) > 1 or ranks_of(training) > 1:
        return
    with _entering(network.to("meta").train()) as entered:
        try:
            network(torch.empty(1, channels, size, size, device="meta"))
        except ValueError as error:
            if "more than 1 value per channel" in str(error):
                raise lone_image(entered[-1], size, training, "each part of a batch") from error


@contextmanager
def _entering(network: Any) -> Iterator[list[str]]:
    """Give the names of the layers that images have entered, the last one at the end."""
    entered: list[str] = []
    hooks = [layer.register_forward_pre_hook(lambda *_, name=name: entered.append(name)) for name, layer in network.named_modules() if name]
    try:
        yield entered
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def skip_init() -> Iterator[None]:
    """Leave weights uninitialised, which costs no time and no memory, also of a hundred million; and draw no random number."""
    from torch.nn import init

    functions = {name: function for name, function in vars(init).items() if name.endswith("_") and not name.startswith("_")}
    vars(init).update(dict.fromkeys(functions, lambda tensor, *_, **__: tensor))
    try:
        yield
    finally:
        vars(init).update(functions)


@contextmanager
def _told(key: str, node: Tree, what: str) -> Iterator[None]:
    """Turn whatever a class raises into a ConfigError that says what it can't do."""
    try:
        yield
    except Exception as error:
        raise ConfigError(f"{key}: {node['_target_']} {what}: {' '.join(str(error).split())}", key) from error
