"""A photo that the network is asked about is the same to the pixel as when it was prepared for the training."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image
from torch import Tensor, nn

from pipeline.bundle import Bundle
from pipeline.dataset.photos import Photo
from pipeline.dataset.prepare import Chunk, Settings, make_chunk
from pipeline.dataset.records import File, Sample
from pipeline.inference import predict_images
from pipeline.prediction import Prediction, Unreadable, predict
from tests.conftest import MakeConfig
from tests.samples import encoded

SIDE = 24
SIZES = [(403, 301), (301, 403), (97, 50), (51, 51), (24, 24), (17, 90), (5, 3)]  # reduced JPEGs by 8, 4 and 2, whole ones, small ones
KINDS = ("photo", "turned", "gray", "palette", "clear", "sixteen bits", "cmyk")


def picture(kind: str, width: int, height: int) -> bytes:
    rng = np.random.default_rng([width, height])
    rough = Image.fromarray(rng.integers(0, 256, (max(2, height // 3), max(2, width // 3), 4), dtype=np.uint8))
    image = rough.resize((width, height), Image.Resampling.BICUBIC)
    if kind == "turned":
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 6
        return encoded(image.convert("RGB"), "JPEG", exif=exif)
    if kind == "sixteen bits":
        return encoded(Image.fromarray(rng.integers(0, 2**16, (height, width), dtype=np.uint16)), "PNG")
    if kind in ("photo", "gray", "cmyk"):
        return encoded(image.convert({"photo": "RGB", "gray": "L", "cmyk": "CMYK"}[kind]), "JPEG", quality=90)
    return encoded(image if kind == "clear" else image.convert("RGB").quantize(30), "PNG")


class Looking(nn.Module):
    """Keeps what the network is given."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(images.clone())
        return torch.zeros(len(images), 2)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("photos")
    paths = [folder / f"{kind} {width}x{height}" for kind in KINDS for width, height in SIZES]
    for path in paths:
        kind, _, size = path.name.rpartition(" ")
        path.write_bytes(picture(kind, *map(int, size.split("x"))))
    return paths


def seen_by(bundle: Bundle, look: Callable[[Bundle], object]) -> Tensor:
    """Return what the network is given, (B, C, H, W), when the bundle is looked at."""
    network = Looking()
    look(replace(bundle, network=network))
    return torch.cat(network.seen)


SETTINGS = [
    ("stretch", 3, {}),
    ("letterbox", 3, {}),
    ("crop", 3, {}),
    ("crop", 1, {}),
    ("letterbox", 1, {"background": [0, 200, 90], "smallest_side": 4}),
    ("stretch", 3, {"background": [0, 200, 90], "sixteen_bit": "refuse", "max_pixels": 100_000}),
]


@pytest.mark.parametrize(("method", "channels", "decoding"), SETTINGS)
def test_a_photo_is_predicted_from_the_pixels_that_the_preparation_makes_of_it(
    method: str, channels: int, decoding: dict[str, Any], config: MakeConfig, bundle: Bundle, photos: list[Path], tmp_path: Path
) -> None:
    how = replace(config().decode, **decoding)
    samples = [Sample(path.name, "cat", "all", File(path.parent, path.name)) for path in photos]
    chunk = Chunk.read(make_chunk(samples, Settings(how, channels, SIDE, method), tmp_path))
    shape, made_from = (SIDE, SIDE, channels), bundle.manifest.made_from | {"decode": asdict(how)}
    manifest = replace(bundle.manifest, image_shape=shape, method=method, mean=[0.0] * channels, std=[1.0] * channels, made_from=made_from)
    trained = replace(bundle, manifest=manifest)

    answers: list[Prediction | Unreadable] = []
    found = seen_by(trained, lambda bundle: answers.extend(predict(bundle, [Photo.at(path) for path in photos], 16, "plain")))

    assert torch.equal(found, seen_by(trained, lambda bundle: predict_images(bundle, chunk.pixels, 16, "plain")))
    assert [answer.reason if isinstance(answer, Unreadable) else "" for answer in answers] == chunk.reasons
    assert len(chunk.pixels) >= 28  # most, whatever these settings refuse
