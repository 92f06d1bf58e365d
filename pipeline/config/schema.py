"""The typed config: one dataclass per folder of conf/; each field with its type, its range, its unit and its meaning.

No values live here: they stand in conf/, each with its reason. `Any`-valued mappings are nodes that a class's signature
describes, the class that their key `_target_` names; what such classes do not check themselves has a range here.
"""

from dataclasses import dataclass
from typing import Any

from omegaconf import MISSING

from pipeline.config.constraints import above, at_least, between, key_of, matching, one_of, options, share
from pipeline.config.explain_schema import Attribution, Maximisation, Neighbours, Units, Walk
from pipeline.config.patterns import EXPERIMENT, FILE_NAME, FILE_URL, LAYERS, MIRRORS, MODEL, PREFIX, SHA256, STORE, TIME, WEIGHTS


@dataclass
class Option:
    """A file of a group of conf/, which says its own name."""

    name: str = MISSING


@dataclass
class SourceFile:
    name: str = matching(*FILE_NAME)  # file name below each mirror, and in data/raw
    sha256: str = matching(*SHA256)  # of the file as published
    bytes: int | None = at_least(1, default=None)  # of the file as published; null: as its server says
    unpack: bool = False  # whether it is an archive, whose files take its place in data/raw
    url: str | None = matching(*FILE_URL, default=None)  # its own; null: its name below the mirrors


@dataclass
class Sources:
    folder: str | None = MISSING  # a folder of this project, taken as it is; null: download `files`
    mirrors: list[str] = matching(*MIRRORS)  # base URLs, tried in order: https, http, s3, gs, file, package://module/path; paths: /…, ./…
    files: dict[str, SourceFile] = MISSING


@dataclass
class Split:
    validation: float = share()  # share of the training images
    test: float = share()  # share of all images; not used where the data has an official test split
    seed: int = at_least(0)  # of the split only: training's seed never changes it
    folds: int | None = between(2, 100)  # equal parts of what is not test, for cross-validation; null: validation's share instead
    fold: int = at_least(0)  # which of them is the validation split, from 0


@dataclass
class Twins:
    correlation: float = between(0.5, 1, closed="left")  # of two pictures' 16x16 gray miniatures, from which on they are twins
    across: str = one_of("leave_out", "keep")  # pictures of train (validation) whose twin is in validation or test (test)


@dataclass
class Dataset(Option):
    sources: Sources = MISSING
    reader: str = key_of("pipeline.dataset.readers", "READERS")  # one of READERS in pipeline/dataset/readers.py
    channels: int = one_of(1, 3)  # 1 gray, 3 colour
    classes: list[str] | None = MISSING  # index = label; null: those of the images, sorted
    take: dict[str, str] | None = MISSING  # class in the files -> name in `classes`; others are left out; null: all, as they are called
    columns: dict[str, str] | None = MISSING  # of tables: {image: …, label: …, split: …} -> what the column is called
    splits: dict[str, str] | None = matching(*PREFIX)  # official splits: {train: …, validation: …, test: …} -> where each lies; or {all: …}
    split: Split = MISSING
    twins: Twins = MISSING


@dataclass
class Fetch(Option):
    timeout: float = above(0)  # seconds without a byte before an attempt ends
    slowest: float = at_least(0)  # bytes per second, over `timeout` seconds, below which an attempt ends
    attempts: int = at_least(1)  # per mirror, in a row that bring nothing new
    pause: float = at_least(0)  # seconds before the second attempt, doubled for each further one
    progress: float = at_least(0)  # seconds between two lines of progress
    max_bytes: int = at_least(1)  # that an archive may unpack to
    max_files: int = at_least(1)  # entries of an archive, folders included


@dataclass
class Decode(Option):
    background: list[int] = between(0, 255)  # red, green, blue, 0..255, under transparent pixels
    max_pixels: int = at_least(1)  # width x height of the largest picture that is decoded
    smallest_side: int = at_least(1)  # pixels that width and height must have
    sixteen_bit: str = one_of("high_byte", "refuse")  # what becomes of more than 8 bits per channel


