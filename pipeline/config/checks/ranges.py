"""Which values each key may have: of what type by the schema, in which range by the table here."""

import dataclasses
import math
import re
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any, get_args, get_origin

from pipeline.config.checks.keys import unknown_key
from pipeline.config.checks.kinds import annotation_of, in_words, misfit, shown
from pipeline.config.checks.signatures import keys_of
from pipeline.config.composition import Tree, leaves
from pipeline.config.errors import ConfigError
from pipeline.config.schema import Config

Rule = tuple[Callable[[Any], bool], str]


def above(low: float) -> Rule:
    return lambda value: value > low, f"a number above {low}"


def at_least(low: float) -> Rule:
    return lambda value: value >= low, f"{low} or more"


def between(low: float, high: float, unit: str = "") -> Rule:
    return lambda value: low <= value <= high, f"{low} to {high}{unit}"


def share(value_below: float = 1) -> Rule:
    return lambda value: 0 <= value < value_below, f"a share from 0 to below {value_below}"


def one_of(*options: str) -> Rule:
    return lambda value: value in options, "one of " + ", ".join(options)


def like(pattern: str, words: str) -> Rule:
    return lambda value: re.fullmatch(pattern, value) is not None, words


def all_like(pattern: str, words: str) -> Rule:
    return lambda values: all(re.fullmatch(pattern, value) for value in values), words


SCHEMES = "https, http, s3, gs, file or package"
ADDRESS = r"(?:https?|s3|gs|file|package)://.+|\.{0,2}/.+"
FILE = r"(?:https?|s3|gs|file|package)://.+/[^/?]+(?:\?.*)?|(?!\w+://).*[^\s/].*"
LAYER = r"\w+(?:\.\w+)*"
INSIDE = r"(?!/)(?!(?:.*/)?\.\.(?:/|$)).+"

# A * stands for what people name themselves. Layers and transforms have ranges of their own, which their classes know.
RULES: dict[str, Rule] = {
    "seed": between(0, 2**32 - 1),
    "dataset.reader": one_of(*keys_of("pipeline.dataset.readers", "READERS")),
    "dataset.channels": (lambda value: value in (1, 3), "1 (gray) or 3 (colour)"),
    "dataset.sources.mirrors": all_like(ADDRESS, f"base URLs that begin with {SCHEMES}, or paths that begin with / or ./"),
    "dataset.sources.files.*.name": like(INSIDE, "a file name that stays in its folder"),
    "dataset.sources.files.*.sha256": like(r"[0-9a-f]{64}", "64 hexadecimal digits, as sha256sum prints them"),
    "dataset.sources.files.*.bytes": at_least(1),
    "dataset.sources.files.*.url": like(ADDRESS, f"a URL that begins with {SCHEMES}, or a path that begins with / or ./"),
    "dataset.splits.*": like(INSIDE, "a folder or file prefix that stays below the data's folder"),
    "dataset.split.validation": share(),
    "dataset.split.test": share(),
    "dataset.split.seed": at_least(0),
    "dataset.split.folds": between(2, 100),
    "dataset.split.fold": at_least(0),
    "dataset.twins.correlation": (lambda value: 0.5 <= value < 1, "a number from 0.5 to below 1"),
    "dataset.twins.across": one_of("leave_out", "keep"),
    "fetch.timeout": above(0),
    "fetch.slowest": at_least(0),
    "fetch.attempts": at_least(1),
    "fetch.pause": at_least(0),
    "fetch.progress": at_least(0),
    "fetch.max_bytes": at_least(1),
    "fetch.max_ratio": at_least(1),
    "fetch.max_files": at_least(1),
    "fetch.max_depth": at_least(0),
    "decode.background": (lambda value: len(value) == 3 and all(0 <= shade <= 255 for shade in value), "three numbers from 0 to 255"),
    "decode.max_pixels": at_least(1),
    "decode.smallest_side": at_least(1),
    "decode.sixteen_bit": one_of("high_byte", "refuse"),
    "resize.size": between(4, 4096, " pixels"),
    "resize.method": one_of("stretch", "letterbox", "crop"),
    "resize.on_bad": one_of("skip", "stop"),
    "resize.max_refused": share(),
    "resize.few_validation": at_least(0),
    "weights.source": like(FILE, f"a path, or a file's URL that begins with {SCHEMES}"),
    "weights.sha256": like(r"[0-9a-f]{64}", "64 hexadecimal digits, as sha256sum prints them"),
    "weights.names": one_of("ours", "torchvision", "timm"),
    "weights.freeze": all_like(LAYER, "names of layers such as conv1 or layer1.0"),
    "augmentation.transforms.*.p": between(0, 1),
    "augmentation.mixup": above(0),
    "augmentation.cutmix": above(0),
    "optimizer.lr": above(0),
    "optimizer.momentum": share(),
    "optimizer.weight_decay": at_least(0),
    "optimizer.iterations": between(1, 10),
    "optimizer.head_lr": above(0),
    "optimizer.vector_lr": above(0),
    "optimizer.sgd_momentum": share(),
    "training.epochs": at_least(1),  # before what follows it through an interpolation
    "scheduler.T_max": at_least(1),
    "scheduler.step_size": at_least(1),
    "scheduler.gamma": above(0),
    "scheduler.factor": between(0, 1),
    "scheduler.start": between(0, 1),
    "scheduler.peak": share(),
    "scheduler.end": between(0, 1),
    "loss.label_smoothing": between(0, 1),
    "loss.gamma": at_least(0),
    "loss.bound": above(0),
    "loss.p": between(1, 2),
    "loss.margin": above(0),
    "training.batch_size": at_least(1),
    "training.patience": at_least(1),
    "training.divergence": above(1),
    "training.accumulate": at_least(1),
    "training.budget": like(r"[1-9]\d*[smh]", "a time such as 90s, 30m or 2h"),
    "training.clip": above(0),
    "training.decay": one_of("weights", "all"),
    "training.average": (lambda value: 0 < value < 1, "a number between 0 and 1"),
    "training.threads": between(1, 1024),
    "training.precision": one_of("32-true", "bf16-mixed", "16-mixed"),
    "training.layout": one_of("channels_last", "contiguous"),
    "training.devices": between(1, 1024),
    "training.nodes": between(1, 1024),
    "machine.workers": between(0, 1024),
    "machine.checkpoint": at_least(0),
    "machine.keep": at_least(0),
    "training.input": between(4, 4096, " pixels"),
    "training.balance": one_of("none", "weights", "sampler"),
    "training.monitor": one_of("validation/loss", "validation/accuracy"),
    "evaluate.batch_size": at_least(1),
    "evaluate.views": one_of("plain", "mirror", "mirror_shift"),
    "evaluate.confidence": (lambda value: 0 < value < 1, "a level between 0 and 1"),
    "evaluate.hardest": at_least(0),
    "explain.batch_size": at_least(1),
    "explain.frames": at_least(3),  # before training, the kept epoch, the last
    "explain.images": at_least(0),
    "explain.maps": at_least(1),
    "explain.rows": at_least(1),
    "explain.bars": at_least(1),
    "explain.mistakes": at_least(0),
    "tracking.uri": like(
        r"(?:sqlite|postgresql|mysql|mssql|https?)(?:\+\w+)?:.+", "a database (sqlite:///…, postgresql://…) or a server (http://…)"
    ),
    "tracking.experiment": like(r"(?=.*\S)[^\x00-\x1f\x7f]{1,500}", "a name of at most 500 characters, none of them a control character"),
    "tracking.model": like(
        r"(?=.*\S)[^/:\x00-\x1f\x7f]{1,256}", "a name of at most 256 characters, without / and : and control characters"
    ),
    "tracking.system_metrics": above(0),
    "tracking.share": (lambda value: 0 < value <= 1, "a share above 0, at most 1"),
    "tracking.wait": at_least(0),
}


