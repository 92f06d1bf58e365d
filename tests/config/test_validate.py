"""Types and ranges: what each field of the schema refuses and takes is derived from its constraint."""

import copy
import dataclasses
from collections.abc import Iterator
from math import inf, nan, nextafter
from typing import Any, get_args, get_origin

import pytest

from pipeline.config.compose import resolved
from pipeline.config.constraints import Interval, KeyOf, OneOf, Pattern
from pipeline.config.errors import ConfigError
from pipeline.config.schema import Config
from pipeline.config.tree import Tree, get, put
from pipeline.config.validate import check_values
from pipeline.config.wording import shown
from tests.conftest import Compose
from tests.samples import option_files

SUM = "a" * 64

# Texts by what is said of them: those that are refused, those that pass.
TEXTS: dict[str, tuple[list[str], list[str]]] = {
    "a file name that stays in its folder": (["", "/etc/passwd", "../a", "a/../../b", ".."], ["a.gz", "a/b.gz", "a..b"]),
    "64 hexadecimal digits": (["", "abc", SUM + "a", SUM.upper(), "g" * 64], [SUM]),
    "a URL that begins": (["", "ftp://a", "a.gz"], ["https://a/b?c=1", "s3://a/b", "./a.gz"]),
    "base URLs": (
        ["ftp://a", "data", "https://", "C:/data", "~/data"],
        ["https://a", "package://b/c", "file:///d", "s3://e", "gs://f/g", "/data", "./data", "../data"],
    ),
    "a folder or file prefix": (["", "/a", "../a", "a/.."], ["train", "a/b"]),
    "a path, or a file's URL": (
        ["", " ", "ftp://a/b.pth", "https://a", "https://a/", "s3://", "hf://a/b"],
        ["start", "./a.pth", "/a/b.pth", "runs/1/bundle", "https://a/b.pth", "https://a/b.safetensors?download=true", "s3://a/b"],
    ),
    "names of layers": (["", "layer1.", "conv*"], ["conv1", "layers.conv1", "layer1.0", "conv1_1"]),
    "a time such as": (["30", "0m", "half an hour", "1.5h"], ["90s", "30m", "2h"]),
    "a database": (["", "mlruns", "file:///a", "ftp://a"], ["sqlite:///a.db", "postgresql+psycopg2://a/b", "http://127.0.0.1:5000"]),
    "a name of at most 500": (["", " ", "x" * 501, "a\0b"], ["images", "my images"]),
    "a name of at most 256": (["", "a/b", "a:b", "a\0b", "x" * 257], ["cnn", "my cnn"]),
}


def constrained(kind: type = Config, prefix: str = "") -> Iterator[tuple[str, dataclasses.Field[Any]]]:
    """Yield (key, field) for every field with a constraint; entries that people name are called `mine`."""
    for field in dataclasses.fields(kind):
        key = f"{prefix}{field.name}"
        inner = get_args(field.type)[1] if get_origin(field.type) is dict and "options" not in field.metadata else field.type
        key += ".mine" if field.metadata.get("each") or (inner is not field.type and dataclasses.is_dataclass(inner)) else ""
        inner = field.metadata.get("options") or inner
        if dataclasses.is_dataclass(inner):
            yield from constrained(inner, f"{key}.")
        elif "constraint" in field.metadata:
            yield key, field


def examples(field: dataclasses.Field[Any]) -> tuple[list[Any], list[Any]]:
    """Return values that a field's constraint refuses, and values that satisfy it."""
    constraint = field.metadata["constraint"]
    if isinstance(constraint, Interval):
        return _outside(constraint, "float" in str(field.type)), _inside(constraint, "float" in str(field.type))
    if isinstance(constraint, OneOf):
        is_text = isinstance(constraint.values[0], str)
        return ["", "other"] if is_text else [min(constraint.values) - 1, max(constraint.values) + 1], list(constraint.values)
    if isinstance(constraint, KeyOf):
        return ["npz", ""], ["digits", "idx", "cifar", "folder", "csv", "parquet"]
    assert isinstance(constraint, Pattern)
    return next(texts for words, texts in TEXTS.items() if str(constraint).startswith(words))


def _outside(interval: Interval, is_float: bool) -> list[Any]:
    is_closed = interval.closed in ("both", "left"), interval.closed in ("both", "right")
    low = (nextafter(interval.low, -inf) if is_float else interval.low - 1) if is_closed[0] else interval.low
    high = (nextafter(interval.high, inf) if is_float else interval.high + 1) if is_closed[1] else interval.high
    return [low, *([high] if interval.high < inf else []), *([nan, inf, -inf] if is_float else [])]


def _inside(interval: Interval, is_float: bool) -> list[Any]:
    is_closed = interval.closed in ("both", "left"), interval.closed in ("both", "right")
    low = interval.low if is_closed[0] else nextafter(interval.low, inf)
    high = interval.high if is_closed[1] else nextafter(interval.high, -inf)
    return [low, *([high] if interval.high < inf else [low + 1000])]