@dataclass
class Resize(Option):
    size: int = between(4, 4096, " pixels")  # pixels, height = width
    method: str = one_of("stretch", "letterbox", "crop")
    on_bad: str = one_of("skip", "stop")  # what a file that can't be used does
    max_refused: float = share()  # largest share of files that may be skipped before the stage stops
    few_validation: int = at_least(0)  # validation images, below which the choice of the epoch is said to be uncertain


@dataclass
class Weights(Option):
    source: str | None = matching(*WEIGHTS)  # a bundle's folder, or a file's path or URL; null: the first values of the network's own rule
    sha256: str | None = matching(*SHA256)  # of the file, or of the bundle's bundle.json
    names: str | None = one_of("ours", "torchvision", "timm")  # whose names of layers the file has
    freeze: list[str] = matching(*LAYERS)  # layers that do not learn, by the beginning of their names


@dataclass
class TransformOptions:
    p: float = between(0, 1)  # with which an image is changed


@dataclass
class Augmentation(Option):
    transforms: dict[str, Any] = options(TransformOptions, each=True)  # of each image, in order; null leaves one out
    alternating_flip: bool = False  # mirror an image in every second epoch, instead of by chance
    mixup: float | None = above(0, default=None)  # alpha of the Beta distribution of the shares in which two images are blended; null: none
    cutmix: float | None = above(0, default=None)  # the same of the share of an image that a patch of another leaves; null: none


@dataclass
class KeptFilters:
    epochs: list[int] = at_least(0)  # after which they are kept, besides the last; 0: before training
    layers: int = at_least(0)  # convolutions
    filters: int = at_least(1)  # of each, the first
    channels: int = at_least(1)  # of each filter, the first


@dataclass
class Training(Option):
    epochs: int = at_least(1)  # passes over the training images
    batch_size: int = at_least(1)  # images per optimizer step, on all devices together
    accumulate: int = at_least(1)  # parts of a batch, computed one after another, for batches that do not fit into memory
    input: int | None = between(4, 4096, " pixels")  # side of random squares in training, of the middle elsewhere; null: whole images
    monitor: str = one_of("validation/loss", "validation/accuracy")  # the metric that selects the epoch whose weights are kept
    patience: int | None = at_least(1)  # epochs without a better monitor before stopping; null: never
    divergence: float = above(1)  # stop when an epoch's loss exceeds this multiple of ln(classes)
    budget: str | None = matching(*TIME)  # time after which the training ends annealed, 30m; null: after its epochs, and repeatable
    balance: str = one_of("none", "weights", "sampler")  # makes every class count the same
    clip: float | None = above(0)  # largest norm of all gradients together; null: any
    decay: str = one_of("weights", "all")  # whether weight decay leaves out biases and normalisation
    average: float | None = between(0, 1, closed="neither")  # decay per step of a moving average of the weights, which is kept; null: none
    threads: int = between(1, 1024)  # of torch; part of the result: other counts give other weights
    precision: str = one_of("32-true", "bf16-mixed", "16-mixed")
    layout: str = one_of("channels_last", "contiguous")  # how images and filters lie in memory
    compile: bool = MISSING  # by torch.compile
    deterministic: bool = MISSING  # on a GPU: only operations that give the same bits each time
    limit_batches: int | None = at_least(1)  # of an epoch's training, and of its validation; null: all
    overfit_images: int | None = at_least(2)  # train on so many, of all classes alike, and validate on the same; null: on the splits
    profile: int | None = at_least(1)  # steps recorded by torch.profiler, after which the training ends; null: none
    filters: KeptFilters = MISSING  # of convolutions behind the first, whose are kept whole, after each epoch
    devices: int = between(1, 1024)  # processes on this machine, each with its accelerator or its share of the processor's cores
    nodes: int = between(1, 1024)  # machines


@dataclass
class Machine(Option):
    """What changes a training's speed and never its result."""

    workers: int = between(0, 1024)  # loader processes
    checkpoint: float = at_least(0)  # seconds between two checkpoints at least; they are written at ends of epochs only
    keep: float = at_least(0)  # days that the checkpoints of a training and the chunks of a resize that did not end are kept


