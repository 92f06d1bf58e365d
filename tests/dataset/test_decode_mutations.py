"""Damaged files by the thousand, in a process of its own under limits: none ends it, hangs it or fills its memory."""

import resource
import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.config.schema import Decode
from pipeline.dataset.decode import FORMATS, Refused, decode
from tests.samples import encoded

SECONDS = 5  # of processor time for one file: the kernel ends the process after them
PIXELS = 4_000_000  # that a file may have here
MEMORY = 256  # MB above what the process holds before the first file: 64 bytes for each pixel
SPACE = 4 << 30  # bytes of addresses, of which WebP and AVIF take for what a header promises without using them


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """Return the bytes with a few changed, cut out, put in or cut off; half of the time near the beginning."""
    place = int(rng.integers(min(len(data), 300) if rng.random() < 0.5 else len(data)))
    length = int(rng.integers(1, 40))
    match rng.integers(5):
        case 0:
            return data[:place]
        case 1:
            return data[:place] + data[place + length :]
        case 2:
            return data[:place] + rng.bytes(length) + data[place:]
        case 3:
            return data[:place] + rng.bytes(length) + data[place + length :]
    changed = bytearray(data)
    for i in rng.integers(len(data), size=rng.integers(1, 9)):
        changed[i] = rng.choice([0, 1, 127, 128, 255, changed[i] ^ 1 << rng.integers(8)])
    return bytes(changed)


def outcomes(originals: list[bytes], each: int, how: Decode) -> tuple[Counter[str], int]:
    """Decode each file in so many mutations; return how many were decoded and refused, and the memory that it took in MB."""
    resource.setrlimit(resource.RLIMIT_AS, (SPACE, SPACE))
    before, counts, rng = resident(), Counter[str](), np.random.default_rng(0)
    for data in originals:
        for _ in range(each):
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            try:
                picture = decode(mutated(data, rng), int(rng.choice([1, 3])), how, rng.choice([None, 8]))
                assert picture.pixels.ndim == 3
                counts["decoded"] += 1
            except Refused as reason:
                counts["refused" if str(reason) else "refused without a reason"] += 1
    signal.setitimer(signal.ITIMER_PROF, 0)
    return counts, resident() - before


def resident() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def in_a_child(originals: list[bytes], each: int, how: Decode) -> tuple[Counter[str], int]:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(outcomes, originals, each, replace(how, max_pixels=PIXELS)).result()


def small_files() -> Iterator[bytes]:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 33, 3), dtype=np.uint8))
    for kind in FORMATS:
        yield encoded(noise, kind)
    for kind in ("GIF", "WEBP", "PNG", "TIFF", "MPO"):
        yield encoded(noise, kind, save_all=True, append_images=[noise.rotate(90), noise])
    for mode, kind in (("CMYK", "JPEG"), ("L", "JPEG"), ("P", "PNG"), ("LA", "PNG"), ("RGBA", "WEBP"), ("1", "TIFF"), ("I;16", "PNG")):
        yield encoded(noise.convert("L").convert(mode) if mode == "I;16" else noise.convert(mode), kind)
    for compression in ("tiff_lzw", "tiff_deflate", "packbits", "jpeg"):
        yield encoded(noise, "TIFF", compression=compression)
    yield encoded(noise, "JPEG", progressive=True)


def test_two_thousand_damaged_files_are_decoded_or_refused_within_time_and_memory(how: Decode) -> None:
    originals = list(small_files())
    counts, memory = in_a_child(originals, 84, how)
    assert counts.total() == 84 * len(originals) >= 2_000
    assert counts.keys() == {"decoded", "refused"}
    assert memory <= MEMORY


@pytest.mark.slow
def test_two_thousand_damaged_odd_images_are_decoded_or_refused_within_time_and_memory(odd_images: Path, how: Decode) -> None:
    originals = [path.read_bytes() for path in sorted(odd_images.glob("*/*"))]
    counts, memory = in_a_child(originals, 40, how)
    assert counts.total() == 40 * 55 >= 2_000
    assert counts.keys() == {"decoded", "refused"}
    assert memory <= MEMORY
