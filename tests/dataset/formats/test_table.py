from pathlib import Path
from typing import Any

import pytest

from pipeline.config.errors import ConfigError, DataError
from pipeline.config.splits import ALL
from pipeline.dataset.formats.table import table
from pipeline.dataset.readers import READERS
from pipeline.dataset.records import NO_CLASS, File, Sample
from tests.conftest import MakeConfig
from tests.samples import data_set, put_files

COLUMNS = {"image": "path", "label": "label", "split": "split"}


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return put_files(tmp_path, "a.jpg", "b.jpg", "deep/c.jpg")


def read(raw: Path, text: str | bytes, **keys: Any) -> list[Sample]:
    (raw / "labels.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return table(raw, data_set(**{"columns": COLUMNS} | keys))


def used(samples: list[Sample]) -> list[tuple[str, str, str]]:
    return [(sample.path, sample.label, sample.part) for sample in samples if sample.label != NO_CLASS]


def test_rows_give_images_in_their_order_and_other_files_are_listed(raw: Path) -> None:
    samples = read(raw, "path,label\ndeep/c.jpg,dog\na.jpg,cat\n")
    assert used(samples) == [("deep/c.jpg", "dog", ALL), ("a.jpg", "cat", ALL)]
    assert samples[0].content == File(raw, "deep/c.jpg")
    assert {sample.path: sample.why for sample in samples[2:]} == {
        "b.jpg": "no row of the table names it",
        "labels.csv": "no row of the table names it",
    }


def test_the_data_set_of_conf_reads_its_table_with_and_without_splits(raw: Path, config: MakeConfig) -> None:
    cfg = config("dataset=csv").dataset
    (raw / "labels.csv").write_text("path,label\na.jpg,cat\n")
    assert used(READERS[cfg.reader](raw, cfg)) == [("a.jpg", "cat", ALL)]
    (raw / "labels.csv").write_text("path,label,split\na.jpg,cat,test\n")
    assert used(READERS[cfg.reader](raw, cfg)) == [("a.jpg", "cat", "test")]


def test_a_column_may_say_which_split_a_row_belongs_to(raw: Path) -> None:
    samples = read(raw, "split,path,label\ntrain,a.jpg,cat\n test ,b.jpg,dog\nvalidation,deep/c.jpg,dog\n")
    assert used(samples) == [("a.jpg", "cat", "train"), ("b.jpg", "dog", "test"), ("deep/c.jpg", "dog", "validation")]


def test_each_split_may_have_its_table_with_paths_below_its_own_folder(raw: Path) -> None:
    (raw / "deep" / "test.csv").write_text("path,label\nc.jpg,dog\n")
    samples = read(raw, "path,label\na.jpg,cat\n", splits={"train": "labels.csv", "test": "deep/test.csv"})
    assert used(samples) == [("a.jpg", "cat", "train"), ("deep/c.jpg", "dog", "test")]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_tables_of_every_office_program_are_read(delimiter: str, end: str, mark: bytes, raw: Path) -> None:
    put_files(raw, 'a, "b"; c.jpg')
    lines = ["path,label,weight", '"a, ""b""; c.jpg","Katze, groß",1', "b.jpg,dog,2", ""]
    text = end.join(lines[:1] + lines[2:]).replace(",", delimiter)
    quoted = f'"a, ""b""; c.jpg"{delimiter}"Katze{delimiter} groß"{delimiter}1{end}'
    samples = read(raw, mark + (text + quoted).encode())
    assert used(samples) == [("b.jpg", "dog", ALL), ('a, "b"; c.jpg', f"Katze{delimiter} groß", ALL)]


def test_columns_may_be_called_otherwise_and_others_are_passed_over(raw: Path) -> None:
    samples = read(raw, "file,weight,breed,split\na.jpg,3,cat,whatever\n", columns={"image": "file", "label": "breed"})
    assert used(samples) == [("a.jpg", "cat", ALL)]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a.jpg,cat\nc.jpg,dog\n", "labels.csv:3: there is no file 'c.jpg' below the table's folder; add it, or remove the row"),
        ("a.jpg,cat\ndeep,dog\n", "labels.csv:3: there is no file 'deep' below the table's folder"),
        ("a.jpg,cat\n,dog\n", "labels.csv:3: there is no file '' below the table's folder"),
        ("../a.jpg,cat\n", "labels.csv:2: ../a.jpg leaves the table's folder; give a path below it"),
        ("deep/../../a.jpg,cat\n", "labels.csv:2: deep/../../a.jpg leaves the table's folder"),
        ("/etc/passwd,cat\n", "labels.csv:2: /etc/passwd leaves the table's folder"),
        ("a.jpg,cat\n\nb.jpg, \n", "labels.csv:4: the label of b.jpg is empty; fill it in, or remove the row"),
        ("a.jpg\n", "labels.csv:2: the row has not as many fields as the header; quote a field that holds the delimiter"),
        ("a.jpg,cat,dog\n", "labels.csv:2: the row has not as many fields as the header"),
        ('"a.jpg,cat\n', "labels.csv:2: unexpected end of data; quote a field that holds quotes, and double these"),
        ("a.jpg,cat\n./a.jpg,dog\n", "labels.csv:3: a.jpg has a row in labels.csv:2 already; remove one of the two"),
    ],
)
def test_a_row_that_can_t_be_used_is_told_with_file_and_line(rows: str, message: str, raw: Path) -> None:
    with pytest.raises(DataError) as caught:
        read(raw, f"path,label\n{rows}")
    assert str(caught.value).startswith(message)


