"""Names stay on their line, and those that only look alike are told apart."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.config.errors import DataError
from pipeline.dataset.files import names_below
from pipeline.dataset.names import alike, escaped, first_of, shown
from pipeline.dataset.readers import read
from tests.samples import data_set, put_files


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Été 猫 🦔 Ω", "Été 猫 🦔 Ω"),
        ("a\nb\r\x1b[31m\u2028", r"a\nb\r\x1b[31m\u2028"),
        ("\u202egpj.exe", r"\u202egpj.exe"),
        ("\udcff.jpg", r"\udcff.jpg"),
        ("x" * 80, "x" * 80),
        ("a" * 60 + "b" * 60, "a" * 40 + "…" + "b" * 39),
    ],
)
def test_a_name_is_shown_on_one_line(name: str, expected: str) -> None:
    assert shown(name) == expected


def test_of_many_names_the_first_are_listed() -> None:
    assert first_of(list("abc")) == "a, b, c"
    assert first_of([str(i) for i in range(1205)]) == "0, 1, 2, 3, 4 and 1,200 more"


def test_names_that_differ_in_their_unicode_form_alone_are_alike() -> None:
    assert alike(["é", "e\u0301", "e", "ö"]) == ["e\u0301", "é"]
    assert alike(["a", "A", "a "]) == []
    assert (escaped("é"), escaped("e\u0301")) == (r"\xe9", r"e\u0301")


@pytest.mark.parametrize("take", [None, {"é": "one", "e\u0301": "two"}])
def test_two_forms_of_one_name_side_by_side_are_refused(take: Any, tmp_path: Path) -> None:
    raw = put_files(tmp_path, "é/1.jpg", "e\u0301/2.jpg", "dog/3.jpg")
    with pytest.raises(DataError, match=r"the classes e\\u0301, \\xe9 are the same letters, composed and decomposed .*give them one name"):
        read(raw, data_set(reader="folder", take=take))


def test_two_forms_of_one_label_in_a_table_are_refused(tmp_path: Path) -> None:
    put_files(tmp_path, "1.jpg", "2.jpg")
    (tmp_path / "labels.csv").write_text("path,label\n1.jpg,é\n2.jpg,e\u0301\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"the classes e\\u0301, \\xe9 are the same letters"):
        read(tmp_path, data_set(reader="csv", columns={"image": "path", "label": "label"}))


@pytest.mark.parametrize("node", [{"take": {"7": "a", "b": "b"}}, {"classes": ["7", "b"]}])
def test_a_number_that_yaml_has_changed_is_told_with_a_hint(node: Any, tmp_path: Path) -> None:
    raw = put_files(tmp_path, "007/1.jpg", "b/2.jpg")
    with pytest.raises(
        DataError, match=r"names 7.*but the images are of the classes 007, b\. Write names of digits in quotes: YAML reads 007"
    ):
        read(raw, data_set(reader="folder", **node))


def test_what_a_folder_holds_is_listed_in_the_order_of_the_parts_of_its_paths(tmp_path: Path) -> None:
    put_files(tmp_path, "cat/1.jpg", "cat-2/1.jpg", "cat.jpg", "cat/a/1.jpg", "cat/a.jpg")
    assert names_below(tmp_path) == ["cat/1.jpg", "cat/a/1.jpg", "cat/a.jpg", "cat-2/1.jpg", "cat.jpg"]
