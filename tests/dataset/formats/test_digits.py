import gzip
import shutil
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import pytest

from pipeline.config.errors import DataError
from pipeline.config.splits import ALL
from pipeline.dataset.formats.arrays import digits
from tests.samples import data_set


def test_digits_are_1797_images_of_8x8_with_all_ten_classes(tmp_path: Path) -> None:
    with as_file(files("sklearn").joinpath("datasets/data/digits.csv.gz")) as carried:
        shutil.copy(carried, tmp_path)
    samples = digits(tmp_path, data_set(classes=[f"d{i}" for i in range(10)]))
    images = np.stack([sample.content for sample in samples])
    assert images.shape == (1797, 8, 8)
    assert (images.min(), images.max(), images.dtype) == (0, 255, np.uint8)
    assert [sample.label for sample in samples[:3]] == ["d0", "d1", "d2"]
    assert len({sample.path for sample in samples}) == 1797
    assert {sample.part for sample in samples} == {ALL}
    assert samples[0].content[0].tolist() == [0, 0, 80, 207, 143, 16, 0, 0]  # of 0 0 5 13 9 1 0 0, times 255/16


def test_digits_without_their_file_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="digits.csv.gz is not among the fetched files; dataset.reader=digits is for dataset=digits"):
        digits(tmp_path, data_set())


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (2, "digits.csv.gz#1 has label 2, but dataset.classes names only 2 classes, 0 to 1"),
        (-1, "digits.csv.gz#1 has label -1, expected 0 or more"),
    ],
)
def test_a_label_without_a_class_name_is_told_with_its_row(label: int, message: str, tmp_path: Path) -> None:
    rows = "\n".join(",".join(["0"] * 64 + [str(number)]) for number in (1, label))
    (tmp_path / "digits.csv.gz").write_bytes(gzip.compress(rows.encode()))
    with pytest.raises(DataError, match=message):
        digits(tmp_path, data_set(classes=["cat", "dog"]))