@dataclass
class Evaluate(Option):
    batch_size: int = at_least(1)  # images per forward pass
    tta: str = one_of("plain", "mirror", "mirror_shift")  # test-time augmentation
    confidence: float = between(0, 1, closed="neither")  # level of the accuracy interval
    hardest: int = at_least(0)  # test images to show, those whose true class got the smallest probability


@dataclass
class Explain(Option):
    batch_size: int = at_least(1)  # images per forward pass
    frames: list[int] = at_least(0)  # epochs in the film strips of the filters, besides the kept one and the last; 0: before training
    images: int = at_least(0)  # validation images followed through the layers
    maps: int = at_least(1)  # channels shown of each layer
    rows: int = at_least(1)  # convolutions shown, each with what follows it
    strip: int = at_least(1)  # units shown of each hidden fully connected layer, the first ones
    bars: int = at_least(1)  # most probable classes shown for an image
    mistakes: int = at_least(0)  # test images to show, the most confident wrong answers
    attributions: Attribution = MISSING
    neighbours: Neighbours = MISSING
    map: int = at_least(2)  # test images on the map of the last features
    units: Units = MISSING
    maximisation: Maximisation = MISSING
    walk: Walk = MISSING


@dataclass
class Tracking(Option):
    uri: str | None = matching(*STORE)  # null: sqlite in the project's root; a URI with a password comes by MLFLOW_TRACKING_URI
    experiment: str = matching(*EXPERIMENT)  # MLflow experiment that all runs join
    model: str = matching(*MODEL)  # registered model's name
    system_metrics: float | None = above(0)  # seconds between two samples of processor, memory, disk, network, GPU; null: none
    first_upload: float = at_least(0)  # seconds after its start at which a training's run is created, ahead of the uploader's share
    share: float = between(0, 1, closed="right")  # of one processor core, at most, for delivery while a training goes on
    wait: float = at_least(0)  # share of its time that a training that is done waits for its last events to arrive


@dataclass
class OptimizerOptions:
    lr: float = above(0)  # learning rate; its unit is the optimizer's
    momentum: float = share()  # share of the last step that goes into the next
    weight_decay: float = at_least(0)
    iterations: int = between(1, 10)  # of Newton and Schulz, of a Muon step
    head_lr: float = above(0)  # Muon's learning rate of the layer that makes the scores
    vector_lr: float = above(0)  # Muon's learning rate of biases and normalisation
    sgd_momentum: float = share()  # of what Muon leaves to SGD


@dataclass
class SchedulerOptions:
    T_max: int = at_least(1)  # epochs to reach the smallest rate
    step_size: int = at_least(1)  # epochs between two changes
    gamma: float = above(0)  # factor of a change
    factor: float = between(0, 1)  # of optimizer.lr
    start: float = between(0, 1)  # share of optimizer.lr
    peak: float = share()  # share of the training after which the rate is optimizer.lr
    end: float = between(0, 1)  # share of optimizer.lr


@dataclass
class LossOptions:
    label_smoothing: float = between(0, 1)  # share of the target that all classes get alike
    gamma: float = at_least(0)  # power of the focal loss's factor
    bound: float = above(0)  # squared distance of the MAP criterion's rubbish class
    p: float = between(1, 2)  # power of what is missing to the margin
    margin: float = above(0)  # of scores


@dataclass
class Config:
    seed: int = between(0, 2**32 - 1)
    dataset: Dataset = MISSING
    fetch: Fetch = MISSING
    decode: Decode = MISSING
    resize: Resize = MISSING
    model: dict[str, Any] = options()
    weights: Weights = MISSING
    augmentation: Augmentation = MISSING
    training: Training = MISSING
    optimizer: dict[str, Any] = options(OptimizerOptions)
    scheduler: dict[str, Any] = options(SchedulerOptions)
    loss: dict[str, Any] = options(LossOptions)
    machine: Machine = MISSING
    evaluate: Evaluate = MISSING
    explain: Explain = MISSING
    tracking: Tracking = MISSING
    experiment: Option = MISSING
    debug: Option = MISSING
