import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.config.errors import DataError
from pipeline.config.wording import counted
from pipeline.dataset.formats.arrays import cifar, cifar_binary
from pipeline.dataset.readers import read
from tests.conftest import MakeConfig
from tests.dataset.formats import python2
from tests.samples import data_set

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
SPLITS = {"train": "cifar-10-batches-py/data_batch", "test": "cifar-10-batches-py/test_batch"}
BINARY_SPLITS = {"train": "cifar-10-batches-bin/data_batch", "test": "cifar-10-batches-bin/test_batch"}
META = {"num_cases_per_batch": 10_000, "label_names": CLASSES, "num_vis": 3072}


def rows(count: int, seed: int = 0) -> np.ndarray:
    """Return (count, 3072) bytes: the planes of so many images."""
    return np.random.default_rng(seed).integers(0, 256, (count, 3072), dtype=np.uint8)


def batch(labels: list[int], data: np.ndarray) -> dict[str, Any]:
    return {
        "batch_label": "training batch 1 of 5",
        "labels": labels,
        "data": data,
        "filenames": ["cam\xe9l\xe9on_s_000148.png"] * len(data),
    }


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """The Python archive's files: two training batches and one of test."""
    folder = tmp_path / "cifar-10-batches-py"
    for name, labels in {"data_batch_1": [6, 9], "data_batch_2": [3], "test_batch": [8, 5, 2]}.items():
        python2.write(folder / name, batch(labels, rows(len(labels), seed=labels[0])))
    python2.write(folder / "batches.meta", META)
    (folder / "readme.html").write_text("<html>")
    return tmp_path


def write_binary(raw: Path, name: str, labels: list[int], data: np.ndarray) -> Path:
    path = raw / "cifar-10-batches-bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(np.hstack([np.array(labels, np.uint8)[:, None], data]).tobytes())
    path.with_name("batches.meta.txt").write_text("\n".join(CLASSES) + "\n\n")
    return raw


def test_the_test_files_are_as_python_2_wrote_them() -> None:
    data = python2.dumped(batch([1, 2], rows(2)))
    if np.lib.NumpyVersion(np.__version__) >= "2.0.0":
        data = data.replace(b"numpy.core.multiarray", b"numpy._core.multiarray")
    loaded = pickle.loads(data, encoding="latin1")
    assert loaded["labels"] == [1, 2]
    np.testing.assert_array_equal(loaded["data"], rows(2))


def test_batches_give_images_labels_and_official_splits_in_order(archive: Path) -> None:
    samples = cifar(archive, data_set(splits=SPLITS))
    assert [(sample.path.removeprefix("cifar-10-batches-py/"), sample.label, sample.part) for sample in samples] == [
        ("data_batch_1#0", "frog", "train"),
        ("data_batch_1#1", "truck", "train"),
        ("data_batch_2#0", "cat", "train"),
        ("test_batch#0", "ship", "test"),
        ("test_batch#1", "dog", "test"),
        ("test_batch#2", "bird", "test"),
    ]
    assert all(sample.content.shape == (32, 32, 3) and sample.content.dtype == np.uint8 for sample in samples)


def half_orange() -> np.ndarray:
    """Return (1, 3072): an image whose upper half is orange, red 255, green 128, blue 0, and whose lower half is black."""
    planes = np.zeros((3, 32, 32), np.uint8)
    planes[:, :16] = np.array([255, 128, 0])[:, None, None]
    return planes.reshape(1, 3072)


def test_red_green_and_blue_planes_become_channels_and_rows_stay_rows(archive: Path) -> None:
    python2.write(archive / "cifar-10-batches-py" / "data_batch_1", batch([0], half_orange()))
    write_binary(archive, "data_batch_1.bin", [0], half_orange())
    first = cifar(archive, data_set(splits=SPLITS))[0].content
    np.testing.assert_array_equal(first[:16], np.broadcast_to([255, 128, 0], (16, 32, 3)))
    assert not first[16:].any()
    np.testing.assert_array_equal(cifar_binary(archive, data_set(splits={"train": BINARY_SPLITS["train"]}))[0].content, first)


def test_both_archives_give_the_same_images(archive: Path) -> None:
    for name, labels in {"data_batch_1.bin": [6, 9], "data_batch_2.bin": [3], "test_batch.bin": [8, 5, 2]}.items():
        write_binary(archive, name, labels, rows(len(labels), seed=labels[0]))
    pickled, binary = cifar(archive, data_set(splits=SPLITS)), cifar_binary(archive, data_set(splits=BINARY_SPLITS))
    assert binary[0].path == "cifar-10-batches-bin/data_batch_1.bin#0"
    for one, other in zip(pickled, binary, strict=True):
        assert (one.label, one.part) == (other.label, other.part)
        np.testing.assert_array_equal(one.content, other.content)


