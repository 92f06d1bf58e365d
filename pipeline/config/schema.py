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
    bytes: int | None = None  # of the file as published; null: as its server says
    unpack: bool = False  # whether it is an archive, whose files take its place in data/raw
    url: str | None = None  # its own; null: its name below the mirrors


@dataclass
class Sources:
    folder: str | None = MISSING  # a folder of this project, taken as it is; null: download `files`
    mirrors: list[str] = MISSING  # base URLs, tried in order: https, http, s3, gs, file, package://module/path; paths: /…, ./…
    files: dict[str, SourceFile] = MISSING


@dataclass
class Split:
    validation: float = MISSING  # share of the training images, 0..1
    test: float = MISSING  # share of all images, 0..1; not used where the data has an official test split
    seed: int = MISSING  # of the split only: training's seed never changes it
    folds: int | None = MISSING  # equal parts of what is not test, for cross-validation; null: validation's share instead
    fold: int = MISSING  # which of them is the validation split, from 0


@dataclass
class Twins:
    correlation: float = MISSING  # of two pictures' 16x16 gray miniatures, from which on they are twins
    across: str = MISSING  # leave_out | keep: pictures of train (validation) whose twin is in validation or test (test)


@dataclass
class Dataset:
    name: str = MISSING
    sources: Sources = MISSING
    reader: str = MISSING  # one of READERS in pipeline/dataset/readers.py
    channels: int = MISSING  # 1 gray, 3 colour
    classes: list[str] | None = MISSING  # index = label; null: those of the images, sorted
    take: dict[str, str] | None = MISSING  # class in the files -> name in `classes`; others are left out; null: all, as they are called
    columns: dict[str, str] | None = MISSING  # of tables: {image: …, label: …, split: …} -> what the column is called
    splits: dict[str, str] | None = MISSING  # official splits: {train: …, validation: …, test: …} -> where each lies; or {all: …}
    split: Split = MISSING
    twins: Twins = MISSING


@dataclass
class Fetch:
    name: str = MISSING
    timeout: float = MISSING  # seconds without a byte before an attempt ends
    slowest: float = MISSING  # bytes per second, over `timeout` seconds, below which an attempt ends
    attempts: int = MISSING  # per mirror, in a row that bring nothing new
    pause: float = MISSING  # seconds before the second attempt, doubled for each further one
    progress: float = MISSING  # seconds between two lines of progress
    max_bytes: int = MISSING  # that an archive may unpack to
    max_ratio: float = MISSING  # unpacked bytes per byte of the archive
    max_files: int = MISSING  # entries of an archive, folders included
    max_depth: int = MISSING  # folders of an archive, one in another


@dataclass
class Decode:
    name: str = MISSING
    background: list[int] = MISSING  # red, green, blue, 0..255, under transparent pixels
    max_pixels: int = MISSING  # width x height of the largest picture that is decoded
    smallest_side: int = MISSING  # pixels that width and height must have
    sixteen_bit: str = MISSING  # high_byte | refuse: what becomes of more than 8 bits per channel


@dataclass
class Resize:
    name: str = MISSING
    size: int = MISSING  # pixels, height = width
    method: str = MISSING  # stretch | letterbox | crop
    on_bad: str = MISSING  # skip | stop: what a file that can't be used does
    max_refused: float = MISSING  # largest share of files that may be skipped, 0..1, before the stage stops
    few_validation: int = MISSING  # validation images, below which the choice of the epoch is said to be uncertain


@dataclass
class Weights:
    name: str = MISSING
    source: str | None = MISSING  # a bundle's folder, or a file's path or URL; null: the first values of the network's own rule
    sha256: str | None = MISSING  # of the file, or of the bundle's bundle.json
    names: str | None = MISSING  # ours | torchvision | timm: whose names of layers the file has
    freeze: list[str] = MISSING  # layers that do not learn, by the beginning of their names


@dataclass
class Augmentation:
    name: str = MISSING
    transforms: dict[str, Any] = MISSING  # of each image, in order; null leaves one out
    alternating_flip: bool = False  # mirror an image in every second epoch, instead of by chance
    mixup: float | None = None  # alpha of the Beta distribution of the shares in which two images are blended; null: none
    cutmix: float | None = None  # alpha of the Beta distribution of the share of an image that another's patch leaves; null: none


@dataclass
class Training:
    name: str = MISSING
    epochs: int = MISSING  # passes over the training images
    batch_size: int = MISSING  # images per optimizer step, on all devices together
    accumulate: int = MISSING  # parts of a batch, computed one after another, for batches that do not fit into memory
    input: int | None = MISSING  # pixels, height = width: random squares in training, the middle elsewhere; null: whole images
    monitor: str = MISSING  # the metric that selects the epoch whose weights are kept
    patience: int | None = MISSING  # epochs without a better monitor before stopping; null: never
    divergence: float = MISSING  # stop when an epoch's loss exceeds this multiple of ln(classes)
    budget: str | None = MISSING  # time after which the training ends annealed, 30m; null: after its epochs, and repeatable
    balance: str = MISSING  # none | weights | sampler: makes every class count the same
    clip: float | None = MISSING  # largest norm of all gradients together; null: any
    decay: str = MISSING  # weights | all: whether weight decay leaves out biases and normalisation
    average: float | None = MISSING  # decay per step of a moving average of the weights, which is what is kept; null: none
    threads: int = MISSING  # of torch; part of the result: other counts give other weights
    precision: str = MISSING  # 32-true | bf16-mixed | 16-mixed
    layout: str = MISSING  # channels_last | contiguous: how images and filters lie in memory
    compile: bool = MISSING  # by torch.compile
    deterministic: bool = MISSING  # on a GPU: only operations that give the same bits each time
    devices: int = MISSING  # processes on this machine, each with its accelerator or its share of the processor's cores
    nodes: int = MISSING  # machines


@dataclass
class Machine:
    """What changes a training's speed and never its result."""

    name: str = MISSING
    workers: int = MISSING  # loader processes
    checkpoint: float = MISSING  # seconds between two checkpoints at least; they are written at ends of epochs only
    keep: float = MISSING  # days that the checkpoints of a training and the chunks of a resize that did not end are kept


@dataclass
class Evaluate:
    name: str = MISSING
    batch_size: int = MISSING  # images per forward pass
    views: str = MISSING  # plain | mirror | mirror_shift: of each image, whose scores are averaged
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
    share: float = MISSING  # of one processor core, at most, for delivery while a training goes on
    wait: float = MISSING  # share of its time that a training that is done waits for its last events to arrive


@dataclass
class Experiment:
    name: str = MISSING


@dataclass
class Config:
    seed: int = MISSING
    dataset: Dataset = MISSING
    fetch: Fetch = MISSING
    decode: Decode = MISSING
    resize: Resize = MISSING
    model: dict[str, Any] = MISSING
    weights: Weights = MISSING
    augmentation: Augmentation = MISSING
    optimizer: dict[str, Any] = MISSING
    scheduler: dict[str, Any] = MISSING
    loss: dict[str, Any] = MISSING
    training: Training = MISSING
    machine: Machine = MISSING
    evaluate: Evaluate = MISSING
    explain: Explain = MISSING
    tracking: Tracking = MISSING
    experiment: Experiment = MISSING
