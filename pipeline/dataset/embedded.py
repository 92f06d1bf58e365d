"""Image files inside a parquet file: a row's bytes when they are asked for, with a few rows in memory.

A row group can be read from its beginning only and may be as large as the file, so a process reads it forward, batch by batch."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from pipeline.config.errors import DataError

BATCH = 64  # rows read at a time: two batches hold the chunk that a process works on, which it reads twice
BUFFER = 1 << 20  # bytes read from the file at a time


@dataclass(frozen=True, slots=True)
class Embedded:
    """The bytes of an image file, in one row of a parquet file."""

    file: Path
    column: str  # dotted for a field of a struct
    group: int  # row group
    row: int  # of the row group

    def read_bytes(self) -> bytes:
        """Return the image file; empty where the row holds none. Raises DataError where the parquet file is damaged."""
        try:
            return _rows(self.file, self.column, self.group).at(self.row)
        except (OSError, ValueError) as error:  # pyarrow's own are kinds of these
            raise DataError(f"{self.file.name} is damaged in row group {self.group}, row {self.row}: {error}; fetch it again") from error


class _Rows:
    """One column of a row group, from which rows are taken in order; the last two batches can be taken again."""

    def __init__(self, file: Path, column: str, group: int) -> None:
        self.batches = partial(_batches, file, column, group)
        self.coming = self.batches()
        self.recent: deque[tuple[int, Any]] = deque(maxlen=2)  # first row, values

    def at(self, row: int) -> bytes:
        if self.recent and row < self.recent[0][0]:
            self.coming = self.batches()
            self.recent.clear()
        while not self.recent or row >= self._end():
            self.recent.append(next(self.coming))
        first, values = next(batch for batch in reversed(self.recent) if batch[0] <= row)
        value = values[row - first].as_py()
        return (value["bytes"] if isinstance(value, dict) else value) or b""

    def _end(self) -> int:
        first, values = self.recent[-1]
        return first + len(values)


def _batches(file: Path, column: str, group: int) -> Iterator[tuple[int, Any]]:
    """Yield (first row, values) from the row group's beginning; it knows no _Rows, so that both go when they are done with."""
    from pyarrow.parquet import ParquetFile  # half a second, which the other formats need not wait for

    with ParquetFile(file, buffer_size=BUFFER, pre_buffer=False) as source:
        first = 0
        for batch in source.iter_batches(BATCH, row_groups=[group], columns=[column], use_threads=False):
            yield first, batch.column(0)
            first += len(batch)


@lru_cache(maxsize=1)  # images come in the order of their rows
def _rows(file: Path, column: str, group: int) -> _Rows:
    return _Rows(file, column, group)
