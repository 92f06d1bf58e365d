"""reports/data.html in a real browser, of real photos with odd files among them, and of photos of every shape.

IMAGE_DATA names the folder of original files; without it, or without Chromium, these tests skip."""

import csv
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from pipeline.dataset.resize import resize
from tests.conftest import MakeConfig
from tests.pages import CHROMIUM
from tests.project import ROOT

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium was found: apt-get install chromium")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Cats and dogs with the odd files among them, every other one among the cats."""
    data = ROOT / os.environ["IMAGE_DATA"]
    for archive in ("cats-dogs/cats-dogs.tar.gz", "odd-images/odd-images.tar.gz"):
        with tarfile.open(data / archive) as files:
            files.extractall(tmp_path / "unpacked", filter="data")
    odd = sorted(path for path in (tmp_path / "unpacked" / "odd-images").rglob("*") if path.is_file())
    for name, stray in (("cats", odd[::2]), ("dogs", odd[1::2])):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for path in [*(tmp_path / "unpacked" / "cats-dogs").rglob(f"{name}/*.jpg"), *stray]:
            path.rename(tmp_path / "photos" / name / path.name)
    return tmp_path / "photos"


@contextmanager
def browser(width: int = 1250) -> Iterator[Page]:
    """Open an empty page of so many pixels."""
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"] if os.geteuid() == 0 else [])
        yield opened.new_page(viewport={"width": width, "height": 900})
        opened.close()


def photograph(view: Page, name: str, folder: Path) -> None:
    view.screenshot(path=Path(os.environ.get("SCREENSHOTS", folder)) / name, full_page=True)


@pytest.mark.slow
@pytest.mark.skipif("IMAGE_DATA" not in os.environ, reason="IMAGE_DATA names no folder of real images")
def test_the_page_shows_every_picture_and_asks_for_nothing_else(photos: Path, config: MakeConfig, tmp_path: Path) -> None:
    page = tmp_path / "data.html"
    (tmp_path / "prepared").mkdir()
    manifest = resize(config("dataset=folder", "resize.size=64"), photos, tmp_path / "prepared", page, tmp_path / "chunks")
    asked, complaints = [], []
    with browser() as view:
        view.on("request", lambda request: asked.append(request.url))
        view.on("console", lambda message: complaints.append(message.text))
        view.goto(page.as_uri())
        widths = view.eval_on_selector_all("img", "images => images.map(image => image.naturalWidth)")
        overflow = view.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        text = view.inner_text("body")
        photograph(view, "data.png", tmp_path)
    assert [url for url in asked if not url.startswith("data:")] == [page.as_uri()]
    assert complaints == []
    assert min(widths) > 0
    assert overflow == 0
    with (tmp_path / "prepared" / "images.csv").open() as stream:
        refused = [row for row in csv.DictReader(stream) if row["status"] == "refused"]
    assert len(refused) == manifest.refused > 5
    assert all(row["path"] in text and row["reason"] in text for row in refused)
    for heading in (
        "Images as the network gets them",
        "Two labels for one picture",
        "Near-duplicates across splits",
        "Files that could not be used",
    ):
        assert heading in text


@pytest.fixture
def of_every_shape(tmp_path: Path) -> Path:
    """Photos of two classes, each photo twice, some tall, some wide, some smaller than a thumbnail; one class has a very long name."""
    rng = np.random.default_rng(0)
    for name in ("cat", "an_animal_of_which_nobody_knows_" * 5):
        (tmp_path / "raw" / name).mkdir(parents=True)
        for number in range(12):
            width, height = ((403, 301), (40, 400), (300, 30), (20, 24))[number % 4]
            photo = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)).resize((width, height))
            photo.save(tmp_path / "raw" / name / f"{number:02}.jpg")
            photo.save(tmp_path / "raw" / name / f"{number:02}_again.png")
    return tmp_path / "raw"


def test_every_thumbnail_is_drawn_in_the_proportions_of_its_photo(of_every_shape: Path, config: MakeConfig, tmp_path: Path) -> None:
    (tmp_path / "prepared").mkdir()
    cfg = config("dataset=folder", "resize.size=64", "dataset.twins.across=keep", "dataset.split.test=0.3", "dataset.split.validation=0.4")
    resize(cfg, of_every_shape, tmp_path / "prepared", tmp_path / "data.html", tmp_path / "chunks")
    with browser() as view:
        view.goto((tmp_path / "data.html").as_uri())
        for width in (1250, 400):
            view.set_viewport_size({"width": width, "height": 900})
            sizes = view.eval_on_selector_all(
                "img", "images => images.map(i => [i.clientWidth, i.clientHeight, i.naturalWidth, i.naturalHeight])"
            )
            heights = set(view.eval_on_selector_all(".strip", "strips => strips.map(strip => strip.clientHeight)"))
            overflow = view.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            scrolled = view.eval_on_selector(".wide", "wide => wide.scrollWidth - wide.clientWidth")
            photograph(view, f"shapes-{width}.png", tmp_path)
            assert len(sizes) > 20
            for wide, high, natural_width, natural_height in sizes:
                assert abs(wide - high * natural_width / natural_height) <= 1  # a pixel, to which sizes are rounded
            assert len(heights) == 1
            assert overflow == 0
            assert scrolled == 0 or width == 400
