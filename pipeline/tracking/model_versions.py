"""Names of registered models, and the rule by which a version becomes champion, which goes by the versions' tags."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from pipeline.config.tree import leaves
from pipeline.tracking.comparison import lower_is_better

Tags = Mapping[str, str]

CLASSES = "{classes}"  # in tracking.model
REJECTED = re.compile(r"[/:\x00-\x1f\x7f\ud800-\udfff]")  # invalid in a model's name, or not storable in a database
MOST, LONGEST = 4, 60  # classes that are all named, and characters of the joined names
FIRST, SHORT = 2, 20  # of more classes: how many are named, and characters of each name

DATA, METRIC, LOSS = "data_digest", "selected_by", "loss"  # tags of a version, which also has one of the metric's name with its value


def model_name(wanted: str, classes: Sequence[str]) -> str:
    """Fill the class names into {classes} of tracking.model, so that two folders of photos become two models."""
    return wanted.replace(CLASSES, _joined(classes))


def _joined(classes: Sequence[str]) -> str:
    """Join class names, as in cats-dogs; where that is long or ambiguous, the first ones and a hash of all."""
    joined = "-".join(classes)
    if len(classes) <= MOST and len(joined) <= LONGEST and not any("-" in name or REJECTED.search(name) for name in classes):
        return joined
    first = "-".join(REJECTED.sub("_", name)[:SHORT] for name in classes[:FIRST])
    more = f"-and-{len(classes) - FIRST}-more" if len(classes) > FIRST else ""
    digest = sha256("\0".join(classes).encode(errors="surrogatepass")).hexdigest()
    return f"{first}{more}-{digest[:8]}"


def selection_tags(config: Mapping[str, Any], data_digest: str) -> dict[str, str]:
    """Return the selection tags of a network trained with this config on this data."""
    return {DATA: data_digest} | selection_tags_of_run({key: str(value) for key, value in leaves(config)})


def selection_tags_of_run(params: Mapping[str, str]) -> dict[str, str]:
    """Return the selection tags that follow from a run's parameters: the monitored metric, and the loss with its options."""
    found = {METRIC: params["training.monitor"]} if "training.monitor" in params else {}
    options = {key: value for key, value in params.items() if key.startswith("loss.") and key != "loss.name"}
    if not options:
        return found
    weights = {"training.balance": "weights"} if params.get("training.balance") == "weights" else {}
    return found | {LOSS: json.dumps(options | weights, sort_keys=True)}


def why_incomparable(version: Tags, champion: Tags) -> str:
    """Return why a version is not comparable with the champion, or "" where it is. version: with all selection tags."""
    metric = version[METRIC]
    if lacking := [tag for tag in (DATA, METRIC, LOSS) if tag not in champion]:
        return f"it does not say what it was selected by (tags {', '.join(lacking)})"
    if champion[DATA] != version[DATA]:
        return "it was selected on other data, so their validation figures do not compare"
    if champion[METRIC] != metric:
        return f"it was selected by {champion[METRIC]}, this one by {metric}"
    if lower_is_better(metric) and champion[LOSS] != version[LOSS]:
        return f"its loss is another function or has other options, so their {metric} does not compare"
    return "" if math.isfinite(_score(champion)) else f"its {metric} is {champion.get(metric, 'not there')}, and no number"


def is_better(version: Tags, champion: Tags) -> bool:
    """Return whether a version beats a comparable champion; a tie does not."""
    if lower_is_better(version[METRIC]):
        return _score(version) < _score(champion)
    return _score(version) > _score(champion)


def _score(version: Tags) -> float:
    try:
        return float(version[version[METRIC]])
    except (KeyError, ValueError):
        return math.nan


def figures(version: Tags) -> str:
    """Return a version's metrics for display; test metrics are never selected on."""
    shown = (version.get(METRIC, "validation/loss"), "test/accuracy")
    words = [f"{metric.replace('/', ' ')} {_number(version[metric])}" for metric in shown if metric in version]
    return ", ".join(words) or "no metrics"


def _number(value: str) -> str:
    try:
        return f"{float(value):.4f}"
    except ValueError:
        return value
