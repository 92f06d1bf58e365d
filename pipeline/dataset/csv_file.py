"""Tables of our own as CSV, which every name of a file or class survives."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TextIO

CRLF = "\r\n"  # csv quotes a field for the characters that end its lines alone, and a name may hold either


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table in UTF-8, with a line feed after each row."""
    with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as stream:  # names from old archives may be no UTF-8
        table = csv.writer(_LineFeeds(stream), lineterminator=CRLF)
        table.writerow(header)
        table.writerows(rows)


class _LineFeeds:
    """Takes rows from csv, one each call."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, row: str) -> None:
        self.stream.write(row.removesuffix(CRLF) + "\n")