@pytest.mark.parametrize("name", ["cifar10", "cifar10_binary"])
def test_the_data_sets_of_conf_find_the_files_of_their_archives(name: str, archive: Path, config: MakeConfig) -> None:
    for label, file in enumerate(["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"]):
        python2.write(archive / "cifar-10-batches-py" / file, batch([label, label + 4], rows(2)))
        write_binary(archive, f"{file}.bin", [label, label + 4], rows(2))
    samples = read(archive, config(f"dataset={name}").dataset)
    assert [(one.label, one.part) for one in samples[8:]] == [
        ("deer", "train"),
        ("ship", "train"),
        ("dog", "test"),
        ("truck", "test"),
    ]


def test_the_small_subset_is_dog_cat_boat_and_bird(archive: Path, config: MakeConfig) -> None:
    samples = read(archive, config("dataset=cifar10_small").dataset)
    assert [(sample.label, sample.why) for sample in samples] == [
        ("", "class frog is not in dataset.take"),
        ("", "class truck is not in dataset.take"),
        ("cat", ""),
        ("boat", ""),
        ("dog", ""),
        ("bird", ""),
    ]


@pytest.mark.parametrize(
    ("labels", "data", "message"),
    [
        ([0, 10], rows(2), "data_batch_1#1 has label 10, but the archive names only 10 classes"),
        ([0, -1], rows(2), "data_batch_1#1 has label -1, but the archive names only 10 classes"),
        ([0], rows(2), r"data_batch_1 holds 1 label and values of shape \(2, 3072\), expected \(1, 3072\)"),
        ([0, 1], rows(2)[:, :-1], r"data_batch_1 holds 2 labels and values of shape \(2, 3071\), expected \(2, 3072\)"),
        (
            [0, "cat"],
            rows(2),
            r"data_batch_1 has no labels of type list\[int\]; it holds batch_label, labels, data, filenames. Fetch the archive",
        ),
        (
            [0, 1],
            rows(2).astype(np.int16),
            r"data_batch_1 is damaged or no pickled mapping: an array of b'i2', expected bytes; fetch it again",
        ),
        ([0, 1], "data", "data_batch_1 has no data of type ndarray; it holds batch_label, labels, data, filenames. Fetch"),
    ],
)
def test_a_batch_that_is_not_whole_is_told(labels: Any, data: Any, message: str, archive: Path) -> None:
    python2.write(archive / "cifar-10-batches-py" / "data_batch_1", batch(labels, data))
    with pytest.raises(DataError, match=message):
        cifar(archive, data_set(splits=SPLITS))


@pytest.mark.parametrize("kept", [0, 1, 100, -1])
def test_a_batch_that_is_cut_short_is_told(kept: int, archive: Path) -> None:
    path = archive / "cifar-10-batches-py" / "data_batch_1"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match="data_batch_1 is damaged or no pickled mapping: .*; fetch it again"):
        cifar(archive, data_set(splits=SPLITS))


@pytest.mark.parametrize("name", ["data_batch_1", "batches.meta"])
def test_a_file_of_other_content_is_told(name: str, archive: Path) -> None:
    python2.write(archive / "cifar-10-batches-py" / name, [1, 2])
    with pytest.raises(DataError, match=f"{name} is damaged or no pickled mapping"):
        cifar(archive, data_set(splits=SPLITS))


def test_missing_files_are_told(archive: Path) -> None:
    with pytest.raises(DataError, match="no fetched file's name begins with data_batch; dataset.splits must name file prefixes"):
        cifar(archive, data_set())
    (archive / "cifar-10-batches-py" / "batches.meta").unlink()
    with pytest.raises(DataError, match="batches.meta, which names the classes, is not beside data_batch_1; fetch the archive again"):
        cifar(archive, data_set(splits=SPLITS))


@pytest.mark.parametrize("size", [0, 1, 3072, 3074])
def test_records_that_are_cut_short_are_told(size: int, tmp_path: Path) -> None:
    write_binary(tmp_path, "data_batch_1.bin", [1, 2], rows(2))
    (tmp_path / "cifar-10-batches-bin" / "data_batch_1.bin").write_bytes(bytes(size))
    with pytest.raises(DataError, match=f"data_batch_1.bin has {counted(size, 'byte')}, no whole number of records of 3073"):
        cifar_binary(tmp_path, data_set(splits={"train": BINARY_SPLITS["train"]}))


def test_a_record_s_unknown_label_is_told(tmp_path: Path) -> None:
    write_binary(tmp_path, "data_batch_1.bin", [1, 10], rows(2))
    with pytest.raises(DataError, match="data_batch_1.bin#1 has label 10, but the archive names only 10 classes"):
        cifar_binary(tmp_path, data_set(splits={"train": BINARY_SPLITS["train"]}))
