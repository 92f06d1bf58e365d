"""Does the best trial of a sweep really differ from the second? Both networks look at the same validation images."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.analysis.metrics import exact_interval
from pipeline.analysis.paired import Paired, mcnemar, paired_t
from pipeline.analysis.tta import PLAIN
from pipeline.bundle import Bundle
from pipeline.config.wording import counted
from pipeline.dataset.manifest import Manifest
from pipeline.inference import predict_split
from pipeline.search.rows import Row

CONFIDENCE = 0.95
CHANCE = 0.05  # of so unequal numbers, above which two networks are not told apart
BATCH = 256  # images, which fit into any memory that has trained these networks


def runner_up(rows: Sequence[Row], best: Row, sign: int) -> Row | None:
    """Return the second best of the rows, of another training; None: there is none. sign: 1 where large scores are good."""
    others = [row for row in rows if row.state == "complete" and row.number != best.number and row.same_as is None]
    return max((row for row in others if row.number != best.same_as), key=lambda row: sign * (row.value or 0.0), default=None)


def verdict(best: Row, second: Row, trials: Path, prepared: Path, monitor: str) -> str:
    """Say in a sentence whether the best differs from the second. trials: the folder that holds theirs."""
    if both := sorted(best.scores.keys() & second.scores.keys() if len(best.scores) > 1 else ()):
        return _over_repetitions(best, second, both)
    if not (prepared / "manifest.json").exists():
        return f"Whether it differs from trial {second.number}, the second, can't be said: the prepared images are not here"
    folders = [trials / str(row.number if row.same_as is None else row.same_as) / "bundle" for row in (best, second)]
    if all((folder / "bundle.json").exists() for folder in folders):
        return _in_words(_paired(folders, prepared), best, second)
    images = Manifest.read(prepared).images("validation")
    if monitor != "validation/accuracy" or best.value is None:
        return f"Whether it differs from trial {second.number}, the second, can't be said: their networks are not on this machine"
    low, high = exact_interval(round(best.value * images), images, CONFIDENCE)
    return (
        f"The networks are not on this machine, so they can't be compared image by image; on {counted(images, 'validation image')} "
        f"{best.value:.4f} is known to {low:.4f} to {high:.4f} ({CONFIDENCE:.0%})"
    )


def _over_repetitions(best: Row, second: Row, both: Sequence[int]) -> str:
    first, other = (np.array([row.scores[repetition] for repetition in both]) for row in (best, second))
    mean, error, p = paired_t(first, other)
    return (
        f"Over the same {len(both)} seeds or folds, trial {best.number} differs from trial {second.number}, the second, by "
        f"{mean:+.4f} ± {error:.4f} on average (paired t test: p = {p:.2g}), so they {_told(p)}"
    )


def _told(p: float) -> str:
    return "are told apart" if p < CHANCE else "are not told apart: their order may be chance"


def _paired(folders: Sequence[Path], prepared: Path) -> Paired:
    found = [predict_split(Bundle.read(folder), prepared, "validation", BATCH, PLAIN) for folder in folders]
    first, second = (part.predicted == part.labels for part in found)
    return mcnemar(first, second)


def _in_words(paired: Paired, best: Row, second: Row) -> str:
    images = counted(paired.images, "validation image")
    if not paired.only_first + paired.only_second:
        return f"Trial {second.number}, the second, is right on the same of the {images}: their accuracy is the same"
    return (
        f"Of the {images}, trial {best.number} alone is right on {paired.only_first} and trial "
        f"{second.number}, the second, alone on {paired.only_second} (McNemar's test: p = {paired.p:.2g}), so they {_told(paired.p)}"
    )
