"""Too few images are refused only where a class has fewer than splits, and the number needed is told."""

import copy
from pathlib import Path

import pytest

from pipeline.config.errors import DataError
from pipeline.config.schema import Config
from pipeline.dataset.resize import resize
from tests.conftest import MakeConfig
from tests.dataset.test_splits import add, picture


@pytest.fixture
def cfg(config: MakeConfig) -> Config:
    return copy.deepcopy(config("dataset=folder", "resize.size=8"))


def prepared(cfg: Config, top: Path) -> dict[str, dict[str, int]]:
    (top / "prepared").mkdir(exist_ok=True)
    return resize(cfg, top / "raw", top / "prepared", top / "data.html", top / "chunks").counts


@pytest.mark.parametrize(("classes", "each"), [(10, 20), (22, 8), (2, 3)])
def test_small_classes_are_split_with_whatever_seed(classes: int, each: int, cfg: Config, tmp_path: Path) -> None:
    for number in range(classes):
        add(tmp_path / "raw", range(100 * number, 100 * number + each), f"class{number:02}")
    for seed in range(3):
        cfg.dataset.split.seed = seed
        counts = prepared(cfg, tmp_path)
        assert {images for of_class in counts.values() for images in of_class.values()} <= set(range(1, each))
        assert len({tuple(of_class[name] for of_class in counts.values()) for name in counts["train"]}) == 1  # all classes alike


def test_classes_of_too_few_images_are_named_with_their_number_their_place_and_the_number_needed(cfg: Config, tmp_path: Path) -> None:
    add(tmp_path / "raw", range(10), "cat")
    add(tmp_path / "raw", range(10, 12), "dog")
    add(tmp_path / "raw", range(20, 21), "eel")
    with pytest.raises(
        DataError,
        match=r"2 of 3 classes have too few images: dog has 2 \(dog/010.png, …\), eel has 1 \(eel/020.png\)\. "
        r"Each needs 3 distinct ones, one for each of train, validation and test: add some, or leave the class out with dataset.take",
    ):
        prepared(cfg, tmp_path)


def test_equal_bytes_count_as_one_image(cfg: Config, tmp_path: Path) -> None:
    add(tmp_path / "raw", range(10))
    for copied in range(4):
        picture(0).save(tmp_path / "raw" / "cat" / f"copy{copied}.png")
        (tmp_path / "raw" / "eel").mkdir(exist_ok=True)
        picture(77).save(tmp_path / "raw" / "eel" / f"{copied}.png")
    with pytest.raises(DataError, match=r"1 of 3 classes has too few images: eel has 1 \(eel/0.png, …\)"):
        prepared(cfg, tmp_path)


def test_every_fold_needs_an_image_of_each_class(cfg: Config, tmp_path: Path) -> None:
    add(tmp_path / "raw", range(10))
    cfg.dataset.split.folds = 5
    with pytest.raises(DataError, match=r"cat has 5 .*Each needs 6 distinct ones, one for each of the dataset.split.folds=5 and test"):
        prepared(cfg, tmp_path)
    add(tmp_path / "raw", range(10, 12))
    for fold in range(5):
        cfg.dataset.split.fold = fold
        assert prepared(cfg, tmp_path) == {
            "train": {"cat": 4, "dog": 4},
            "validation": {"cat": 1, "dog": 1},
            "test": {"cat": 1, "dog": 1},
        }


def test_of_official_training_images_a_class_needs_two(cfg: Config, tmp_path: Path) -> None:
    add(tmp_path / "raw" / "train", range(6))
    add(tmp_path / "raw" / "test", range(20, 22))
    cfg.dataset.splits = {"train": "train", "test": "test"}
    assert prepared(cfg, tmp_path)["validation"] == {"cat": 1, "dog": 1}
    for number in (0, 2):
        (tmp_path / "raw" / "train" / "cat" / f"{number:03}.png").unlink()
    with pytest.raises(
        DataError, match=r"cat has 1 \(train/cat/004.png, …\)\. Each needs 2 distinct ones, one for each of train and validation"
    ):
        prepared(cfg, tmp_path)


