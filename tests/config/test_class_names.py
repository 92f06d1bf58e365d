"""Classes are called as their folders are, never what YAML makes of it."""

from typing import Any

import pytest

from pipeline.config.compose import parse, resolved
from pipeline.config.errors import ConfigError
from pipeline.config.validate import check_class_names
from tests.conftest import Compose


def dataset(composed: Compose, *overrides: str) -> dict[str, Any]:
    params = resolved(composed("dataset=folder", *overrides))
    check_class_names(params["dataset"])
    found = parse(params).dataset
    return {"classes": found.classes, "take": found.take}


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("dataset.classes=[1,2]", {"classes": ["1", "2"], "take": None}),
        ("dataset.classes=['1e3','true','null',yes]", {"classes": ["1e3", "true", "null", "yes"], "take": None}),
        ("dataset.take={1:one,2:2,yes:y}", {"classes": None, "take": {"1": "one", "2": "2", "yes": "y"}}),
    ],
)
def test_whole_numbers_and_quoted_names_are_names(override: str, expected: Any, composed: Compose) -> None:
    assert dataset(composed, override) == expected


@pytest.mark.parametrize(
    ("override", "key", "came"),
    [
        ("dataset.classes=[1e3,b]", "dataset.classes", "1000.0"),
        ("dataset.classes=[true,b]", "dataset.classes", "true"),
        ("dataset.classes=[null,b]", "dataset.classes", "null"),
        ("dataset.take={1e3:a,b:b}", "dataset.take", "1000.0"),
        ("dataset.take={true:a,b:b}", "dataset.take", "true"),
        ("dataset.take={a:false,b:b}", "dataset.take", "false"),
        ("dataset.take={a:1.50,b:b}", "dataset.take", "1.5"),
    ],
)
def test_what_yaml_reads_as_something_else_is_refused(override: str, key: str, came: str, composed: Compose) -> None:
    with pytest.raises(ConfigError, match=rf"{key} must name classes, but {came} is not text to YAML: write the name in quotes") as refused:
        dataset(composed, override)
    assert refused.value.key == key