def test_a_header_with_an_open_quote_is_told(raw: Path) -> None:
    with pytest.raises(DataError, match="labels.csv:2: unexpected end of data; quote a field that holds quotes, and double these"):
        read(raw, 'path,label,"weight\na.jpg,cat,1\n')


@pytest.mark.parametrize("split", ["val", "Train", ""])
def test_an_unknown_split_is_told_with_file_and_line(split: str, raw: Path) -> None:
    with pytest.raises(DataError, match=f"labels.csv:3: the split is '{split}', expected one of train, validation, test"):
        read(raw, f"path,label,split\na.jpg,cat,train\nb.jpg,dog,{split}\n")


@pytest.mark.parametrize("header", ["", "path", "a.jpg,cat", "path|label", "Path,Label"])
def test_a_header_without_the_columns_is_told(header: str, raw: Path) -> None:
    with pytest.raises(DataError) as caught:
        read(raw, f"{header}\na.jpg,cat\n")
    assert str(caught.value) == (
        f"labels.csv:1: the header is {header!r}, expected the columns label and path between commas, semicolons or tabs; "
        "dataset.columns says what they are called"
    )


def test_another_encoding_is_told_with_its_line(raw: Path) -> None:
    with pytest.raises(DataError, match=r"labels.csv:3: the table is not UTF-8 \(byte 0xdf\); save it as UTF-8"):
        read(raw, "path,label\na.jpg,cat\nb.jpg,groß\n".encode("latin-1"))


def test_the_same_image_in_two_tables_is_told(raw: Path) -> None:
    (raw / "test.csv").write_text("path,label\na.jpg,cat\n")
    with pytest.raises(DataError, match="test.csv:2: a.jpg has a row in labels.csv:2 already"):
        read(raw, "path,label\na.jpg,cat\n", splits={"train": "labels.csv", "test": "test.csv"})


def test_a_column_of_splits_beside_official_tables_is_told(raw: Path) -> None:
    with pytest.raises(DataError, match="labels.csv:1: there is a column split, but dataset.splits makes the whole table train; use one"):
        read(raw, "path,label,split\na.jpg,cat,test\n", splits={"train": "labels.csv"})


def test_no_table_several_tables_and_a_missing_one_are_told(raw: Path) -> None:
    with pytest.raises(DataError, match="there must be one .csv file right in the data's folder, but there are: none. Name the table with"):
        table(raw, data_set(columns=COLUMNS))
    put_files(raw, "x.csv")
    with pytest.raises(DataError, match="there are: labels.csv, x.csv. Name the table with dataset.splits='{all: labels.csv}', or one for"):
        read(raw, "path,label\n")
    with pytest.raises(DataError, match="dataset.splits.test names y.csv, but there is no such table among the files"):
        read(raw, "path,label\n", splits={"train": "labels.csv", "test": "y.csv"})


@pytest.mark.parametrize(("columns", "role"), [(None, "image"), ({"image": "path"}, "label")])
def test_columns_that_the_config_does_not_name_are_told(columns: Any, role: str, raw: Path) -> None:
    with pytest.raises(ConfigError, match=f"dataset.columns must say which column holds the {role}s, but it has no {role}"):
        read(raw, "path,label\na.jpg,cat\n", columns=columns)


@pytest.mark.parametrize("text", ["x" * 200_000, '"a\rb"c\rd\n', "[" + '{"path": "a.jpg"}, ' * 9000 + "]"])
def test_what_is_no_table_is_told(text: str, raw: Path) -> None:
    with pytest.raises(DataError, match=r"^labels.csv:1: the header is .*, expected the columns label and path between commas"):
        read(raw, text)


def test_a_line_of_an_old_table_is_counted(raw: Path) -> None:
    with pytest.raises(DataError, match=r"labels.csv:3: the table is not UTF-8 \(byte 0xa7\); save it as UTF-8"):
        read(raw, "path,label\ra.jpg,cat\rb.jpg,groß\r".encode("mac-roman"))
