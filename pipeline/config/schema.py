"""The typed config: one dataclass per folder of conf/. No numbers live here; they stand in conf/, each with its reason.

`Any`-valued mappings are nodes that some class's signature describes: the key `_target_` names that class.
"""

from dataclasses import dataclass
from typing import Any

from omegaconf import MISSING


@dataclass
class SourceFile:
    name: str = MISSING  # file name below each mirror, and in data/raw
    sha256: str = MISSING  # of the file as published


@dataclass
class Sources:
    folder: str | None = MISSING  # a folder of this project, taken as it is; null: download `files`
    mirrors: list[str] = MISSING  # base URLs, tried in order: https, http, file, package://module/path
    files: dict[str, SourceFile] = MISSING


@dataclass
class Split:
    validation: float = MISSING  # share of the training images, 0..1
    test: float = MISSING  # share of all images, 0..1; not used where the data has an official test split
    seed: int = MISSING  # of the split only: training's seed never changes it


@dataclass
class Dataset:
    name: str = MISSING
    sources: Sources = MISSING
    reader: str = MISSING  # a function of pipeline/dataset/readers.py
    channels: int = MISSING  # 1 gray, 3 colour
    classes: list[str] | None = MISSING  # index = label; null: the sub-folders' names, sorted
    splits: dict[str, str] | None = MISSING  # official splits: {train: …, validation: …, test: …} -> where each lies
    split: Split = MISSING


@dataclass
class Resize:
    name: str = MISSING
    size: int = MISSING  # pixels, height = width
    method: str = MISSING  # stretch | letterbox | crop
    max_refused: float = MISSING  # largest share of unreadable files, 0..1, before the stage stops


@dataclass
class Augmentation:
    name: str = MISSING
    transforms: dict[str, Any] = MISSING  # in order; null leaves one out


@dataclass
class Training:
    name: str = MISSING
    epochs: int = MISSING  # passes over the training images
    batch_size: int = MISSING  # images per optimizer step
    monitor: str = MISSING  # the metric that selects the epoch whose weights are kept
    patience: int | None = MISSING  # epochs without a better monitor before stopping; null: never
    divergence: float = MISSING  # stop when an epoch's loss exceeds this multiple of ln(classes)
    threads: int = MISSING  # of torch; part of the result: other counts give other weights
    workers: int = MISSING  # loader processes; never part of the result


@dataclass
class Evaluate:
    name: str = MISSING
    batch_size: int = MISSING  # images per forward pass
    confidence: float = MISSING  # level of the accuracy interval, 0..1
    hardest: int = MISSING  # test images to show, those whose true class got the smallest probability


@dataclass
class Explain:
    name: str = MISSING
    batch_size: int = MISSING  # images per forward pass
    frames: int = MISSING  # steps of the training in the film strip of the filters
    images: int = MISSING  # validation images followed through the layers
    maps: int = MISSING  # channels shown of each layer
    rows: int = MISSING  # convolutions shown, each with what follows it
    bars: int = MISSING  # most probable classes shown for an image
    mistakes: int = MISSING  # test images to show, the most confident wrong answers


@dataclass
class Tracking:
    name: str = MISSING
    uri: str | None = MISSING  # null: sqlite in the project's root; a URI with a password comes by MLFLOW_TRACKING_URI
    experiment: str = MISSING  # MLflow experiment that all runs join
    model: str = MISSING  # registered model's name
    system_metrics: float | None = MISSING  # seconds between two samples of processor, memory, disk, network, GPU; null: none
    wait: float = MISSING  # seconds that a training that is done waits for its last events to arrive


@dataclass
class Experiment:
    name: str = MISSING


@dataclass
class Config:
    seed: int = MISSING
    dataset: Dataset = MISSING
    resize: Resize = MISSING
    model: dict[str, Any] = MISSING
    augmentation: Augmentation = MISSING
    optimizer: dict[str, Any] = MISSING
    scheduler: dict[str, Any] = MISSING
    loss: dict[str, Any] = MISSING
    training: Training = MISSING
    evaluate: Evaluate = MISSING
    explain: Explain = MISSING
    tracking: Tracking = MISSING
    experiment: Experiment = MISSING
