import ast
from typing import Any

import pytest

from pipeline.config.checks.kinds import annotation_of, fits, in_words, misfit, shown


def parsed(annotation: str) -> ast.expr:
    return ast.parse(annotation, mode="eval").body


@pytest.mark.parametrize(
    ("annotation", "fitting", "others", "words"),
    [
        ("int", [0, -3], [1.0, "1", True, None, [1]], "a whole number"),
        ("float", [0, 1.5], ["1", False, None], "a number"),
        ("bool", [True, False], [0, 1, "yes"], "true or false"),
        ("str", ["a", "", 3], [True, None, ["a"]], "text"),
        ("str | None", ["a", None], [["a"]], "text or null"),
        ("Optional[int]", [1, None], ["a"], "a whole number or null"),
        ("Union[int, str]", [1, "a"], [None], "a whole number or text"),
        ("'float | Tensor'", [0.1], ["fast"], "a number"),
        ("Tensor | None", [None], [[1.0]], "null"),
        ("Callable[[int], float]", [], [1, "a"], ""),
        ("list[int]", [[], [1, 2]], [1, ["a"], [None]], "a list of whole numbers"),
        ("Sequence[str]", [["a"]], ["a"], "a list of text"),
        ("tuple[float, float]", [[1, 2.5]], [[1], [1, 2, 3], 1], "a list of 2 numbers"),
        ("tuple[int, ...] | int", [[1], [1, 2, 3], 4], ["a", [1.5]], "a list of whole numbers or a whole number"),
        ("tuple[int | None, int]", [[None, 1]], [[1, None, 1]], "a list of 2 values, each a whole number or null"),
        ("list", [[], ["a", 1]], ["a"], "a list"),
        ("dict[str, int]", [{}, {"a": 1}], [{"a": "b"}, [1]], "a mapping"),
        ("Mapping[str, Any]", [{"a": []}], [3], "a mapping"),
        ("Literal['min', 'max']", ["min"], ["mean", None], "one of min, max"),
        ("Literal[cv2.INTER_NEAREST]", [0], [], "one of cv2.INTER_NEAREST"),
        ("Annotated[float, Field(ge=0)]", [0.1], ["a"], "a number"),
        ("typing.Optional[torch.Tensor]", [None], [1], "null"),
        ("ParamsT", [1, "a", [1], None], [], ""),  # a name that is not known here
    ],
)
def test_values_fit_an_annotation_or_not_and_it_is_said_in_words(
    annotation: str, fitting: list[Any], others: list[Any], words: str
) -> None:
    assert [value for value in fitting if not fits(value, parsed(annotation))] == []
    assert [value for value in others if fits(value, parsed(annotation))] == []
    assert in_words(parsed(annotation)) == words


def test_what_has_no_annotation_takes_everything() -> None:
    assert fits("anything", None)
    assert in_words(None) == ""


@pytest.mark.parametrize(("hint", "words"), [(int, "a whole number"), (str | None, "text or null"), (dict[str, Any], "a mapping")])
def test_types_are_read_like_annotations(hint: Any, words: str) -> None:
    assert in_words(annotation_of(hint)) == words


def test_of_a_mapping_the_entry_that_does_not_fit_is_named() -> None:
    annotation = parsed("Mapping[str, Mapping[str, int] | None]")
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
