"""The walk in a real browser: it computes what torch computes, and does what a person asks of it."""

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from pipeline.bundle import Bundle
from pipeline.dataset.decode import preprocess
from pipeline.dataset.manifest import Manifest
from pipeline.dataset.normalise import middle, normalised
from pipeline.walk.graph import recorded
from pipeline.walk.page import Sample, write_walk
from tests.conftest import Compose
from tests.model.measures import option
from tests.pages import CHROMIUM
from tests.walk.networks import as_trained, bundle_of, every_kind, images_of

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium was found: apt-get install chromium")

slow = partial(pytest.param, marks=pytest.mark.slow)
CLOSE = 1e-4  # of the largest value: largest difference between the page and torch

# Scrolls to a value; returns where it lies in the window.
WHERE = """([name, map, row, column]) => {
    const view = views[STEPS.findIndex((step) => step.name === name)];
    view.marks.scrollIntoView({ block: "center" });
    const bounds = view.marks.getBoundingClientRect();
    const box = view.box(map, { top: row, bottom: row, left: column, right: column });
    return { x: bounds.left + box.x + box.width / 2, y: bounds.top + box.y + box.height / 2 };
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"] if os.geteuid() == 0 else [])
        yield opened
        opened.close()


class Opened:
    """A page of a network, opened as a file without a connection."""

    def __init__(self, browser: Browser, bundle: Bundle, folder: Path, samples: int = 3, **options: object) -> None:
        self.bundle, self.complaints = bundle, list[str]()
        self.images = middle(images_of(bundle, samples), bundle.predictor().side)
        self.file = folder / "walk.html"
        classes = bundle.manifest.classes
        write_walk(bundle, [Sample(image, classes[i % len(classes)], f"{i}.png") for i, image in enumerate(self.images)], self.file)
        self.view: Page = browser.new_page(**{"viewport": {"width": 1280, "height": 900}, "offline": True} | options)
        self.view.on("console", lambda message: self.complaints.append(message.text))
        self.view.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.view.on("request", lambda request: request.url.startswith("http") and self.complaints.append(request.url))
        self.view.goto(self.file.as_uri())

    def scores(self, image: np.ndarray) -> np.ndarray:
        """Return what torch gives for an image."""
        predictor = self.bundle.predictor()
        with torch.inference_mode():
            return predictor.scores(torch.from_numpy(image)[None])[0].numpy()

    def answer(self) -> str:
        return self.view.locator("#answer b").inner_text()

    def point_at(self, step: str, map: int, row: int, column: int) -> dict[str, float]:
        """Return where a value lies in the window, having scrolled to it."""
        return self.view.evaluate(WHERE, [step, map, row, column])

    def hover(self, step: str, map: int, row: int, column: int) -> None:
        self.view.mouse.move(**self.point_at(step, map, row, column))

    def numbers(self, selector: str, attribute: str) -> list[float]:
        """Return the numbers of elements that explain a value."""
        texts = self.view.locator(f"#worked {selector}").evaluate_all(f"(found) => found.map((each) => each.{attribute})")
        return [float(text.replace("−", "-")) for text in texts]

    def title(self) -> str:
        return self.view.locator("#worked h2").inner_text()


def close(found: object, expected: np.ndarray) -> bool:
    return bool(np.abs(np.array(found).ravel() - expected.ravel()).max() <= CLOSE * max(1, np.abs(expected).max()))


@pytest.mark.parametrize(
    ("name", "channels"), [slow("lenet", 1), ("lenet5", 1), ("resnet20", 3), slow("airbench94", 3), slow("googlenet", 1)]
)
def test_the_page_answers_as_torch_does(
    browser: Browser, composed: Compose, manifest: Manifest, tmp_path: Path, name: str, channels: int
) -> None:
    torch.manual_seed(0)
    network = as_trained(option(composed, name, 32, channels))
    opened = Opened(browser, bundle_of(name, network, manifest, channels, 10, 32), tmp_path, samples=2)
    for number, image in enumerate(opened.images):
        assert close(opened.view.evaluate("(number) => Array.from(forward(sampleOf(number))[SCORES])", number), opened.scores(image))
    assert float(opened.view.locator("#check").get_attribute("data-difference") or "inf") < CLOSE * max(
        1, np.abs(opened.scores(image)).max()
    )
    expect(opened.view.locator("#check")).to_contain_text("PyTorch's scores differ by")
    assert opened.complaints == []
    opened.view.close()


def test_every_kind_of_layer_gives_torchs_values_and_knows_what_each_is_made_of(
    browser: Browser, manifest: Manifest, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    bundle = bundle_of("every kind", every_kind(3, 21), manifest, 3, 2, 21)
    opened = Opened(browser, bundle, tmp_path)
    predictor = bundle.predictor()
    with torch.inference_mode():
        recorder = recorded(bundle.network, normalised(torch.from_numpy(opened.images[:1]), predictor.mean, predictor.std))
    values = opened.view.evaluate("Array.from(forward(sampleOf(0)), (value) => Array.from(value))")
    for node, source in recorder.sources.items():
        assert close(values[source.step], recorder.env[node].numpy()), recorder.steps[source.step]
    # every kind of step explains its values, of which there is none without a receptive field on the image
    explained = opened.view.evaluate(
        """STEPS.slice(1).map(({ index, shape: [maps, rows, columns] }) => {
            const unit = { step: index, map: maps - 1, row: rows - 1, column: columns - 1 };
            look(unit, false); explain();
            return [document.getElementById("worked-body").textContent.length, receptiveFields(unit).has(0)];
        })"""
    )
    part = {"top": 0, "bottom": 0, "left": 0, "right": 0, "first": 7, "last": 7}
    grouped = opened.view.evaluate("(part) => seenBy(STEPS.find(({ name }) => name === 'wide'), part, 0)", part)
    assert (grouped["first"], grouped["last"]) == (3, 5)  # of six maps in two groups
    assert all(length > 25 and sees for length, sees in explained)
    assert opened.complaints == []
    opened.view.close()


def test_a_receptive_field_is_where_the_input_gradient_reaches(
    browser: Browser, composed: Compose, manifest: Manifest, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    bundle = bundle_of("resnet20", as_trained(option(composed, "resnet20", 32, 1)), manifest, 1, 10, 32)
    opened = Opened(browser, bundle, tmp_path, samples=1)
    step = opened.view.evaluate("STEPS.findLastIndex(({ op, index }) => index < STEPS.length / 2 && op === 'conv')")
    row = opened.view.evaluate(f"Math.floor(STEPS[{step}].shape[1] / 2)")
    field = opened.view.evaluate(f"receptiveFields({{ step: {step}, map: 1, row: {row}, column: 0 }}).get(0)")
    image = torch.randn(1, 1, 32, 32, requires_grad=True)
    recorder = recorded(bundle.network, image)
    value = next(recorder.env[node] for node, source in recorder.sources.items() if source.step == step)
    value[0, 1, row, 0].backward()
    assert image.grad is not None
    rows, columns = (np.flatnonzero(image.grad[0, 0].any(dim=axis)) for axis in (1, 0))
    assert field["top"] <= rows[0] <= field["top"] + 1  # a max pooling passes on one value of its window
    assert field["bottom"] - 1 <= rows[-1] <= field["bottom"]
    assert field["left"] == 0
    assert field["right"] - 1 <= columns[-1] <= field["right"]
    opened.view.close()


def test_a_person_chooses_draws_points_and_folds(browser: Browser, composed: Compose, manifest: Manifest, tmp_path: Path) -> None:
    torch.manual_seed(0)
    opened = Opened(browser, bundle_of("lenet", option(composed, "lenet", 32, 1).eval(), manifest, 1, 10, 32), tmp_path)
    view, classes = opened.view, opened.bundle.manifest.classes
    expected = [classes[int(opened.scores(image).argmax())] for image in opened.images]

    # choose
    view.get_by_role("option").nth(1).click()
    expect(view.get_by_role("option").nth(1)).to_have_attribute("aria-selected", "true")
    assert opened.answer() == expected[1]
    expect(view.locator("#answer")).to_contain_text("right" if expected[1] == classes[1] else f"wrong, it is {classes[1]}")
    view.keyboard.press("ArrowRight")
    expect(view.get_by_role("option").nth(2)).to_be_focused()
    assert opened.answer() == expected[2]

    # draw
    view.get_by_role("button", name="Clear").click()
    box = view.locator("#image-canvas").bounding_box()
    assert box
    view.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.2)
    view.mouse.down()
    view.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.8, steps=5)
    view.mouse.up()
    view.wait_for_function("state.values[0].some((x) => x > 0)")
    drawn = np.array(view.evaluate("Array.from(image.pixels)"), np.uint8).reshape(32, 32, 1)
    assert drawn[6:26, 16].min() > 200  # a stroke down the middle
    assert drawn[:, :10].max() == 0
    assert opened.answer() == classes[int(opened.scores(drawn).argmax())]
    assert view.locator("#samples [aria-selected=true]").count() == 0

    # point at a convolution's value: the window, the filter, the products and their sum
    opened.hover("c3", 5, 4, 6)
    expect(view.locator("#worked h2")).to_have_text("c3, map 5, row 4, column 6")
    grids = [
        [float(cell.get_attribute("title").replace("−", "-")) for cell in grid.locator("span").all()]
        for grid in view.locator("#worked .cells").all()
    ]
    window, weights, products = (np.array(grid) for grid in grids)
    assert np.allclose(window * weights, products, rtol=0.02, atol=1e-3)
    sums = opened.numbers(".sum b", "textContent")
    assert sum(sums[:-1]) == pytest.approx(sums[-1], abs=0.01)
    assert sums[-1] == pytest.approx(view.evaluate("state.values[state.unit.step][indexOf(STEPS[4].shape, 5, 4, 6)]"), rel=0.01)
    assert view.locator("#links line.chosen").count() == 4
    view.locator("#worked .sum button").nth(2).click()  # another map's window
    expect(view.locator("#worked figcaption").first).to_have_text("window on map 2")

    # at a fully connected unit: the largest terms, and the sum of all others
    opened.hover("f6", 3, 0, 0)
    expect(view.locator("#worked h2")).to_have_text("f6, unit 3")
    sums = opened.numbers(".sum b", "textContent")
    assert sum(sums[:-1]) == pytest.approx(sums[-1], abs=0.01)

    # hold a value, then let go of it
    opened.hover("s2", 1, 3, 3)
    view.mouse.click(**opened.point_at("s2", 1, 3, 3))
    opened.hover("c1", 0, 0, 0)
    assert opened.title() == "s2, map 1, row 3, column 3"
    [winner] = opened.numbers(".winner", "title")
    assert winner == max(opened.numbers(".cells span", "title"))
    below = """(() => {
        const { step, map, row, column } = winnerOf(state.unit, state.values);
        return state.values[step][indexOf(STEPS[step].shape, map, row, column)];
    })()"""
    assert view.evaluate(below) == pytest.approx(winner, rel=0.01)  # is marked on the map below
    view.keyboard.press("Escape")
    opened.hover("c1", 0, 0, 1)
    expect(view.locator("#worked h2")).to_have_text("c1, map 0, row 0, column 1")

    # play with a filter
    view.locator(".own summary").click()
    view.get_by_label("Filter to begin with").select_option("blur")
    opened.hover("own filter", 0, 15, 15)
    expect(view.locator("#worked h2")).to_have_text("own filter, map 0, row 15, column 15")
    [blurred] = opened.numbers(".result b", "textContent")
    [pixel] = view.evaluate("[state.values[0][15 * 32 + 15]]")
    view.get_by_label("weight in row 3, column 3: 1").click()  # the middle becomes -1
    expect(view.locator("#worked .result b")).to_have_text(re.compile(re.escape(f"{blurred - 2 * pixel:.1f}".replace("-", "−"))))

    # fold
    view.get_by_role("button", name="Fold all", exact=True).click()
    assert view.locator("details[open]").count() == 0
    expect(view.locator("#links line")).to_have_count(0)  # to what can't be seen
    view.get_by_role("button", name="Unfold all").click()
    assert view.locator("details:not([open])").count() == 0
    assert opened.complaints == []
    view.close()


def test_the_keyboard_reaches_every_value_and_draws(browser: Browser, composed: Compose, manifest: Manifest, tmp_path: Path) -> None:
    torch.manual_seed(0)
    opened = Opened(browser, bundle_of("lenet", option(composed, "lenet", 32, 1).eval(), manifest, 1, 10, 32), tmp_path)
    view = opened.view
    view.get_by_role("option").first.focus()
    view.keyboard.press("Tab")
    expect(view.locator("#image-canvas")).to_be_focused()
    before = view.evaluate("image.pixels[16 * 32 + 17]")
    view.get_by_role("button", name="Clear").press("Enter")
    view.locator("#image-canvas").focus()
    for key in ("ArrowRight", "ArrowDown", "Space"):
        view.keyboard.press(key)
    view.wait_for_function("image.pixels[17 * 32 + 17] === 255")
    assert before != 255
    view.evaluate("views[STEPS.findIndex(({ name }) => name === 'c3')].marks.focus()")
    for key in ("ArrowLeft", "ArrowUp", "PageDown", "Enter"):
        view.keyboard.press(key)
    expect(view.locator("#worked h2")).to_have_text("c3, map 1, row 4, column 4")
    expect(view.locator("#worked-body")).to_contain_text("Held")
    view.keyboard.press("Escape")
    view.evaluate("views[STEPS.findIndex(({ name }) => name === 'f6')].marks.focus()")
    view.keyboard.press("ArrowRight")
    expect(view.locator("#worked h2")).to_have_text("f6, unit 1")
    assert opened.complaints == []
    view.close()


def test_a_phone_shows_all_of_it_in_light_and_dark(browser: Browser, composed: Compose, manifest: Manifest, tmp_path: Path) -> None:
    torch.manual_seed(0)
    bundle = bundle_of("lenet", option(composed, "lenet", 32, 1).eval(), manifest, 1, 10, 32)
    opened = Opened(browser, bundle, tmp_path, viewport={"width": 400, "height": 800}, has_touch=True)
    view = opened.view
    assert view.evaluate("document.documentElement.scrollWidth") <= 400
    expect(view.locator("#worked-body")).to_be_hidden()  # a sheet at the bottom, which a touch opens
    view.touchscreen.tap(**opened.point_at("c3", 2, 4, 4))
    expect(view.locator("#worked-body")).to_be_visible()
    assert opened.title() == "c3, map 2, row 4, column 4"
    for scheme in ("light", "dark"):
        view.emulate_media(color_scheme=scheme)
        view.wait_for_function(f"(colours[LEVELS][0] > 200) === {str(scheme == 'light').lower()}")  # zero has the paper's colour
    view.get_by_role("button", name="The value in numbers").click()
    expect(view.locator("#worked-body")).to_be_hidden()
    assert opened.complaints == []
    view.close()


def test_a_file_becomes_the_pixels_that_training_would_see(browser: Browser, manifest: Manifest, tmp_path: Path) -> None:
    torch.manual_seed(0)
    bundle = bundle_of("every kind", every_kind(3, 21), manifest, 3, 2, 21)
    whole = replace(bundle.manifest, image_shape=(25, 25, 3))  # of which the network sees the middle
    bundle = replace(bundle, manifest=whole, config=bundle.config | {"training": {"input": 21}})
    opened = Opened(browser, bundle, tmp_path)
    rows, columns = np.mgrid[0:50, 0:83]
    smooth = np.stack([rows * 5, columns * 3, 255 - rows * 2], axis=-1).astype(np.uint8)
    for method, size in product(("stretch", "letterbox", "crop"), ((83, 50), (30, 14))):  # which shrinks, and one side of which grows
        opened.view.evaluate("(method) => { WALK.method = method; }", method)
        Image.fromarray(smooth).resize(size).save(tmp_path / "photo.png")
        opened.view.locator("#sample").evaluate("(element) => { element.textContent = '' }")
        opened.view.locator("#file").set_input_files([])
        opened.view.locator("#file").set_input_files(tmp_path / "photo.png")
        expect(opened.view.locator("#sample")).to_have_text("photo.png")
        expected, _ = preprocess((tmp_path / "photo.png").read_bytes(), 3, bundle.decoding(), 25, method)
        found = np.array(opened.view.evaluate("Array.from(image.pixels)")).reshape(21, 21, 3)
        assert np.abs(found - expected[2:23, 2:23]).max() <= 2, (method, size)
    (tmp_path / "no.png").write_bytes(b"no image")
    opened.view.locator("#file").set_input_files(tmp_path / "no.png")
    expect(opened.view.locator("#sample")).to_have_text("no.png is no image that this browser can read")
    assert opened.complaints == []
    opened.view.close()
