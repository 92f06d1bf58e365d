"""Predictions as a table, as lines, as CSV and as JSON; the score of those whose class is known."""

import csv
import io
import json
from pathlib import Path

import pytest
from rich.cells import cell_len

from pipeline.analysis.metrics import exact_interval
from pipeline.answers import Answer, Csv, Json, Lines, Table, Tally, kept_end
from pipeline.dataset.photos import Photo
from pipeline.prediction import Prediction, Unreadable

CLASSES = ["cat", "dog", "a bird of a very long name"]


def photo(name: str, actual: str | None = None) -> Photo:
    return Photo(Path(name), Path(name), actual)


def answers() -> list[Answer]:
    return [
        Prediction(photo("cat/1.jpg", "cat"), "cat", [0.7, 0.1, 0.2]),
        Prediction(photo("cat/2.jpg", "cat"), "dog", [0.125, 0.75, 0.125]),
        Prediction(photo("dog/3.jpg", "dog"), "dog", [0.0, 1.0, 0.0]),
        Unreadable(photo("dog/notes.txt", "dog"), "not an image"),
        Prediction(photo("4.jpg"), "dog", [0.1, 0.8, 0.1]),
    ]


def tally(given: list[Answer]) -> Tally:
    found = Tally(CLASSES)
    for answer in given:
        found.add(answer)
    return found


def written(writer: Lines | Json, out: io.StringIO, given: list[Answer]) -> str:
    for answer in given:
        writer.add(answer)
    writer.end(tally(given))
    return out.getvalue()


def table(given: list[Answer], width: int = 80, top: int | None = None) -> list[str]:
    out = io.StringIO()
    return written(Table(out, CLASSES, top, [answer.photo for answer in given], width), out, given).splitlines()


def test_a_table_has_photo_class_probability_and_the_next_classes() -> None:
    assert table(answers())[:6] == [
        "photo          class             prob.  next",
        "cat/1.jpg      cat               0.700  a bird o…ng name 0.200  dog 0.100",
        "cat/2.jpg      dog               0.750  cat 0.125  a bird o…ng name 0.125",
        "dog/3.jpg      dog               1.000  cat 0.000  a bird o…ng name 0.000",
        "dog/notes.txt  not read: not an image",
        "4.jpg          dog               0.800  cat 0.100  a bird o…ng name 0.100",
    ]


@pytest.mark.parametrize("width", [60, 80, 160])
def test_no_line_of_a_table_is_wider_than_the_terminal(width: int) -> None:
    long = [
        Prediction(photo("a/" * 100 + "end.jpg"), CLASSES[2], [0.1, 0.2, 0.7]),
        Prediction(photo("写真" * 60 + ".jpg"), CLASSES[2], [0.1, 0.2, 0.7]),
        Unreadable(photo("b/" * 100 + "bad.jpg"), "word " * 60),
    ]
    lines = table(long, width)
    assert max(cell_len(line) for line in lines) <= width
    assert lines[1].split("  ")[0].endswith("/end.jpg")
    assert " ".join(lines[3:]).count("word") == 60  # the whole reason


def test_top_is_the_number_of_classes_in_a_table() -> None:
    assert table(answers(), top=1)[:2] == ["photo          class             prob.", "cat/1.jpg      cat               0.700"]
    assert table(answers(), top=2)[1].endswith("0.700  a bird o…ng name 0.200")


def test_json_is_one_document_with_all_probabilities_and_the_score() -> None:
    out = io.StringIO()
    tree = json.loads(written(Json(out, CLASSES, None), out, answers()))
    assert tree["classes"] == CLASSES
    assert tree["photos"][0] == {
        "path": "cat/1.jpg",
        "actual": "cat",
        "class": "cat",
        "probability": 0.7,
        "probabilities": {"cat": 0.7, "dog": 0.1, CLASSES[2]: 0.2},
    }
    assert tree["photos"][3] == {"path": "dog/notes.txt", "actual": "dog", "reason": "not an image"}
    assert tree["score"] == tally(answers()).tree()


def test_json_of_the_top_classes_has_the_most_probable_first_and_odd_names_survive() -> None:
    out = io.StringIO()
    tree = json.loads(written(Json(out, CLASSES, 2), out, [Prediction(photo('o"d\n\udcff.jpg'), "cat", [0.7, 0.1, 0.2])]))
    [answer] = tree["photos"]
    assert answer["path"] == 'o"d\n\udcff.jpg'
    assert list(answer["probabilities"]) == ["cat", CLASSES[2]]
    assert tree["score"] is None


def test_json_of_no_photos_is_a_document_too() -> None:
    out = io.StringIO()
    assert json.loads(written(Json(out, CLASSES, None), out, [])) == {"classes": CLASSES, "photos": [], "score": None}


def test_the_score_is_no_row_of_the_csv() -> None:
    out, notes = io.StringIO(), io.StringIO()
    writer = Csv(out, notes, CLASSES)
    for answer in answers():
        writer.add(answer)
    writer.end(tally(answers()))
    assert len(list(csv.DictReader(io.StringIO(out.getvalue())))) == len(answers())
    assert "accuracy 0.6667 (2 of 3)" in notes.getvalue()


def test_the_score_counts_photos_that_were_read_and_whose_class_is_known() -> None:
    score = tally(answers()).tree()
    assert score is not None
    assert (score["right"], score["photos"], score["accuracy"]) == (2, 3, 0.666667)
    assert tuple(score["interval"]) == exact_interval(2, 3, 0.95)
    assert (score["not_read"], score["not_scored"]) == (1, 1)
    assert {name: (part["right"], part["photos"]) for name, part in score["classes"].items()} == {"cat": (1, 2), "dog": (1, 1)}


def test_the_score_is_told_with_its_interval_and_of_each_class() -> None:
    assert tally(answers()).sentences() == [
        "",
        "accuracy 0.6667 (2 of 3), 95% interval 0.0943 to 0.9916",
        "  cat  0.5000 (1 of 2), 0.0126 to 0.9874",
        "  dog  1.0000 (1 of 1), 0.0250 to 1.0000",
        "not scored: 1 photo that can't be read",
        "not scored: 1 photo in no folder that is called as a class is",
    ]
    assert table(answers())[6:] == tally(answers()).sentences()


def test_photos_of_no_known_class_have_no_score() -> None:
    assert tally(answers()[-1:]).sentences() == []
    assert tally(answers()[3:]).tree() is None  # none of them was read


def test_of_a_long_path_the_end_is_kept() -> None:
    assert kept_end("folder/photo.jpg", 16) == "folder/photo.jpg"
    assert kept_end("folder/photo.jpg", 10) == "…photo.jpg"
    assert cell_len(kept_end("写真写真写真.jpg", 10)) <= 10
