"""reports/data.html in a real browser, of real photos with odd files among them.

IMAGE_DATA names the folder of original files; without it, or without Chromium, this test skips."""

import csv
import os
import tarfile
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from pipeline.dataset.resize import resize
from tests.conftest import MakeConfig
from tests.pages import CHROMIUM
from tests.project import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("IMAGE_DATA" not in os.environ, reason="IMAGE_DATA names no folder of real images"),
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium was found: apt-get install chromium"),
]


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


def test_the_page_shows_every_picture_and_asks_for_nothing_else(photos: Path, config: MakeConfig, tmp_path: Path) -> None:
    page = tmp_path / "data.html"
    (tmp_path / "prepared").mkdir()
    manifest = resize(config("dataset=folder", "resize.size=64"), photos, tmp_path / "prepared", page, tmp_path / "chunks")
    asked, complaints = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"] if os.geteuid() == 0 else [])
        view = browser.new_page(viewport={"width": 1250, "height": 900})
        view.on("request", lambda request: asked.append(request.url))
        view.on("console", lambda message: complaints.append(message.text))
        view.goto(page.as_uri())
        widths = view.eval_on_selector_all("img", "images => images.map(image => image.naturalWidth)")
        overflow = view.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        text = view.inner_text("body")
        view.screenshot(path=Path(os.environ.get("SCREENSHOTS", tmp_path)) / "data.png", full_page=True)
        browser.close()
    assert [url for url in asked if not url.startswith("data:")] == [page.as_uri()]
    assert complaints == []
    assert min(widths) > 0
    assert overflow == 0
    with (tmp_path / "prepared" / "images.csv").open() as stream:
        refused = [row for row in csv.DictReader(stream) if row["status"] == "refused"]
    assert len(refused) == manifest.refused > 5
    assert all(row["path"] in text and row["reason"] in text for row in refused)
    for heading in ("Images as the network gets them", "Two labels for one picture", "Twins across splits", "Files that could not be used"):
        assert heading in text