def test_an_official_split_that_misses_a_class_is_told_with_another_remedy(cfg: Config, tmp_path: Path) -> None:
    add(tmp_path / "raw" / "train", range(6))
    add(tmp_path / "raw" / "test", range(20, 22))
    (tmp_path / "raw" / "test" / "cat" / "020.png").write_text("no photo")
    cfg.dataset.splits, cfg.resize.max_refused = {"train": "train", "test": "test"}, 0.5
    with pytest.raises(DataError, match=r"class cat has no images in the test split \(3 in all\)\. The data itself names .* shuffle them"):
        prepared(cfg, tmp_path)


def test_a_class_whose_images_are_all_twins_is_told_so(cfg: Config, tmp_path: Path) -> None:
    add(tmp_path / "raw", range(10))
    (tmp_path / "raw" / "eel").mkdir()
    for quality in (70, 80, 90):
        picture(77).save(tmp_path / "raw" / "eel" / f"{quality}.jpg", quality=quality)
    with pytest.raises(
        DataError,
        match=r"class eel has no images in the train split \(1 in all\)\. The 1 that it had there is left out, as it has a "
        r"near-duplicate in a later split, see twins.csv: add images that differ more, "
        r"or keep near-duplicates with dataset.twins.across=keep",
    ):
        prepared(cfg, tmp_path)


def test_a_single_class_is_refused(cfg: Config, tmp_path: Path) -> None:
    add(tmp_path / "raw", range(5), "cat")
    with pytest.raises(DataError, match="there is only one class, cat; a network needs two or more to tell apart"):
        prepared(cfg, tmp_path)


def test_a_class_of_which_no_file_can_be_used_is_told(cfg: Config, tmp_path: Path) -> None:
    add(tmp_path / "raw", range(10))
    (tmp_path / "raw" / "eel").mkdir()
    (tmp_path / "raw" / "eel" / "notes.txt").write_text("no photo")
    cfg.resize.max_refused = 0.5
    with pytest.raises(DataError, match=r"1 of 3 classes has too few images: eel has 0 \(eel/notes.txt\)"):
        prepared(cfg, tmp_path)


def with_table(cfg: Config, top: Path, *rows: tuple[int, str]) -> None:
    """Put a table with a split column there, of photos of cats and dogs by their numbers."""
    add(top / "raw", range(12))
    lines = [f"{('cat', 'dog')[number % 2]}/{number:03}.png,{('cat', 'dog')[number % 2]},{part}" for number, part in rows]
    (top / "raw" / "labels.csv").write_text("\n".join(["path,label,split", *lines]))
    cfg.dataset.reader, cfg.dataset.columns = "csv", {"image": "path", "label": "label", "split": "split"}


def test_a_split_column_without_test_images_is_told_so(cfg: Config, tmp_path: Path) -> None:
    with_table(cfg, tmp_path, *((number, "train" if number < 8 else "validation") for number in range(12)))
    with pytest.raises(
        DataError,
        match=r"class cat has no images in the test split \(6 in all\)\. The split column names no test images: name some, or remove the "
        r"column so that the splits are drawn$",
    ):
        prepared(cfg, tmp_path)


def test_a_split_column_without_test_images_of_a_class_is_told_with_another_remedy(cfg: Config, tmp_path: Path) -> None:
    with_table(cfg, tmp_path, *((number, "test" if number in (1, 3) else "train") for number in range(12)))
    with pytest.raises(
        DataError, match=r"class cat has no images in the test split .* The data itself names its test images.* \(.*no split column\)"
    ):
        prepared(cfg, tmp_path)


def test_a_table_without_rows_is_told_so(cfg: Config, tmp_path: Path) -> None:
    with_table(cfg, tmp_path)
    with pytest.raises(DataError, match="^no image has a class: the table has no rows, or no folder holds images$"):
        prepared(cfg, tmp_path)
