from pathlib import Path

import pytest

from pipeline.config.errors import ConfigError
from pipeline.config.yaml_nodes import Document

TEXT = """\
# a comment
defaults:
  - _self_
  - model: cnn
  - override /optimizer: sgd # here
optimizer:
  lr: 1
  betas: [1, 2]
flow: {a: {b: 2}, c: null}
"dotted.key": 3
"""

TRIPLED = ["a0: &a0 [x, x, x]", *(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}, *a{i - 1}]" for i in range(1, 40))]
CHAIN = ["a0: &a0 [x]", *(f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 80))]


def document(text: str, folder: Path) -> Document:
    (folder / "x.yaml").write_text(text)
    return Document.read(folder / "x.yaml", folder)


@pytest.mark.parametrize(
    ("key", "place"),
    [
        ("optimizer", "x.yaml:6"),
        ("optimizer.lr", "x.yaml:7"),
        ("optimizer.betas", "x.yaml:8"),
        ("flow.a.b", "x.yaml:9"),
        ("flow.c.d", "x.yaml:9"),  # null in the place of a mapping
        ("dotted.key", "x.yaml:10"),
        ("optimizer.lrr", None),
        ("nothing", None),
    ],
)
def test_a_key_is_found_at_its_line(key: str, place: str | None, tmp_path: Path) -> None:
    found = document(TEXT, tmp_path)
    node = found.find(key)
    assert (found.at(node) if node else None) == place


def test_of_a_key_that_is_not_there_the_nearest_above_is_found(tmp_path: Path) -> None:
    found = document(TEXT, tmp_path)
    near = found.deepest("optimizer.lrr")
    assert near
    assert found.at(near) == "x.yaml:6"
    assert found.deepest("nothing.at.all") is None


@pytest.mark.parametrize(
    ("group", "option", "line"), [("model", "cnn", 4), ("optimizer", "sgd", 5), ("model", "", 4), ("model", "vgg", None)]
)
def test_a_choice_is_found_in_the_defaults(group: str, option: str, line: int | None, tmp_path: Path) -> None:
    found = document(TEXT, tmp_path)
    node = found.choice(group, option)
    assert (node.start_mark.line + 1 if node else None) == line


@pytest.mark.parametrize("text", ["", "# nothing\n", "- a\n", "a"])
def test_a_file_without_a_mapping_has_no_keys(text: str, tmp_path: Path) -> None:
    found = document(text, tmp_path)
    assert found.find("a") is found.deepest("a.b") is found.choice("a", "b") is None


@pytest.mark.parametrize("text", ["x: &d {a: 1}\ny: *d\n", "\n".join(TRIPLED[:5]), "[" * 30 + "]" * 30])
def test_a_few_aliases_and_some_nesting_pass(text: str, tmp_path: Path) -> None:
    assert document(text, tmp_path).root is not None


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("\n".join(TRIPLED), 9),  # unfolds to 3^40 nodes
        ("\n".join(CHAIN), 48),  # unfolds little, but deeper than Python's stack
        ("a: 1\nb: &b [*b]", 2),
        ("[" * 300_000, 1),
    ],
)
def test_what_unfolds_to_more_than_a_config_holds_is_told_with_its_line(text: str, line: int, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"^x\.yaml:{line}: aliases or nesting that unfold to more than a config holds"):
        document(text, tmp_path)


def test_a_file_of_megabytes_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^x\.yaml: 1,200,000 characters, and a config has at most 1,000,000$"):
        document("a: 1\n" * 240_000, tmp_path)