def check_names(tree: Any, kind: type = Config, prefix: str = "") -> None:
    """Raise ConfigError for the first key that the schema does not know or that is missing; the values may be unresolved."""
    fields = {field.name: field.type for field in dataclasses.fields(kind)}
    optional = {field.name for field in dataclasses.fields(kind) if field.default != "???"}
    for name in tree:
        if name not in fields:
            raise ConfigError(unknown_key(f"{prefix}{name}", [f"{prefix}{field}" for field in fields]), f"{prefix}{name}")
    for name, hint in fields.items():
        if name in optional and name not in tree:
            continue
        if name not in tree or tree[name] == "???":
            raise ConfigError(f"{prefix}{name} is missing", f"{prefix}{name}")
        if isinstance(hint, type) and dataclasses.is_dataclass(hint) and isinstance(tree[name], dict):
            check_names(tree[name], hint, f"{prefix}{name}.")


def check_types(tree: Tree, kind: type = Config, prefix: str = "") -> None:
    """Raise ConfigError for the first value that is not of the schema's type."""
    for field in dataclasses.fields(kind):
        if field.name in tree:
            _check_type(f"{prefix}{field.name}", tree[field.name], field.type)


def _check_type(key: str, value: Any, hint: Any) -> None:
    entry = get_args(hint)[1] if get_origin(hint) is dict else None
    if not dataclasses.is_dataclass(hint) and not dataclasses.is_dataclass(entry):
        if wrong := misfit(key, value, annotation_of(hint)):
            raise ConfigError(f"{wrong[0]} must be {in_words(wrong[2])}, but it is {shown(wrong[1])}", wrong[0])
    elif not isinstance(value, dict):
        raise ConfigError(f"{key} must be a mapping, but it is {shown(value)}", key)
    elif entry:
        for name, node in value.items():
            _check_type(f"{key}.{name}", node, entry)
    else:
        check_names(value, hint, f"{key}.")
        check_types(value, hint, f"{key}.")


def check_ranges(params: Tree) -> None:
    """Raise ConfigError for the first value outside its range; null passes where the type allows it."""
    values = dict(leaves(params))
    for pattern, (is_right, expected) in RULES.items():
        for key in [pattern] if pattern in values else [key for key in values if fnmatchcase(key, pattern)]:
            if values[key] is not None and not _holds(is_right, values[key]):
                quotes = "; write it in quotes" if _is_a_text_without_quotes(is_right, values[key]) else ""
                raise ConfigError(f"{key} must be {expected}, but it is {shown(values[key])}{quotes}", key)
    for key, value in values.items():
        if not all(math.isfinite(number) for number in _numbers(value)):
            raise ConfigError(f"{key} must be a finite number, but it is {shown(value)}", key)


def _holds(is_right: Callable[[Any], bool], value: Any) -> bool:
    try:
        return bool(is_right(value)) and all(math.isfinite(number) for number in _numbers(value))
    except TypeError:
        return False


def _is_a_text_without_quotes(is_right: Callable[[Any], bool], value: Any) -> bool:
    return isinstance(value, int | float) and _holds(is_right, str(value))


def _numbers(value: Any) -> list[float]:
    values = value if isinstance(value, list) else [value]
    return [item for item in values if isinstance(item, float)]
