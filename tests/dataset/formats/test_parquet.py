import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet as pq

from pipeline.config.errors import DataError
from pipeline.config.splits import ALL
from pipeline.dataset.formats.parquet import parquet
from pipeline.dataset.readers import READERS
from pipeline.dataset.records import NO_CLASS, Sample
from tests.conftest import MakeConfig
from tests.dataset.formats.test_split_names import as_printed
from tests.samples import colour, data_set, encoded

COLUMNS = {"image": "image", "label": "label"}
PICTURES = [encoded(colour(8 + i, 9, (i, 0, 0)), "PNG") for i in range(7)]
HUB = pa.struct({"bytes": pa.binary(), "path": pa.string()})


def write(file: Path, labels: Any, images: Any = None, names: list[str] | None = None, rows: int = 3) -> Path:
    """Write a table as the hub's library does, with three images in a row group; return its folder."""
    images = pa.array([{"bytes": data, "path": f"{i}.png"} for i, data in enumerate(PICTURES)], HUB) if images is None else images
    features = {"label": {"names": names, "_type": "ClassLabel"}, "image": {"_type": "Image"}}
    noted = {"huggingface": json.dumps({"info": {"features": features}})} if names else None
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"image": images, "label": labels}).replace_schema_metadata(noted), file, row_group_size=rows)
    return file.parent


def read(raw: Path, **keys: Any) -> list[Sample]:
    return [sample for sample in parquet(raw, data_set(**{"columns": COLUMNS} | keys)) if sample.label != NO_CLASS]


LABELS = [0, 1, 1, 0, 1, 0, 1]


@pytest.mark.parametrize(
    "images",
    [None, pa.array(PICTURES, pa.binary()), pa.array(PICTURES, pa.large_binary())],
    ids=["struct", "binary", "large binary"],
)
def test_every_row_of_every_row_group_gives_its_own_image_and_class_name(images: Any, tmp_path: Path) -> None:
    samples = read(write(tmp_path / "images.parquet", LABELS, images, names=["cat", "dog"]))
    assert [sample.path for sample in samples] == [f"images.parquet#{i}" for i in range(7)]
    assert [sample.label for sample in samples] == [["cat", "dog"][label] for label in LABELS]
    assert {sample.part for sample in samples} == {ALL}
    assert [sample.content.read_bytes() for sample in samples] == PICTURES
    assert Image.open(io.BytesIO(samples[5].content.read_bytes())).size == (13, 9)


def test_the_data_set_of_conf_reads_the_hub_s_files(tmp_path: Path, config: MakeConfig) -> None:
    for name in ("train-00000-of-00001", "test-00000-of-00001"):
        write(tmp_path / f"{name}.parquet", LABELS, names=["cat", "dog"])
    cfg = config("dataset=parquet").dataset
    samples = [sample for sample in READERS[cfg.reader](tmp_path, cfg) if sample.label != NO_CLASS]
    assert [(one.part, one.label) for one in samples] == [(p, ["cat", "dog"][label]) for p in ("train", "test") for label in LABELS]


