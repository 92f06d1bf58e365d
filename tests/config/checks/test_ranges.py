from fnmatch import fnmatchcase
from math import inf, nan
from typing import Any

import pytest

from pipeline.config.checks.kinds import shown
from pipeline.config.checks.ranges import RULES, check_ranges
from pipeline.config.composition import Tree, leaves, put, resolved
from pipeline.config.errors import ConfigError
from tests.conftest import Compose
from tests.samples import option_files

SUM = "a" * 64

# key -> values that are refused, values that pass
LIMITS: dict[str, tuple[list[Any], list[Any]]] = {
    "seed": ([-1, 2**32], [0, 7, 2**32 - 1]),
    "dataset.reader": (["npz", ""], ["digits", "idx", "cifar", "folder", "csv", "parquet"]),
    "dataset.channels": ([0, 2, 4], [1, 3]),
    "dataset.sources.mirrors": (
        [["ftp://a"], ["https://a", "data"], ["https://"], ["C:/data"], ["~/data"]],
        [[], ["https://a", "package://b/c", "file:///d", "s3://e", "gs://f/g"], ["/data", "./data", "../data"]],
    ),
    "dataset.sources.files.digits.name": (["", "/etc/passwd", "../a", "a/../../b", ".."], ["a.gz", "a/b.gz", "a..b"]),
    "dataset.sources.files.digits.sha256": (["", "abc", SUM + "a", SUM.upper(), "g" * 64], [SUM]),
    "dataset.sources.files.digits.bytes": ([0, -1], [1, None]),
    "dataset.sources.files.digits.url": (["", "ftp://a", "a.gz"], ["https://a/b?c=1", "s3://a/b", "./a.gz", None]),
    "dataset.splits.train": (["", "/a", "../a", "a/.."], ["train", "a/b"]),
    "dataset.split.validation": ([-0.1, 1, 1.5, nan, inf], [0, 0.5, 0.99]),
    "dataset.split.test": ([-0.1, 1, nan], [0, 0.2]),
    "dataset.split.folds": ([1, 101], [None, 2, 100]),
    "dataset.split.fold": ([-1], [0]),
    "dataset.twins.correlation": ([0.4, 1, nan], [0.5, 0.99]),
    "dataset.twins.across": (["drop"], ["leave_out", "keep"]),
    "dataset.split.seed": ([-1], [0]),
    "fetch.timeout": ([0, -1, nan], [30]),
    "fetch.slowest": ([-1, nan], [0, 1000]),
    "fetch.attempts": ([0], [1]),
    "fetch.pause": ([-1, nan], [0, 1]),
    "fetch.progress": ([-1, nan], [0, 5]),
    "fetch.max_bytes": ([0], [1]),
    "fetch.max_ratio": ([0.9, nan], [1, 1000]),
    "fetch.max_files": ([0], [1]),
    "fetch.max_depth": ([-1], [0]),
    "decode.background": ([[0, 0], [0, 0, 256], [-1, 0, 0]], [[255, 255, 255]]),
    "decode.max_pixels": ([0], [50_000_000]),
    "decode.smallest_side": ([0], [1, 8]),
    "decode.sixteen_bit": (["clip", ""], ["high_byte", "refuse"]),
    "resize.size": ([0, 3, 4097], [4, 4096]),
    "resize.method": (["squeeze"], ["stretch", "letterbox", "crop"]),
    "resize.on_bad": (["ignore"], ["skip", "stop"]),
    "resize.max_refused": ([-0.01, 1, nan], [0, 0.5]),
    "resize.few_validation": ([-1], [0, 100]),
    "weights.source": (
        ["", " ", "ftp://a/b.pth", "https://a", "https://a/", "s3://", "hf://a/b"],
        ["start", "./a.pth", "/a/b.pth", "runs/1/bundle", "https://a/b.pth", "https://a/b.safetensors?download=true", "s3://a/b", None],
    ),
    "weights.sha256": (["", "abc", SUM + "a", SUM.upper()], [SUM, None]),
    "weights.names": (["theirs", ""], ["ours", "torchvision", "timm", None]),
    "weights.freeze": ([[""], ["conv1", "layer1."], ["conv*"]], [[], ["conv1"], ["layers.conv1", "layer1.0", "conv1_1"]]),
    "augmentation.transforms.affine.p": ([-0.1, 1.1, nan], [0, 0.5, 1]),
    "augmentation.mixup": ([0, -1, nan, inf], [0.2, None]),
    "augmentation.cutmix": ([0, -1, nan, inf], [1.0, None]),
    "optimizer.lr": ([0, -1, "fast", nan, inf], [1e-9, 1]),
    "optimizer.momentum": ([1, -0.1, nan], [0, 0.9]),
    "optimizer.weight_decay": ([-1e-9, nan, inf], [0, 0.1]),
    "optimizer.iterations": ([0, 11], [1, 10]),
    "optimizer.head_lr": ([0, -1, nan, inf], [1e-9, 1000]),
    "optimizer.vector_lr": ([0, -1, nan, inf], [1e-9, 1000]),
    "optimizer.sgd_momentum": ([1, -0.1, nan], [0, 0.9]),
    "scheduler.T_max": ([0, -1], [1]),
    "scheduler.step_size": ([0], [1]),
    "scheduler.gamma": ([0, -1, nan], [0.1, 1]),
    "scheduler.factor": ([-0.1, 1.1, nan], [0, 1]),
    "scheduler.start": ([-0.1, 1.1, nan], [0, 1]),
    "scheduler.peak": ([-0.1, 1, nan], [0, 0.99]),
    "scheduler.end": ([-0.1, 1.1, nan], [0, 1]),
    "loss.label_smoothing": ([-0.1, 1.1, nan], [0, 1]),
    "loss.gamma": ([-0.1, nan, inf], [0, 2]),
    "loss.bound": ([0, -1, nan], [0.1, 10]),
    "loss.p": ([0, 3], [1, 2]),
    "loss.margin": ([0, -1, nan], [0.5, 1]),
    "training.epochs": ([0, -1], [1]),
    "training.batch_size": ([0], [1]),
    "training.patience": ([0], [1, None]),
    "training.divergence": ([1, 0, nan, inf], [1.5]),
    "training.threads": ([0, 1025], [1, 1024]),
    "training.accumulate": ([0, -1], [1, 8]),
    "training.budget": (["30", "0m", "half an hour", "1.5h"], ["90s", "30m", "2h", None]),
    "training.clip": ([0, -1, nan, inf], [0.5, None]),
    "training.decay": (["none"], ["weights", "all"]),
    "training.average": ([0, 1, nan], [0.999, None]),
    "training.precision": (["fp16", "bf16"], ["32-true", "bf16-mixed", "16-mixed"]),
    "training.layout": (["nhwc"], ["channels_last", "contiguous"]),
    "training.devices": ([0, 1025], [1, 8]),
    "training.nodes": ([0, 1025], [1, 8]),
    "machine.workers": ([-1, 1025], [0, 1024]),
    "machine.checkpoint": ([-1, nan, inf], [0, 10]),
    "machine.keep": ([-1, nan, inf], [0, 14]),
    "training.input": ([3, 4097], [None, 4, 4096]),
    "training.balance": (["even"], ["none", "weights", "sampler"]),
    "training.monitor": (["train/loss"], ["validation/loss", "validation/accuracy"]),
    "evaluate.batch_size": ([0], [1]),
    "evaluate.views": (["flip", ""], ["plain", "mirror", "mirror_shift"]),
    "evaluate.confidence": ([0, 1, nan], [0.5]),
    "evaluate.hardest": ([-1], [0]),
    "explain.batch_size": ([0], [1]),
    "explain.frames": ([0, 2], [3]),
    "explain.images": ([-1], [0]),
    "explain.maps": ([0], [1]),
    "explain.rows": ([0], [1]),
    "explain.bars": ([0], [1]),
    "explain.mistakes": ([-1], [0]),
    "tracking.uri": (
        ["", "mlruns", "file:///a", "ftp://a"],
        [None, "sqlite:///a.db", "postgresql+psycopg2://a/b", "http://127.0.0.1:5000"],
    ),
    "tracking.experiment": (["", " "], ["images", "my images"]),
    "tracking.model": (["", "a/b", "a:b"], ["cnn", "my cnn"]),
    "tracking.system_metrics": ([0, -1, nan], [5, None]),
    "tracking.share": ([0, -0.1, 1.1, nan], [0.03, 1]),
    "tracking.wait": ([-1, nan, inf], [0, 30]),
}

