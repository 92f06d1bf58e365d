"""Is the best run really better than another? Their answers on the same test images, from the reports in MLflow."""

import csv
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.analysis.paired import LEVEL, Paired, mcnemar
from pipeline.config.wording import counted
from pipeline.tracking.comparison import Figure, TrackedRun, differing
from pipeline.tracking.tables import NONE, Section, headings

if TYPE_CHECKING:
    from pipeline.tracking.store import Store

PREDICTIONS = "reports/predictions.csv"  # an artifact of every evaluated run
SEED = {"seed"}  # what differs between the runs of a group


@dataclass(frozen=True)
class Answers:
    """What a run said of the test images, in their order."""

    images: list[tuple[str, str]]  # path and class
    right: NDArray[np.bool_]  # (N,)


def answers(store: "Store", run: TrackedRun) -> Answers | None:
    """Return a run's answers on its test images; None: it was not evaluated, or the report is gone."""
    from mlflow.exceptions import MlflowException

    if not any(metric.startswith("test/") for metric in run.metrics):
        return None
    with TemporaryDirectory() as folder:
        try:
            path = Path(store.client.download_artifacts(run.id, PREDICTIONS, folder))
            with path.open(newline="", encoding="utf-8") as table:
                rows = list(csv.DictReader(table))
        except (MlflowException, OSError):
            return None
    return Answers([(row["path"], row["actual"]) for row in rows], np.array([row["actual"] == row["predicted"] for row in rows]))


def against_best(runs: list[TrackedRun], found: list[Answers | None]) -> tuple[int, dict[int, Paired]] | None:
    """Return the run with the most right answers, and how it stands to each other one on the same test images, by their indices.

    None: no two runs have answers on the same images."""
    known = {i: answer for i, answer in enumerate(found) if answer is not None and len(answer.right)}
    if not known:
        return None
    best = max(known, key=lambda i: known[i].right.mean())
    others = {i: other for i, other in known.items() if i != best and other.images == known[best].images}
    return (best, {i: mcnemar(known[best].right, other.right) for i, other in others.items()}) if others else None


def difference_section(runs: list[TrackedRun], found: list[Answers | None]) -> Section | None:
    """Return whether the best run's test accuracy is really better than each other's, in words; None: nothing can be compared."""
    compared = against_best(runs, found)
    if compared is None:
        return None
    best, pairs = compared
    names = headings(runs)
    level = LEVEL / len(pairs)
    cells = [NONE] * len(runs)
    cells[best] = "the best"
    for i, pair in pairs.items():
        low, high = pair.interval(level)
        cells[i] = f"{_points(-pair.difference)} ({_points(-high)} to {_points(-low)})"
    images = next(iter(pairs.values())).images
    notes = [
        f"points of test accuracy, with {100 * (1 - LEVEL):.0f} % intervals, on the same {counted(images, 'image')} (McNemar's test"
        + (f", corrected for {len(pairs)} comparisons)" if len(pairs) > 1 else ")"),
        *(verdict(names[best], names[i], pair, level) for i, pair in pairs.items()),
    ]
    return Section("is the best really better?", {"to the best": cells}, notes)


def _points(share: float) -> str:
    """Return a difference of shares in percentage points, with its sign; no "-0.0"."""
    return f"{round(100 * share, 1) + 0.0:+.1f}"


def verdict(best: str, other: str, pair: Paired, level: float) -> str:
    """Say whether one run is better than another. level: of false alarms, for this comparison."""
    low, high = pair.interval(level)
    alone = f"{pair.only_first} images only {best} gets right, {pair.only_second} only {other}"
    if pair.p < level:
        return f"{best} is better than {other}: {100 * pair.difference:+.1f} points, {100 * low:.1f} to {100 * high:.1f} ({alone})"
    needed = pair.images_needed(level)
    if needed is None:
        same = "the same images right" if not pair.only_first else f"equally many right ({alone})"
        return f"can't tell {best} from {other}: {same}"
    more = max(0, needed - pair.images)
    ask = f"about {more:,} more test images would show a difference of this size" if more else "other test images may decide"
    return f"can't tell {best} from {other}: {100 * pair.difference:+.1f} points, {100 * low:.1f} to {100 * high:.1f}; {ask}"


def seed_sentences(runs: list[TrackedRun], accuracy: Figure | None) -> list[str]:
    """Return mean and deviation of the test accuracy over runs that differ in their seed alone; of equal seeds the first run counts."""
    groups: list[list[int]] = []
    for i, run in enumerate(runs):
        for group in groups:
            if set(differing([runs[group[0]], run])) <= SEED and runs[group[0]].tags.get("data_digest") == run.tags.get("data_digest"):
                group.append(i)
                break
        else:
            groups.append([i])
    sentences = []
    for group in groups:
        tested = [i for i in group if accuracy is not None and accuracy.values[i] is not None]
        by_seed = {runs[i].params.get("seed"): i for i in reversed(tested)}
        if len(by_seed) > 1 and accuracy is not None:
            known = [value for i in by_seed.values() if (value := accuracy.values[i]) is not None]
            names = ", ".join(runs[i].name for i in sorted(by_seed.values()))
            sentences.append(
                f"{counted(len(known), 'seed')} of one config ({names}): test accuracy {fmean(known):.4f} ± {stdev(known):.4f}"
            )
    return sentences
