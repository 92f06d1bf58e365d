"""How fast photos become prepared images, beside bare loops; and time and memory from 1,000 to 100,000 photos, in benchmarks/resize.md.

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

ROOT = Path(__file__).resolve().parents[1]
SIZE = 64  # pixels
PHOTOS = 15_000  # of the comparison: ten times the archive's, so that starting processes weighs little
ROUNDS = 5  # alternating
SCALE = (1_000, 10_000, 100_000)  # photos

WORK = """
import json, resource, sys, tempfile, time
from pathlib import Path
from pipeline.config.composition import compose, parse, resolved
from pipeline.dataset.resize import resize

raw, size = Path(sys.argv[1]), sys.argv[2]
cfg = parse(resolved(compose(Path("conf"), ["dataset=folder", f"resize.size={size}"])))
with tempfile.TemporaryDirectory(dir=raw.parent) as folder:
    top = Path(folder)
    (top / "prepared").mkdir()
    start = time.perf_counter()
    manifest = resize(cfg, raw, top / "prepared", top / "data.html", top / "chunks")
    seconds = time.perf_counter() - start
peak = [resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(json.dumps({"seconds": seconds, "main": peak[0], "worker": peak[1]}))
"""


def copies(photos: list[Path], count: int, folder: Path) -> Path:
    """Fill folder/<class> with `count` photos, each with some bytes of its own after its end."""
    for i in range(count):
        photo = photos[i % len(photos)]
        target = folder / photo.parent.name / f"{i}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(photo.read_bytes() + i.to_bytes(4, "big"))
    return folder


def ours(folder: Path) -> dict[str, float]:
    """Return the seconds of a whole resize, and the largest memory of its processes in MiB."""
    done = subprocess.run([sys.executable, "-c", WORK, str(folder), str(SIZE)], cwd=ROOT, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def bare(script: str, folder: Path) -> dict[str, float]:
    """Return the bare loops' images per second."""
    command = [sys.executable, script, str(folder), "--size", str(SIZE), "--processes", str(os.cpu_count())]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def comparison(script: str, folder: Path) -> list[str]:
    """Return a table of images per second, medians of alternating rounds."""
    rates: dict[str, list[float]] = {"this project": [], "scaled": [], "full": [], "pillow": []}
    ratios: dict[str, list[float]] = {"scaled": [], "full": [], "pillow": []}
    for number in range(ROUNDS):
        rates["this project"].append(PHOTOS / ours(folder)["seconds"])
        loops = bare(script, folder)
        for name, ratio in ratios.items():
            rates[name].append(loops[name])
            ratio.append(rates["this project"][-1] / loops[name])
        print(f"round {number + 1} of {ROUNDS}: {rates['this project'][-1]:,.0f} images/s, {loops}", file=sys.stderr, flush=True)
    lines = ["| | images/s | this project's, as a part of it |", "|---|---|---|"]
    for name, found in rates.items():
        share = f"{statistics.median(ratios[name]):.2f} ({min(ratios[name]):.2f} to {max(ratios[name]):.2f})" if name in ratios else ""
        lines.append(f"| {name if name == 'this project' else 'bare loop, ' + name} | {statistics.median(found):,.0f} | {share} |")
    return lines


def scaling(photos: list[Path], top: Path) -> list[str]:
    """Return a table of time and memory by the number of photos."""
    lines = ["| photos | seconds | images/s | main process, MiB | largest worker, MiB |", "|---|---|---|---|---|"]
    for count in SCALE:
        folder = copies(photos, count, top / f"{count}")
        found = ours(folder)
        lines.append(
            f"| {count:,} | {found['seconds']:.1f} | {count / found['seconds']:,.0f} | {found['main']:.0f} | {found['worker']:.0f} |"
        )
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
            "# Photos to prepared images",
            "",
            f"{PHOTOS:,} photos (the 1,500 of cats-dogs, ten times over, no two of the same bytes) to {SIZE} x {SIZE} pixels on "
            f"{os.cpu_count()} cores ({platform.machine()}). This project: the whole stage, with the start of its processes, checksums, "
            "orientation, damage checks, twins, split, statistics, tables and the page; the bare loops: decode, shrink, write.",
            "",
            *compared,
            "",
            "Time and memory by the number of photos:",
            "",
            *scaled,
            "",
        ]
    )
    (ROOT / "benchmarks" / "resize.md").write_text(text)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
