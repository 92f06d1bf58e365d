"""Values that are right each by itself and can't be together."""

import os
from collections import Counter
from collections.abc import Iterator
from math import prod
from pathlib import Path

from pipeline.config.errors import ConfigError
from pipeline.config.paths import OUTS, Places
from pipeline.config.schema import Augmentation, Config, Dataset, Decode, Sources, Training, Weights
from pipeline.config.splits import ALL, SPLITS


def check_clashes(cfg: Config) -> None:
    """Raise ConfigError for the first clash, at the key that is the likelier to be wrong."""
    for key, words in [
        *_sources(cfg.dataset.sources),
        *_classes(cfg.dataset),
        *_taken(cfg.dataset),
        *_splits(cfg.dataset),
        *_shares(cfg.dataset),
        *_folds(cfg.dataset),
        *_background(cfg.decode),
        *_input(cfg),
        *_weights(cfg.weights),
        *_flips(cfg.augmentation),
        *_parts(cfg.training),
    ]:
        raise ConfigError(f"{key} {words}", key)


def _sources(sources: Sources) -> Iterator[tuple[str, str]]:
    if sources.folder:
        return
    if not sources.mirrors and not all(file.url for file in sources.files.values()):
        yield "dataset.sources.mirrors", "is empty, so dataset.sources.files can't be fetched: give one base URL or more"
    if not sources.files:
        yield "dataset.sources.files", "is empty and dataset.sources.folder is null, so there is nothing to fetch"
    for name in _twice([file.name for file in sources.files.values()]):
        yield "dataset.sources.files", f"names {name} twice, and each file needs a name of its own"


def _classes(dataset: Dataset) -> Iterator[tuple[str, str]]:
    classes = dataset.classes
    if classes is None:
        return
    if len(classes) < 2:
        yield "dataset.classes", f"names {len(classes)}, and a network needs two or more to tell apart"
    if not all(name.strip() for name in classes):
        yield "dataset.classes", "holds an empty name"
    for name in _twice(classes):
        yield "dataset.classes", f"names {name} twice"


def _taken(dataset: Dataset) -> Iterator[tuple[str, str]]:
    if not dataset.take or not dataset.classes:
        return
    for name, taken in dataset.take.items():
        if taken not in dataset.classes:
            yield f"dataset.take.{name}", f"is {taken}, which dataset.classes does not name"
    for name in dataset.classes:
        if name not in dataset.take.values():
            yield "dataset.classes", f"names {name}, which dataset.take takes from no class of the files"


def _splits(dataset: Dataset) -> Iterator[tuple[str, str]]:
    if not dataset.splits or list(dataset.splits) == [ALL]:
        return
    if ALL in dataset.splits:
        yield f"dataset.splits.{ALL}", "means that the splits are drawn, so no other can stand beside it"
    for name in dataset.splits:
        if name not in SPLITS:
            yield f"dataset.splits.{name}", f"must be one of {', '.join(SPLITS)}, or {ALL} alone"
    for name in ("train", "test"):  # validation is drawn from train where it is not named
        if name not in dataset.splits:
            yield "dataset.splits", f"names no {name}, so there are no images to {name} on: name them, or draw all splits by {{{ALL}: …}}"
    for where in _twice(list(dataset.splits.values())):
        both = [name for name, place in dataset.splits.items() if place == where]
        yield f"dataset.splits.{both[1]}", f"is {where}, as dataset.splits.{both[0]} is: the same images can't be both"


def _shares(dataset: Dataset) -> Iterator[tuple[str, str]]:
    drawn = {name: getattr(dataset.split, name) for name in ("validation", "test") if name not in (dataset.splits or {})}
    if dataset.split.folds:
        drawn.pop("validation", None)
    for name, value in drawn.items():
        if value == 0:
            yield f"dataset.split.{name}", f"is 0 and dataset.splits names no {name}, so no images are left for it; give a share above 0"
    if len(drawn) == 2 and sum(drawn.values()) >= 1:
        total = f"{drawn['validation']} + {drawn['test']}"
        yield "dataset.split.validation", f"and dataset.split.test must stay below 1 together, but they are {total}"


def _folds(dataset: Dataset) -> Iterator[tuple[str, str]]:
    split = dataset.split
    if split.folds is None:
        if split.fold:
            yield "dataset.split.fold", f"is {split.fold}, but dataset.split.folds is null: give the number of folds, or fold 0"
        return
    if split.fold >= split.folds:
        yield "dataset.split.fold", f"is {split.fold}, and the folds are numbered from 0 to {split.folds - 1}"
    if "validation" in (dataset.splits or {}):
        yield "dataset.split.folds", "is set, but dataset.splits names validation images: leave one of the two out"


def _background(decode: Decode) -> Iterator[tuple[str, str]]:
    if len(decode.background) != 3:
        yield "decode.background", f"must be three numbers, red, green and blue, but it is {decode.background}"


def _input(cfg: Config) -> Iterator[tuple[str, str]]:
    if cfg.training.input and cfg.training.input > cfg.resize.size:
        yield "training.input", f"is {cfg.training.input} pixels, more than the resize.size={cfg.resize.size} that images are stored at"


def _weights(weights: Weights) -> Iterator[tuple[str, str]]:
    if weights.source is None and weights.names:
        yield "weights.source", f"is null, and weights={weights.name} begins with a file's: give its path or URL, or choose weights=none"
    if weights.source and weights.names is None:
        yield "weights.names", "is null, so nobody knows whose names of layers weights.source has: give ours, torchvision or timm"
    if weights.source and _is_written_by_training(weights.source):
        yield "weights.source", f"is {weights.source}, which training itself writes: copy it, cp -r bundle start, and name the copy"


def _flips(augmentation: Augmentation) -> Iterator[tuple[str, str]]:
    for name, node in augmentation.transforms.items():
        if augmentation.alternating_flip and node and node.get("_target_") == "albumentations.HorizontalFlip":
            yield (
                f"augmentation.transforms.{name}",
                "mirrors by chance what augmentation.alternating_flip mirrors in turn, so both sides would no longer alternate: "
                "set the one to null or the other to false",
            )


def _parts(training: Training) -> Iterator[tuple[str, str]]:
    factors = {"devices": training.devices, "nodes": training.nodes, "accumulate": training.accumulate}
    parts = prod(factors.values())
    if training.batch_size % parts:
        told = " * ".join(f"training.{name}={value}" for name, value in factors.items() if value > 1)
        nearest = max(1, round(training.batch_size / parts)) * parts
        yield "training.batch_size", f"is {training.batch_size}, which {told} can't share out evenly: {nearest} is the nearest that can"


def _is_written_by_training(source: str) -> bool:
    """Tell whether a path leads to bundle/ or into it, which DVC empties before a training begins."""
    home = Places(None).home
    return "://" not in source and Path(os.path.normpath(home / source)).is_relative_to(home / OUTS["bundle"])


def _twice(names: list[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]
