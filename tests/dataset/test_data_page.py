"""reports/data.html tells everything about a data set, in one file that needs nothing beside it."""

import base64
import copy
import csv
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.config.schema import Config
from pipeline.dataset.manifest import Manifest
from pipeline.dataset.resize import resize
from tests.conftest import MakeConfig
from tests.dataset.test_splits import add, picture
from tests.samples import encoded


@pytest.fixture(scope="module")
def cfg(config: MakeConfig) -> Config:
    cfg = config("dataset=folder", "resize.size=16", "resize.max_refused=0.5")
    cfg.dataset.split.validation = cfg.dataset.split.test = 0.3
    return cfg


@pytest.fixture(scope="module")
def top(cfg: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared folder of uneven classes with twins, a conflict, a broken photo and a note, and names that HTML could stumble over."""
    top = tmp_path_factory.mktemp("data_report")
    raw = top / "raw"
    add(raw, range(60))
    add(raw, range(100, 460), "cat")
    add(raw, range(3), "dog")
    for number in range(0, 60, 2):
        picture(number).save(raw / "cat" / f"{number}_copy.jpg", quality=85)
    (raw / "cat" / "cut.jpg").write_bytes(encoded(picture(999), "JPEG")[:-100])
    (raw / "cat" / "<b>&.jpg").write_text("no photo")
    (top / "prepared").mkdir()
    resize(cfg, raw, top / "prepared", top / "data.html", top / "scratch")
    return top


@pytest.fixture(scope="module")
def page(top: Path) -> str:
    return (top / "data.html").read_text()


def words(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page.partition("</style>")[2]))


def test_counts_digest_and_statistics_are_those_of_the_manifest(top: Path, page: str) -> None:
    manifest = Manifest.read(top / "prepared")
    assert manifest.data_digest in page
    for split, of_class in manifest.counts.items():
        assert f"{manifest.images(split)} {split}" in words(page)
        for images in of_class.values():
            assert f'<td class="n">{images}</td>' in page
    assert f"{manifest.mean[0]:.4f} ± {manifest.std[0]:.4f}" in page


def test_the_page_needs_nothing_beside_it(page: str) -> None:
    assert {source[:22] for source in re.findall(r'src="([^"]*)"', page)} == {"data:image/png;base64,"}
    assert not re.search(r"<script|<link|url\(|https?://", page)


def test_file_names_are_shown_as_they_are_and_not_run(page: str) -> None:
    assert "cat/&lt;b&gt;&amp;.jpg" in page
    assert "<b>" not in page


def test_refused_files_have_their_reason_and_a_picture_where_something_is_left_of_it(page: str) -> None:
    refused = page[page.index("Files that could not be used: 2") :]
    whole, cut = refused.index("cat/&lt;b&gt;"), refused.index("cat/cut.jpg")
    assert "not an image" in refused[whole:]
    assert "damaged" in refused[cut:]
    assert "no picture" in refused[:whole]
    assert 'src="data:' in refused[whole:cut]


def test_twins_stand_side_by_side_by_kind(top: Path, page: str) -> None:
    with (top / "prepared" / "twins.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    conflicts = [row for row in rows if row["class"] != row["twin_class"]]
    assert len(conflicts) >= 2  # of 0 and 2, which stand as cats and as dogs
    assert f"Two labels for one picture: {len(conflicts)} pairs" in page
    across = [row for row in rows if row["split"] != row["twin_split"]]
    assert f"Near-duplicates across splits: {len(across)} pairs" in page
    both = [row for row in across if row in conflicts]
    assert page.count('class="pair"') == len(rows) + len(both)


def test_what_one_should_know_before_training_stands_at_the_top(page: str) -> None:
    notes = words(page).partition("Images as the network gets them")[0]
    assert re.search(r"class cat has \d+ images, class dog only \d+: .*training.balance evens that out", notes)
    assert "pairs of near-duplicates carry two labels; one of each is wrong" in notes
    assert re.search(r"\d+ images were left out, as each has a near-duplicate in a later split", notes)
    assert "2 files could not be used" in notes


def test_each_kind_of_leak_between_splits_is_told_by_the_split_that_it_flatters(config: MakeConfig, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    for i, split in enumerate(("train", "validation", "test")):
        for j, label in enumerate(("cat", "dog")):
            (raw / split / label).mkdir(parents=True)
            picture(10 * i + j).save(raw / split / label / "own.png")
    for number, pair in enumerate((("train", "validation"), ("train", "test"), ("validation", "test"))):
        for split in pair:
            picture(100 + number).save(raw / split / "cat" / f"{number}.png")
    cfg = copy.deepcopy(config("dataset=folder", "resize.size=16", "dataset.twins.across=keep"))
    cfg.dataset.splits = {split: split for split in ("train", "validation", "test")}
    (tmp_path / "prepared").mkdir()
    resize(cfg, raw, tmp_path / "prepared", tmp_path / "data.html", tmp_path / "chunks")
    notes = words((tmp_path / "data.html").read_text()).partition("Images as the network gets them")[0]
    stand = r"pairs? of near-duplicates stands? in"
    assert re.search(rf"{stand} train and validation: validation is too good, as the network has seen its images in training", notes)
    assert re.search(rf"{stand} train and test: test is too good, as the network has seen its images in training", notes)
    assert re.search(rf"{stand} validation and test: test is too good, as its images helped to choose the epoch", notes)


def test_the_share_that_was_got_stands_beside_the_share_that_was_asked_for(top: Path, page: str) -> None:
    manifest = Manifest.read(top / "prepared")
    total = sum(manifest.images(split) for split in manifest.counts)
    assert f"30.0% of all, {manifest.images('test') / total:.1%}" in words(page)


def test_the_strips_show_the_stored_pixels(top: Path, page: str) -> None:
    uri = re.search(r'src="data:image/png;base64,([^"]*)" alt="cat, train"', page)
    assert uri
    strip = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri[1]))))
    images, labels = np.load(top / "prepared" / "train.npy"), np.load(top / "prepared" / "train_labels.npy")
    np.testing.assert_array_equal(strip[::6, :96:6], images[labels == 0][0])  # of 16 pixels, sixfold


def test_equal_data_makes_an_equal_page(top: Path, cfg: Config, page: str, tmp_path: Path) -> None:
    (tmp_path / "prepared").mkdir()
    resize(cfg, top / "raw", tmp_path / "prepared", tmp_path / "data.html", tmp_path / "scratch")
    assert (tmp_path / "data.html").read_text() == page


@pytest.mark.parametrize(
    ("splits", "parts", "told"),
    [
        (None, "", {"test", "validation"}),
        ({"all": "labels.csv"}, "", {"test", "validation"}),
        (None, "train test", {"validation"}),
        (None, "train validation test", set()),
    ],
)
def test_a_share_is_told_of_the_splits_that_were_drawn(
    splits: dict[str, str] | None, parts: str, told: set[str], config: MakeConfig, tmp_path: Path
) -> None:
    add(tmp_path / "raw", range(24))
    rows = [f"{path.relative_to(tmp_path / 'raw')},{path.parent.name}" for path in sorted((tmp_path / "raw").rglob("*.png"))]
    named = ["," + parts.split()[i % len(parts.split())] for i in range(24)] if parts else [""] * 24
    table = ["path,label,split" if parts else "path,label", *map("".join, zip(rows, named, strict=True))]
    (tmp_path / "raw" / "labels.csv").write_text("\n".join(table))
    (tmp_path / "prepared").mkdir()
    cfg = copy.deepcopy(config("dataset=csv", "resize.size=8"))
    cfg.dataset.splits = splits
    resize(cfg, tmp_path / "raw", tmp_path / "prepared", tmp_path / "data.html", tmp_path / "chunks")
    assert set(re.findall(r"(\w+): share asked for, share got", (tmp_path / "data.html").read_text())) == told
