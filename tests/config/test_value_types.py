from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, Optional, TypeVar, Union

import pytest
from torch import Tensor

from pipeline.config.value_types import fits, in_words, misfit
from pipeline.config.wording import shown

Free = TypeVar("Free")


@pytest.mark.parametrize(
    ("hint", "fitting", "others", "words"),
    [
        (int, [0, -3], [1.0, "1", True, None, [1]], "a whole number"),
        (float, [0, 1.5], ["1", False, None], "a number"),
        (bool, [True, False], [0, 1, "yes"], "true or false"),
        (str, ["a", "", 3], [True, None, ["a"]], "text"),
        (str | None, ["a", None], [["a"]], "text or null"),
        (int | None, [1, None], ["a"], "a whole number or null"),
        (Union[int, str], [1, "a"], [None], "a whole number or text"),  # noqa: UP007
        (float | Tensor, [0.1], ["fast"], "a number"),
        (Tensor | None, [None], [[1.0]], "null"),
        (Callable[[int], float], [], [1, "a"], ""),
        (list[int], [[], [1, 2]], [1, ["a"], [None]], "a list of whole numbers"),
        (Sequence[str], [["a"]], ["a"], "a list of text"),
        (tuple[float, float], [[1, 2.5]], [[1], [1, 2, 3], 1], "a list of 2 numbers"),
        (tuple[int, ...] | int, [[1], [1, 2, 3], 4], ["a", [1.5]], "a list of whole numbers or a whole number"),
        (tuple[int | None, int], [[None, 1]], [[1, None, 1]], "a list of 2 values, each a whole number or null"),
        (list, [[], ["a", 1]], ["a"], "a list"),
        (dict[str, int], [{}, {"a": 1}], [{"a": "b"}, [1]], "a mapping"),
        (Mapping[str, Any], [{"a": []}], [3], "a mapping"),
        (Literal["min", "max"], ["min"], ["mean", None], "one of min, max"),
        (Literal[0, 2], [0], [1], "one of 0, 2"),
        (Annotated[float, "0 or more"], [0.1], ["a"], "a number"),
        (Optional[Tensor], [None], [1], "null"),  # noqa: UP045
        (Free, [1, "a", [1], None], [], ""),  # a name that is not known here
    ],
)
def test_values_fit_a_type_or_not_and_it_is_said_in_words(hint: Any, fitting: list[Any], others: list[Any], words: str) -> None:
    assert [value for value in fitting if not fits(value, hint)] == []
    assert [value for value in others if fits(value, hint)] == []
    assert in_words(hint) == words


def test_what_has_no_annotation_takes_everything() -> None:
    assert fits("anything", Any)
    assert in_words(Any) == ""


def test_of_a_mapping_the_entry_that_does_not_fit_is_named() -> None:
    annotation = Mapping[str, Mapping[str, int] | None]
    assert misfit("layers", {"a": None, "b": {"c": 1}}, annotation) is None
    found = misfit("layers", {"a": None, "b": {"c": "d"}}, annotation)
    assert found
    assert found[:2] == ("layers.b.c", "d")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        ("größe", '"größe"'),
        ("a\nb", '"a\\nb"'),
        (float("nan"), "NaN"),
        (1j, '"1j"'),
        ([1] * 99, f"[{'1, ' * 25}1..."),
    ],
)
def test_a_value_is_shown_on_one_line_as_yaml_has_it(value: Any, text: str) -> None:
    assert shown(value) == text