def test_prefixes_of_the_files_are_the_splits(tmp_path: Path) -> None:
    for name in ("train-00001-of-00002", "train-00000-of-00002", "test-00000-of-00001", "validation/0000"):
        write(tmp_path / f"{name}.parquet", LABELS)
    samples = parquet(tmp_path, data_set(columns=COLUMNS, splits={"train": "train", "validation": "validation", "test": "test"}))
    first = [(sample.path, sample.part) for sample in samples if sample.path.endswith("#0")]
    assert first == [
        ("train-00000-of-00002.parquet#0", "train"),
        ("train-00001-of-00002.parquet#0", "train"),
        ("validation/0000.parquet#0", "validation"),
        ("test-00000-of-00001.parquet#0", "test"),
    ]
    files = {sample.path for sample in samples if sample.label == NO_CLASS and sample.why == "no image, or a table of images"}
    assert files == {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.parquet")}


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("validation-00000-of-00001", {"validation": "validation"}),
        ("val-0", {"validation": "val"}),
        ("data/validation/0000", {"validation": "data/validation"}),
        ("more, even/dev", {"validation": "more, even/dev"}),
    ],
)
def test_a_file_of_a_split_that_is_not_named_is_told_with_the_command_that_takes_it(
    name: str, taken: dict[str, str], tmp_path: Path, config: MakeConfig
) -> None:
    for file in ("train-0", "test-0", name):
        write(tmp_path / f"{file}.parquet", LABELS, names=["cat", "dog"])
    cfg = config("dataset=parquet").dataset
    with pytest.raises(
        DataError, match=rf"^{name}.parquet would be left out: no prefix in dataset.splits names it. Take it with `dvc"
    ) as told:
        parquet(tmp_path, cfg)
    asked = as_printed(str(told.value))
    assert asked.splits == {"train": "train", "test": "test"} | taken
    assert {sample.part for sample in parquet(tmp_path, asked) if sample.label} == {"train", "validation", "test"}


@pytest.mark.parametrize(("name", "others"), [("extra-0", ""), ("training-x", ""), ("test2-0", " and 1 more")])
def test_a_file_that_is_called_like_no_split_that_is_free_is_told_too(name: str, others: str, tmp_path: Path) -> None:
    for file in ("train-0", "test-0", name, *("zebra-0" for _ in others[:1])):
        write(tmp_path / f"{file}.parquet", LABELS)
    with pytest.raises(DataError, match=rf"^{name}.parquet.* would be left out: .*Name .* in dataset.splits, or move .* out of the data"):
        read(tmp_path, splits={"train": "train", "test": "test"})


def test_of_all_files_those_of_one_prefix_may_be_taken(tmp_path: Path) -> None:
    for file in ("train-0", "validation-0"):
        write(tmp_path / f"{file}.parquet", LABELS)
    assert len(read(tmp_path, splits={"all": "train"})) == len(LABELS)


def test_splits_in_the_file_names_are_not_mixed_unasked(tmp_path: Path) -> None:
    raw = write(tmp_path / "data" / "train-0.parquet", LABELS).parent
    with pytest.raises(
        DataError,
        match=r"data/train-0.parquet looks like an official split; name the prefixes: dataset.splits='{train: …, test: …}', "
        r"or dataset.splits='{all: data/train}' to draw the splits from it",
    ):
        read(raw)
    assert {sample.part for sample in read(raw, splits={"all": "data/train"})} == {ALL}


@pytest.mark.parametrize(
    ("labels", "names", "classes", "expected"),
    [
        (["b", "a"], None, None, ["b", "a"]),
        (pa.array(["b", "a"]).dictionary_encode(), None, None, ["b", "a"]),
        ([1, 0], None, None, ["1", "0"]),
        ([1, 0], None, ["cat", "dog"], ["dog", "cat"]),
        ([1, 0], ["dog", "cat"], ["cat", "dog"], ["cat", "dog"]),  # the file knows its own numbers better
    ],
)
def test_labels_are_texts_or_numbers_with_names(labels: Any, names: Any, classes: Any, expected: list[str], tmp_path: Path) -> None:
    images = pa.array(PICTURES[:2])
    assert [sample.label for sample in read(write(tmp_path / "x.parquet", labels, images, names), classes=classes)] == expected


@pytest.mark.parametrize(
    "noted",
    [
        *(b"[]", b"null", b'"cats"', b"3", b"no JSON", b"\xff", b'{"info": null}', b'{"info": {"features": []}}'),
        *(b'{"info": {"features": {"label": 1}}}', b'{"info": {"features": {"label": {"names": [1, 2]}}}}'),
    ],
)
def test_notes_that_are_not_the_hub_s_name_no_classes(noted: bytes, tmp_path: Path) -> None:
    images = pa.table({"image": PICTURES[:2], "label": [1, 0]}).replace_schema_metadata({b"huggingface": noted})
    pq.write_table(images, tmp_path / "x.parquet")
    assert [sample.label for sample in read(tmp_path, classes=["cat", "dog"])] == ["dog", "cat"]


