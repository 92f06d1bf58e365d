import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet as pq

from pipeline.config.errors import DataError
from pipeline.dataset.formats.parquet import BATCH, Embedded
from tests.project import ROOT

ROWS = 1000


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A thousand rows in two row groups; each row's bytes say which it is."""
    path = tmp_path_factory.mktemp("table") / "x.parquet"
    pq.write_table(pa.table({"image": [f"row {i}".encode() for i in range(ROWS)]}), path, row_group_size=600)
    return path


def row(file: Path, i: int) -> bytes:
    return Embedded(file, "image", i // 600, i % 600).read_bytes()


def test_rows_come_in_any_order(file: Path) -> None:
    order = np.random.default_rng(0).integers(0, ROWS, 200).tolist()
    assert [row(file, i) for i in order] == [f"row {i}".encode() for i in order]


def test_rows_of_two_files_do_not_mix(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "y.parquet"
    pq.write_table(pa.table({"image": [b"other"] * ROWS}), other, row_group_size=600)
    assert [row(path, 5) for path in (file, other, file, other)] == [b"row 5", b"other", b"row 5", b"other"]


def test_a_chunk_read_twice_is_read_from_the_file_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    whole = pq.ParquetFile
    monkeypatch.setattr(pq, "ParquetFile", lambda *arguments, **options: opened.append(1) or whole(*arguments, **options))
    for start in range(7, 500, BATCH):  # as workers do, first for digests, then for pixels
        for _ in range(2):
            assert [row(file, i) for i in range(start, start + BATCH)] == [f"row {i}".encode() for i in range(start, start + BATCH)]
    assert sum(opened) <= 1


def test_another_process_can_read_what_is_handed_to_it(file: Path) -> None:
    handed = pickle.dumps(Embedded(file, "image", 1, 3)).hex()
    code = f"import pickle; print(pickle.loads(bytes.fromhex('{handed}')).read_bytes())"
    assert subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True) == "b'row 603'\n"


def test_damage_is_told_with_file_row_group_and_row(file: Path, tmp_path: Path) -> None:
    data = bytearray(file.read_bytes())
    data[30:60] = os.urandom(30)
    (tmp_path / "x.parquet").write_bytes(data)
    with pytest.raises(DataError, match=r"x.parquet is damaged in row group 0, row 3: .*; fetch it again"):
        Embedded(tmp_path / "x.parquet", "image", 0, 3).read_bytes()


MEMORY = """
import resource, sys
from pathlib import Path
from pipeline.dataset.formats.parquet import Embedded
from pyarrow import parquet
file, rows = Path(sys.argv[1]), int(sys.argv[2])
for i in range(64): Embedded(file, "image", 0, i).read_bytes()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for i in range(rows): assert len(Embedded(file, "image", 0, i).read_bytes()) == 20_000
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


def test_memory_does_not_grow_with_the_rows_even_of_one_row_group(tmp_path: Path) -> None:
    rng, rows = np.random.default_rng(0), 10_000
    schema = pa.schema({"image": pa.binary()})
    with pq.ParquetWriter(tmp_path / "x.parquet", schema, use_dictionary=False) as writer:
        writer.write_table(pa.table({"image": [rng.bytes(20_000) for _ in range(rows)]}, schema), row_group_size=rows)
    done = subprocess.run([sys.executable, "-c", MEMORY, str(tmp_path / "x.parquet"), str(rows)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 60, "MB more at the end than after the first rows; the file has 200"
