"""How fast photos become prepared images, beside bare loops; and time and memory from 1,000 to 100,000 photos, in benchmarks/README.md.

IMAGE_DATA=FOLDER python -m benchmarks.resize BARE      FOLDER/cats-dogs holds the archive, BARE is the bare loops' script

Every copy of a photo has bytes of its own, so none is taken from another's work."""

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from benchmarks.page import publish

ROOT = Path(__file__).resolve().parents[1]
SIZE = 64  # pixels
PHOTOS = 15_000  # of the comparison: ten times the archive's, so that starting processes weighs little
ROUNDS = 3  # alternating
OURS, WHOLE = "ours: decode, orient, checksum, shrink, miniature, write", "ours: the whole stage"
SCALE = (1_000, 10_000, 100_000)  # photos

LOOP = """
import json, os, sys, tempfile, time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from pipeline.config.compose import compose, parse, resolved
from pipeline.dataset.prepare import CHUNK, Settings, _begin_worker, make_chunk
from pipeline.dataset.readers import read

raw, size = Path(sys.argv[1]), sys.argv[2]
cfg = parse(resolved(compose(Path("conf"), ["dataset=folder", f"resize.size={size}"])))
items = read(raw, cfg.dataset)
parts = [items[start : start + CHUNK] for start in range(0, len(items), CHUNK)]
with ProcessPoolExecutor(mp_context=get_context("forkserver"), initializer=_begin_worker, initargs=(os.getpid(),)) as pool:
    for _ in range(2):  # the second round counts, as in the bare loops
        with tempfile.TemporaryDirectory(dir=raw.parent) as folder:
            start = time.perf_counter()
            list(pool.map(partial(make_chunk, settings=Settings.of(cfg), folder=Path(folder)), parts))
            seconds = time.perf_counter() - start
print(json.dumps({"seconds": seconds}))
"""

STAGE = """
import json, resource, sys, tempfile, time
from pathlib import Path
from pipeline.config.compose import compose, parse, resolved
from pipeline.dataset.resize import resize

raw, size = Path(sys.argv[1]), sys.argv[2]
cfg = parse(resolved(compose(Path("conf"), ["dataset=folder", "dataset.twins.across=keep", f"resize.size={size}"])))
with tempfile.TemporaryDirectory(dir=raw.parent) as folder:
    top = Path(folder)
    (top / "prepared").mkdir()
    start = time.perf_counter()
    manifest = resize(cfg, raw, top / "prepared", top / "data.html", top / "chunks")
    seconds = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"seconds": seconds, "memory": peak}))
"""


def copies(photos: list[Path], count: int, folder: Path) -> Path:
    """Fill folder/<class> with `count` photos, each with some bytes of its own after its end."""
    for i in range(count):
        photo = photos[i % len(photos)]
        target = folder / photo.parent.name / f"{i}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(photo.read_bytes() + i.to_bytes(4, "big"))
    return folder


def ours(work: str, folder: Path) -> dict[str, float]:
    """Return the seconds of LOOP or STAGE, and of the latter the main process's largest memory in MiB."""
    command = [sys.executable, "-c", work, str(folder), str(SIZE)]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])


def bare(script: str, folder: Path) -> dict[str, float]:
    """Return the bare loops' images per second."""
    command = [sys.executable, script, str(folder), "--size", str(SIZE), "--processes", str(os.cpu_count())]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def comparison(script: str, folder: Path) -> list[str]:
    """Return a table of images per second, medians of alternating rounds."""
    rates: dict[str, list[float]] = {OURS: [], WHOLE: [], "scaled": [], "full": [], "pillow": []}
    for number in range(ROUNDS):
        rates[OURS].append(PHOTOS / ours(LOOP, folder)["seconds"])
        loops = bare(script, folder)
        for name in ("scaled", "full", "pillow"):
            rates[name].append(loops[name])
        rates[WHOLE].append(PHOTOS / ours(STAGE, folder)["seconds"])
        print(f"round {number + 1} of {ROUNDS}: " + ", ".join(f"{name} {found[-1]:,.0f}" for name, found in rates.items()), file=sys.stderr)
    lines = ["| | images/s | ours as a part of it |", "|---|---|---|"]
    for name, found in rates.items():
        ratios = [mine / other for mine, other in zip(rates[OURS], found, strict=True)]
        share = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        lines.append(f"| {name if name in (OURS, WHOLE) else 'bare loop, ' + name} | {statistics.median(found):,.0f} | {share} |")
    return lines


def scaling(photos: list[Path], top: Path) -> list[str]:
    """Return a table of time and memory by the number of photos."""
    lines = ["| photos | seconds | images/s | main process, MiB |", "|---|---|---|---|"]
    for count in SCALE:
        folder = copies(photos, count, top / f"{count}")
        found = ours(STAGE, folder)
        lines.append(f"| {count:,} | {found['seconds']:.1f} | {count / found['seconds']:,.0f} | {found['memory']:.0f} |")
        print(lines[-1], file=sys.stderr, flush=True)
        shutil.rmtree(folder)
    return lines


def main() -> None:
    archive = Path(os.environ["IMAGE_DATA"]) / "cats-dogs" / "cats-dogs.tar.gz"
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        with tarfile.open(archive) as files:
            files.extractall(top / "originals", filter="data")
        photos = sorted((top / "originals").rglob("*.jpg"))
        compared = comparison(sys.argv[1], copies(photos, PHOTOS, top / "compared"))
        shutil.rmtree(top / "compared")
        scaled = scaling(photos, top)
    text = "\n".join(
        [
            f"{PHOTOS:,} photos (the 1,500 of cats-dogs, ten times over, no two of the same bytes) to {SIZE} x {SIZE} pixels on "
            f"{os.cpu_count()} cores ({platform.machine()}). Loops run with processes that have started, the second round counts. "
            "Ours also checks for damage, "
            "and makes a checksum and what twins are found by; the whole stage also starts its processes, finds twins, splits, packs, "
            "and writes tables and the page.",
            "",
            *compared,
            "",
            "Time and memory by the number of photos:",
            "",
            *scaled,
            "",
        ]
    )
    publish("Photos to prepared images", "IMAGE_DATA=FOLDER python -m benchmarks.resize SCRIPT", text)


if __name__ == "__main__":
    main()
