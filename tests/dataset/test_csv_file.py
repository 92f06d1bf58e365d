"""A table's rows come back as they were written, whatever the names of files hold; its lines end as everywhere here."""

import csv
from pathlib import Path

import pytest

from pipeline.dataset.files import write_csv


@pytest.mark.parametrize("name", ["Icon\r", "a\rb.jpg", "a\r\nb.jpg", "a\nb.jpg", "ends\r\n", 'say "x", y', "", "猫"])
def test_every_name_is_read_back_as_it_is(name: str, tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", ["path", "class"], [[name, "cat"], ["b.jpg", name]])
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as stream:
        assert list(csv.reader(stream)) == [["path", "class"], [name, "cat"], ["b.jpg", name]]


def test_lines_end_with_a_newline_alone_and_what_is_no_utf_8_is_escaped(tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", ["path", "class"], [["\udcff, a", 3], ["x\ny", 4.5]])
    assert (tmp_path / "t.csv").read_bytes() == b'path,class\n"\\udcff, a",3\n"x\ny",4.5\n'
