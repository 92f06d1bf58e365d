"""MLflow's pages of a project in a real browser, as a person walks through them; and the README's picture of them.

Draw the picture anew:  python -m tests.pages"""

import os
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import ConsoleMessage, Page, Response, expect, sync_playwright

from tests.project import ROOT, Project, cloned, environment, wait_for

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PATIENCE = 30_000  # ms for what a page shows, on a busy machine
MLFLOWS_OWN = re.compile(
    r"users/current|ResizeObserver loop|Failed to load resource"
)  # a failed resource is told as a response, with its address


# MLflow's own panel, which covers a third of the page the first time, as a person leaves it who has closed it.
WITHOUT_ASSISTANT = """
localStorage.setItem("mlflow.assistant.panelOpen_v1", "false");
localStorage.setItem("mlflow.assistant.fab.autoOpenedOnFirstLoad_v1", "true");
"""


class Pages:
    """The pages, opened at what `make ui` printed; everything that the browser complained of is in `errors`.

    address: of curves and pictures."""

    def __init__(self, page: Page, runs: str, address: str) -> None:
        self.page = page
        self.runs = runs
        self.address = address
        self.server = address.partition("/#")[0]
        self.errors: list[str] = []
        page.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)
        page.add_init_script(WITHOUT_ASSISTANT)
        page.on("console", self._console)
        page.on("response", self._response)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not MLFLOWS_OWN.search(message.text):
            self.errors.append(message.text)

    def _response(self, response: Response) -> None:
        if response.status >= 400 and not MLFLOWS_OWN.search(response.url):
            self.errors.append(f"{response.status} {response.url}")

    def open(self, place: str = "") -> None:
        self.page.goto(f"{self.server}/{place}" if place else self.address)

    def chart(self, title: str) -> "Chart":
        return Chart(self.page, title)


class Chart:
    """One tile of the chart view."""

    def __init__(self, page: Page, title: str) -> None:
        cards = page.get_by_test_id("experiment-view-compare-runs-card")
        self.card = cards.filter(has=page.get_by_text(title, exact=True))
        self.card.scroll_into_view_if_needed()

    def pictures(self, count: int) -> list[str]:
        """Return the addresses of the pictures shown, when there are `count` of them and all are loaded."""
        images = self.card.locator("img.rc-image-img")
        expect(images).to_have_count(count)
        for i in range(count):
            expect(images.nth(i)).to_have_js_property("complete", True)
        return [images.nth(i).get_attribute("src") or "" for i in range(count)]

    def move_to(self, step: int) -> None:
        """Move the slider to a step by the number beside it, which counts when it is left."""
        number = self.card.get_by_role("spinbutton")
        number.fill(str(step))
        number.blur()


@contextmanager
def opened(project: Project, height: int = 1000) -> Iterator[Pages]:
    """Start the pages as `make ui` does; open a browser beside them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["python", "-m", "pipeline.command.ui"]
    server = subprocess.Popen(
        command, cwd=project.root, env=environment() | {"PORT": str(port)}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert server.stdout
        runs, address = (server.stdout.readline().split()[-1] for _ in range(2))
        wait_for(port)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"] if os.geteuid() == 0 else [])
            yield Pages(browser.new_page(viewport={"width": 1400, "height": height}), runs, address)
            browser.close()
    finally:
        server.terminate()
        server.communicate()


def draw() -> None:
    """Train two networks on the digits in a scratch clone; photograph their runs side by side."""
    with tempfile.TemporaryDirectory() as folder:
        project = cloned(Path(folder) / "project")
        project.repro()
        for stage in ("train", "evaluate", "explain"):
            ran = project.live(stage, "model=lenet", "hydra.run.dir=runs/lenet")
            assert ran.code == 0, ran.output
        with opened(project, height=1250) as pages:
            pages.open()
            filters = pages.chart("filters/first_layer")
            filters.move_to(30)
            filters.pictures(2)
            pages.page.wait_for_timeout(2000)  # ms: charts grow into place
            pages.page.screenshot(path=ROOT / "docs" / "runs.png")


if __name__ == "__main__":
    draw()
