"""The README's picture of the walk through the project's own network: python -m tests.walk.picture (after `dvc repro`)"""

import io
import os

from PIL import Image
from playwright.sync_api import sync_playwright

from pipeline.config.paths import PAGES
from tests.pages import CHROMIUM
from tests.project import ROOT
from tests.walk.test_page import WHERE

UNIT = ("conv2", 4, 7, 11)  # whose window and sum are shown
SAMPLE = 9  # a three
COLOURS = 256


def draw() -> None:
    """Point at a value of the second convolution; photograph the page."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"] if os.geteuid() == 0 else [])
        view = browser.new_page(viewport={"width": 1280, "height": 820}, color_scheme="light")
        view.goto((ROOT / PAGES["walk"]).as_uri())
        view.get_by_role("option").nth(SAMPLE).click()
        view.mouse.move(**view.evaluate(WHERE, UNIT))
        view.wait_for_timeout(300)  # ms: the next frames draw
        picture = Image.open(io.BytesIO(view.screenshot())).quantize(COLOURS, method=Image.Quantize.FASTOCTREE)
        picture.save(ROOT / "docs" / "walk.png", optimize=True)
        browser.close()


if __name__ == "__main__":
    draw()