# Their classes know which numbers they take.
BY_CLASS = ("model.", "augmentation.transforms.")


@pytest.fixture
def params(composed: Compose) -> Tree:
    return resolved(composed())


def test_every_rule_is_tested_here() -> None:
    patterns = {key.replace("files.digits", "files.*").replace("splits.train", "splits.*") for key in LIMITS}
    assert {key.replace("transforms.affine", "transforms.*") for key in patterns} == set(RULES)


@pytest.mark.parametrize(("group", "option"), option_files())
def test_every_number_of_conf_has_a_range(group: str, option: str, composed: Compose) -> None:
    params = resolved(composed(f"{group}={option}"))
    numbers = [key for key, value in leaves(params) if isinstance(value, int | float) and not isinstance(value, bool)]
    ruled = {key for key in numbers for pattern in RULES if fnmatchcase(key, pattern)}
    assert [key for key in numbers if key not in ruled and not key.startswith(BY_CLASS)] == []


@pytest.mark.parametrize(("key", "value"), [("tracking.model", 2026), ("tracking.experiment", 1.5), ("dataset.splits.train", 2020)])
def test_of_a_number_where_a_text_is_wanted_it_is_said_that_quotes_help(key: str, value: float, params: Tree) -> None:
    put(params, "dataset.splits", {"train": "train"})
    put(params, key, value)
    with pytest.raises(ConfigError, match=rf"^{key} must be .*, but it is {value}; write it in quotes$"):
        check_ranges(params)


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, (refused, _) in LIMITS.items() for value in refused])
def test_a_value_outside_its_range_is_refused_with_key_and_value(key: str, value: Any, params: Tree) -> None:
    put(params, key, value)
    with pytest.raises(ConfigError) as caught:
        check_ranges(params)
    assert str(caught.value).startswith(f"{key} must be ")
    assert str(caught.value).endswith(f", but it is {shown(value)}")
    assert caught.value.key == key


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, (_, accepted) in LIMITS.items() for value in accepted])
def test_a_value_within_its_range_passes(key: str, value: Any, params: Tree) -> None:
    put(params, key, value)
    check_ranges(params)


@pytest.mark.parametrize("value", [nan, inf, -inf, [0.5, nan]])
def test_what_is_no_number_is_refused_also_where_no_range_is_known(value: Any, params: Tree) -> None:
    put(params, "augmentation.transforms.affine.scale", value)
    with pytest.raises(ConfigError, match=r"^augmentation\.transforms\.affine\.scale must be a finite number, but it is "):
        check_ranges(params)
