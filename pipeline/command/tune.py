"""Find the fastest settings for the configured network on this machine: python -m pipeline.command.tune [--also layout] [overrides]

Each setting trains on the prepared images for a second, in alternating rounds; the fastest is written to
conf/local/overrides.yaml. Overrides on the command line, such as model=vgg16, apply to the measurement and are not written."""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from pipeline.config.cli import entry
from pipeline.config.paths import WORKSPACE, Places
from pipeline.config.process import positive
from pipeline.config.schema import Config

if TYPE_CHECKING:
    from pipeline.command.check import Data

WORKERS, THREADS, LAYOUT, PRECISION = "machine.workers", "training.threads", "training.layout", "training.precision"
ALSO = {key.partition(".")[2]: key for key in (THREADS, LAYOUT, PRECISION)}  # these affect a training's result
CLOSE = 0.98  # of the fastest rate: within noise the config's own value, then fewer processes, is preferred
RANDOM = 50_000_000  # bytes of random images if none are prepared
EVERY = 5.0  # seconds between two lines of progress

Setting = dict[str, Any]  # dotted key -> value
Tried = tuple[Setting, float]  # images per second


def command() -> None:
    """Take this command's options off the command line and run the rest of it through Hydra."""
    given, sys.argv[1:] = _options(sys.argv[1:])

    def main(cfg: Config, places: Places) -> None:
        """Measure which machine.workers train the configured network fastest, and write that to conf/local/overrides.yaml.

        --also threads | layout | precision | all   tries these too; they are part of the result: other values give other weights
        --seconds 1   of a try
        --rounds 3    in which the tries alternate; medians count"""
        tune(cfg, places, given.also, given.seconds, given.rounds)

    entry(main)()


def _options(words: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Return this command's own options, and the arguments for Hydra."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.command.tune", add_help=False, allow_abbrev=False)
    parser.add_argument("--also", action="append", choices=[*ALSO, "all"], default=[])
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--rounds", type=positive, default=3)
    return parser.parse_known_args(words)


def tune(cfg: Config, places: Places, also: list[str], seconds: float, rounds: int) -> None:
    """Measure all settings, print the results, write the fastest."""
    from pipeline.command.check import data_of, network_of
    from pipeline.dataset.progress import Progress, Unit
    from pipeline.training.speed import Trial

    keys = [key for name, key in ALSO.items() if name in also or "all" in also]
    grids = list(_grids(cfg, keys))
    data = data_of(cfg, places)
    tries = sum(len(list(_settings(grid))) for grid in grids)
    progress = Progress("tuning", tries * rounds, Unit("tries", 1, 0), EVERY)
    best: Setting = {key: values[0] for grid in grids for key, values in grid.items()}
    with _images(cfg, places, data) as prepared:
        trial = Trial(cfg, prepared, network_of(cfg, data.classes), data.classes)

        def rate(setting: Setting) -> float:
            progress.add(1)
            return trial.rate(setting, seconds)

        for grid in grids:
            tried = compare([best | setting for setting in _settings(grid)], rate, rounds)
            best = fastest(tried)
            print("\n".join(_table(tried, best)), flush=True)
    for line in write(WORKSPACE, best):
        print(line)


def _grids(cfg: Config, keys: list[str]) -> Iterator[dict[str, list[Any]]]:
    """Yield grids of values to try, the config's own first: of what a step computes, then of threads and workers."""
    from pipeline.training.speed import cores, precisions

    options = {LAYOUT: ["channels_last", "contiguous"], PRECISION: precisions()}
    counts = [2**power for power in range(cores().bit_length()) if 2**power < cores()] + [cores()]
    sharing = {THREADS: counts, WORKERS: [0, *counts]}
    for grid in (options, sharing):
        chosen = {key: sorted(values, key=lambda value, key=key: value != value_of(cfg, key)) for key, values in grid.items()}
        if wanted := {key: values for key, values in chosen.items() if key in (*keys, WORKERS)}:
            yield wanted


def value_of(cfg: Config, key: str) -> Any:
    """Return a config value by its dotted key."""
    node, _, name = key.partition(".")
    return getattr(getattr(cfg, node), name)


def _settings(grid: dict[str, list[Any]]) -> Iterator[Setting]:
    for values in product(*grid.values()):
        yield dict(zip(grid, values, strict=True))


def compare(settings: list[Setting], rate: Callable[[Setting], float], rounds: int) -> list[Tried]:
    """Return each setting with its median rate, images per second, over alternating rounds."""
    rates: list[list[float]] = [[] for _ in settings]
    for _ in range(rounds):
        for setting, found in zip(settings, rates, strict=True):
            found.append(rate(setting))
    return [(setting, median(found)) for setting, found in zip(settings, rates, strict=True)]


def fastest(tried: list[Tried]) -> Setting:
    """Return the first setting whose rate is within noise of the fastest."""
    most = max(rate for _, rate in tried)
    return next(setting for setting, rate in tried if rate >= CLOSE * most)


def _table(tried: list[Tried], best: Setting) -> Iterator[str]:
    keys = list(best)
    yield "  ".join([*keys, "images/s"])
    for setting, rate in tried:
        cells = [str(setting[key]).rjust(len(key)) for key in keys]
        yield "  ".join([*cells, f"{rate:8,.0f}"]) + ("  fastest" if setting == best else "")


@contextmanager
def _images(cfg: Config, places: Places, data: "Data") -> Iterator[Path]:
    """Yield the folder of the prepared images, or a temporary one with random images if none are prepared for this config."""
    import tempfile

    import numpy as np

    if not data.note:
        yield places.source("prepared")
        return
    print("note: no images are prepared for this config; random ones stand in", flush=True)
    shape = (cfg.resize.size, cfg.resize.size, cfg.dataset.channels)
    count = max(cfg.training.batch_size, min(data.train, RANDOM // int(np.prod(shape))))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "train.npy", np.random.default_rng(cfg.seed).integers(0, 256, (count, *shape), np.uint8))
        np.save(folder / "train_labels.npy", np.arange(count) % data.classes)
        yield folder


def write(root: Path, setting: Setting) -> Iterator[str]:
    """Write the values that differ from conf/ to conf/local/overrides.yaml and recompose params.yaml; yield what changed.

    If that fails or is interrupted, the file is restored."""
    from pipeline.config.compose import compose, resolved
    from pipeline.config.sync import configure, override
    from pipeline.config.tree import get
    from pipeline.config.yaml_nodes import LOCAL

    yield from configure(root, in_experiment=False)  # else hand edits of params.yaml would later be lifted over this
    before = resolved(compose(root / "conf"))
    changed = {key: value for key, value in setting.items() if get(before, key) != value}
    yield from (f"{key}={value} stands in conf/ already" for key, value in setting.items() if key not in changed)
    if not changed:
        return
    told = override(root, {}, changed)
    yield from (f"written to {LOCAL}: {key}={value}" for key, value in changed.items())
    yield from told
    if parts := sorted(changed.keys() & set(ALSO.values())):
        yield f"note: {', '.join(parts)}: part of the result, so trainings give other weights than before"


if __name__ == "__main__":
    command()