@pytest.mark.parametrize(
    ("labels", "names", "classes", "message"),
    [
        ([0, None], None, None, "x.parquet#1 has no label; leave images without a class out of the data"),
        (["cat", ""], None, None, "x.parquet#1 has no label; leave images without a class out of the data"),
        ([0, -1], None, None, "x.parquet#1 has label -1, expected 0 or more"),
        ([0, -1], ["cat", "dog"], None, "x.parquet#1 has label -1, but the file names only 2 classes"),
        ([0, 2], ["cat", "dog"], None, "x.parquet#1 has label 2, but the file names only 2 classes"),
        ([0, 2], None, ["cat", "dog"], "x.parquet#1 has label 2, but dataset.classes names only 2 classes, 0 to 1"),
        ([0, 0.5], None, None, "x.parquet#0 has label 0.0, expected a whole number or text"),
    ],
)
def test_a_label_that_names_no_class_is_told_with_its_row(labels: Any, names: Any, classes: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        read(write(tmp_path / "x.parquet", labels, pa.array(PICTURES[:2]), names), classes=classes)


@pytest.mark.parametrize(
    ("images", "columns", "message"),
    [
        (
            PICTURES[:2],
            {"image": "img", "label": "label"},
            "x.parquet has the columns image, label, but no img; say in dataset.columns what",
        ),
        (PICTURES[:2], {"image": "image", "label": "y"}, "x.parquet has the columns image, label, but no y; say in dataset.columns"),
        (["a.jpg", "b.jpg"], COLUMNS, "x.parquet: the column image is of type string, expected the bytes of image files, or a struct"),
        ([{"path": "a"}, {"path": "b"}], COLUMNS, "the column image is of type struct<path: string>, expected the bytes of image files"),
        ([{"bytes": "a"}, {"bytes": "b"}], COLUMNS, "the column image is of type struct<bytes: string>, expected the bytes of image files"),
    ],
)
def test_columns_that_do_not_fit_are_told(images: Any, columns: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        read(write(tmp_path / "x.parquet", [0, 1], pa.array(images)), columns=columns)


def test_missing_files_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there are no .parquet files; dataset.reader=parquet reads these"):
        read(tmp_path)
    write(tmp_path / "train-0.parquet", LABELS)
    message = "dataset.splits.test is test, but there is no test-….parquet and no test/….parquet; there are: train-0.parquet"
    with pytest.raises(DataError, match=message):
        read(tmp_path, splits={"train": "train", "test": "test"})


@pytest.mark.parametrize("kept", [0, 10, 2000, -1])
def test_a_file_that_is_cut_short_is_told(kept: int, tmp_path: Path) -> None:
    write(tmp_path / "x.parquet", LABELS)
    (tmp_path / "x.parquet").write_bytes((tmp_path / "x.parquet").read_bytes()[:kept])
    with pytest.raises(DataError, match="x.parquet is damaged or no parquet file: .*; fetch it again"):
        read(tmp_path)


def test_a_row_without_an_image_gives_no_bytes(tmp_path: Path) -> None:
    images = pa.array([None, {"bytes": None, "path": "a.png"}, {"bytes": PICTURES[0], "path": None}], HUB)
    assert [sample.content.read_bytes() for sample in read(write(tmp_path / "x.parquet", [0, 1, 0], images))] == [b"", b"", PICTURES[0]]


def test_colours_survive_to_the_decoded_pixels(tmp_path: Path) -> None:
    sample = read(write(tmp_path / "x.parquet", LABELS))[6]
    assert np.asarray(Image.open(io.BytesIO(sample.content.read_bytes())))[0, 0].tolist() == [6, 0, 0]
