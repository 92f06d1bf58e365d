"""The pictures of a run, as MLflow keeps them: each under a key, at steps."""

import re
import tempfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:  # the store's packages take seconds to import
    from pipeline.tracking.store import Store

NAME = re.compile(r"(?P<key>[^+]+)\+step\+(?P<step>\d+)\+timestamp\+(?P<time>\d+)\+[0-9a-f-]+\.png")  # as MLflow's log_image writes it
WIDEST = 1400  # pixels of a picture in a page: what a screen shows
QUALITY = 88  # of lossy WebP: letters stay clean


@dataclass(frozen=True)
class Picture:
    """A picture of a run."""

    key: str  # filters/first_layer, pictures/confusion
    step: int  # epoch; 0 also for pictures of the trained network
    path: str  # among the run's artifacts


def pictures_of(store: "Store", run: str) -> list[Picture]:
    """Return a run's pictures by key and step; of one that was logged again the latest. run: its id."""
    found: dict[tuple[str, int], tuple[int, str]] = {}
    for file in store.client.list_artifacts(run, "images"):
        if parts := NAME.fullmatch(PurePosixPath(file.path).name):
            place, logged = (parts["key"].replace("~", "/"), int(parts["step"])), (int(parts["time"]), file.path)
            found[place] = max(found.get(place, logged), logged)
    return [Picture(*place, path) for place, (_, path) in sorted(found.items())]


def as_webp(store: "Store", run: str, picture: Picture) -> bytes:
    """Return a picture as WebP, at most WIDEST pixels wide: lossless where that is smaller, as for large flat squares."""
    with tempfile.TemporaryDirectory() as folder, Image.open(Path(store.client.download_artifacts(run, picture.path, folder))) as image:
        shown = image.convert("RGB")
    shown.thumbnail((WIDEST, shown.height))
    return min((_encoded(shown, lossless=True), _encoded(shown, lossless=False)), key=len)


def _encoded(image: Image.Image, lossless: bool) -> bytes:
    stream = BytesIO()
    image.save(stream, "WEBP", lossless=lossless, quality=QUALITY)
    return stream.getvalue()
