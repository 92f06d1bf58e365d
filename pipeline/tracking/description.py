"""The description on MLflow's page of a run, in Markdown, from what the store has of it: network and data, the result with its interval,
what is unusual, what differs from conf/, and the command that repeats it."""

import json
import shlex
from collections.abc import Iterator
from typing import Any

from mlflow.entities import Run

from pipeline.analysis.metrics import exact_interval
from pipeline.analysis.tta import PLAIN
from pipeline.config.splits import SPLITS
from pipeline.config.wording import counted
from pipeline.tracking.events import CHANGED, COMMAND, ERROR, RESTORED, RESUMED

SHORT = 8  # characters of a commit
STATES = {"RUNNING": "still training", "FAILED": "failed", "KILLED": "ended before its time"}

# Tag, its value, and what it says of a figure.
UNUSUAL = (
    ("dirty", "true", "the code had changes that were not committed, so no commit says what ran"),
    ("commit", "not in git", "the code was not in git, so no commit says what ran"),
    (RESUMED, "true", "the training was stopped and resumed"),
    (RESTORED, "true", "the run was made from a bundle, without the times of its training"),
    ("repeatable", "false", "a budget of time ended the training, so the same command may train for other epochs"),
)


def description(run: Run, state: str) -> str:
    """Return the description of a training's run; nothing for a run without a network. state: MLflow's, as it will be."""
    if "model.name" not in run.data.params:
        return ""
    parts = [_subject(run), "\n".join(f"- {line}" for line in _results(run, state))]  # MLflow folds what follows these
    if unusual := list(_unusual(run)):
        parts.append("\n".join(["### Unusual", *(f"- {line}" for line in unusual)]))
    if CHANGED in run.data.tags:
        words = shlex.split(run.data.tags[CHANGED])
        lines = [f"- {_code(word)}" for word in words] or ["- nothing"]
        parts += ["\n".join(["### Different from conf/", *lines]), f"### To repeat it\n{_repeat(run)}"]
    return "\n\n".join(parts)


def _subject(run: Run) -> str:
    params = run.data.params
    network, data, seed = (_plain(params.get(key, "?")) for key in ("model.name", "dataset.name", "seed"))
    return f"**{network}** trained on **{data}**{_counts(run)}, seed {seed}."


def _counts(run: Run) -> str:
    profile = _profile(run)
    if not profile:
        return ""
    height, width, channels = profile["shape"]
    images = ", ".join(f"{profile['images'][split]:,} {split}" for split in SPLITS)
    return f" (images: {images}; {width} x {height} pixels, {'gray' if channels == 1 else 'colour'})"


def _profile(run: Run) -> dict[str, Any]:
    """Return what the store has of a run's images; nothing where it lacks them."""
    found = run.inputs.dataset_inputs if run.inputs else []
    return json.loads(found[0].dataset.profile or "{}") if found else {}


def _results(run: Run, state: str) -> Iterator[str]:
    metrics, images = run.data.metrics, _profile(run).get("images", {})
    if state in STATES:
        reason = run.data.tags.get(ERROR) or run.data.tags.get("pruned")
        yield f"{STATES[state]}{f': {_plain(reason)}' if reason else ''}"
    for split, metric in (("test", "test/accuracy"), ("validation", "best/validation/accuracy")):
        if metric in metrics:
            strong = "**" if split == "test" or "test/accuracy" not in metrics else ""
            yield f"{strong}{split} accuracy {metrics[metric]:.4f}{strong}{_interval(run, metrics[metric], images.get(split))}"
    if "best/epoch" in metrics:
        yield f"weights of epoch {metrics['best/epoch']:.0f}, the best by {_plain(run.data.params.get('training.monitor', '?'))}"


def _interval(run: Run, accuracy: float, images: int | None) -> str:
    """Return the confidence interval of an accuracy as words; none for a debug run, which may have seen fewer images."""
    if not images or "debug" in run.data.tags:
        return ""
    level = float(run.data.params.get("evaluate.confidence", 0.95))
    low, high = exact_interval(round(accuracy * images), images, level)
    return f" ({level:.0%} interval {low:.4f} to {high:.4f}, {counted(images, 'image')})"


def _unusual(run: Run) -> Iterator[str]:
    tags, params = run.data.tags, run.data.params
    yield from (words for tag, value, words in UNUSUAL if tags.get(tag) == value)
    if "debug" in tags:
        yield f"a debug run ({_plain(tags['debug'])}): its figures compare with no other's"
    if "uncertain" in tags:
        yield _plain(tags["uncertain"])
    if params.get("dataset.splits.test") and params.get("dataset.splits.test") == params.get("dataset.splits.validation"):
        yield "the test images chose the epoch too, so its test accuracy is too high"
    if tags.get("tta", PLAIN) != PLAIN:
        yield f"the test accuracy is with test-time augmentation ({_plain(tags['tta'])})"


def _repeat(run: Run) -> str:
    commit = run.data.tags.get("commit", "")
    lines = [] if " " in commit or not commit else [f"git checkout {commit[:SHORT]}"]
    return "\n".join(["```sh", *lines, run.data.tags[COMMAND], "```"])


def _code(text: str) -> str:
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def _plain(text: str) -> str:
    """Return a text with Markdown's signs escaped, so that a name or an error does not format the page."""
    return "".join(f"\\{sign}" if sign in "\\`*_[]<>#|" else sign for sign in " ".join(text.split()))