FIELDS = dict(constrained())
REFUSED = [(key, value) for key, field in FIELDS.items() for value in examples(field)[0]]
TAKEN = [(key, value) for key, field in FIELDS.items() for value in examples(field)[1]]


@pytest.fixture(scope="module")
def valid(composed: Compose) -> Tree:
    params = resolved(composed())
    put(params, "dataset.sources.files", {"mine": {"name": "a.gz", "sha256": SUM}})
    put(params, "augmentation.transforms", {"mine": {"_target_": "albumentations.Affine"}})
    return params


@pytest.fixture
def params(valid: Tree) -> Tree:
    return copy.deepcopy(valid)


def put_in(params: Tree, key: str, value: Any) -> str:
    """Put a value where the field is: an item of a list or a mapping where that is what the field holds. Return its key."""
    hint = str(FIELDS[key].type)
    if "list[" in hint:
        put(params, key, [value])
    elif "dict[" in hint:
        put(params, key, {"train": value})
        return f"{key}.train"
    else:
        put(params, key, value)
    return key


def numbers(kind: type = Config, prefix: str = "") -> list[str]:
    keys = []
    for field in dataclasses.fields(kind):
        inner = get_args(field.type)[1] if get_origin(field.type) is dict else field.type
        if dataclasses.is_dataclass(inner):
            keys += numbers(inner, f"{prefix}{field.name}.")
        elif {int, float} & {field.type, *get_args(field.type)} and "constraint" not in field.metadata:
            keys.append(f"{prefix}{field.name}")
    return keys


def test_every_number_of_the_schema_has_a_range() -> None:
    assert numbers() == []


@pytest.mark.parametrize(
    ("group", "option"), [(group, option) for group, option in option_files() if group in ("optimizer", "scheduler", "loss")]
)
def test_every_number_that_conf_gives_a_class_of_the_training_has_a_range(group: str, option: str, composed: Compose) -> None:
    node = resolved(composed(f"{group}={option}"))[group]
    options = [f"{group}.{name}" for name, value in node.items() if isinstance(value, int | float) and not isinstance(value, bool)]
    assert [key for key in options if key not in FIELDS] == []


@pytest.mark.parametrize(("key", "value"), REFUSED)
def test_a_value_outside_its_constraint_is_refused_with_key_and_value(key: str, value: Any, params: Tree) -> None:
    key_of_value = put_in(params, key, value)
    with pytest.raises(ConfigError) as caught:
        check_values(params)
    came = shown(get(params, key_of_value))
    assert str(caught.value) == f"{key_of_value} must be {FIELDS[key].metadata['constraint']}, but it is {came}"
    assert caught.value.key == key_of_value


@pytest.mark.parametrize(("key", "value"), TAKEN)
def test_a_value_within_its_constraint_passes(key: str, value: Any, params: Tree) -> None:
    put_in(params, key, value)
    check_values(params)


@pytest.mark.parametrize("key", [key for key, field in FIELDS.items() if type(None) in get_args(field.type)])
def test_null_passes_where_the_type_allows_it(key: str, params: Tree) -> None:
    put(params, key, None)
    check_values(params)


@pytest.mark.parametrize(
    ("interval", "words"),
    [
        (Interval(0), "0 or more"),
        (Interval(0, closed="neither"), "a number above 0"),
        (Interval(4, 9, unit=" pixels"), "4 to 9 pixels"),
        (Interval(0, 1, "left"), "a number from 0 to below 1"),
        (Interval(0, 1, "right"), "a number above 0, at most 1"),
        (Interval(0, 1, "neither"), "a number between 0 and 1"),
    ],
)
def test_an_interval_says_which_ends_belong_to_it(interval: Interval, words: str) -> None:
    assert str(interval) == words


@pytest.mark.parametrize(("key", "value"), [("tracking.model", 2026), ("tracking.experiment", 1.5), ("dataset.splits.train", 2020)])
def test_of_a_number_where_a_text_is_wanted_it_is_said_that_quotes_help(key: str, value: float, params: Tree) -> None:
    put(params, "dataset.splits", {"train": "train"})
    put(params, key, value)
    with pytest.raises(ConfigError, match=rf"^{key} must be .*, but it is {value}; write it in quotes$"):
        check_values(params)


@pytest.mark.parametrize("value", [nan, inf, -inf, [0.5, nan]])
def test_what_is_no_number_is_refused_also_where_no_range_is_known(value: Any, params: Tree) -> None:
    put(params, "augmentation.transforms.mine.scale", value)
    with pytest.raises(ConfigError, match=r"^augmentation\.transforms\.mine\.scale must be a finite number, but it is "):
        check_values(params)
