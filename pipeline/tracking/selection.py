"""What a version of the registry was selected by, and whether two of them compare. The tags that say so are its whole memory."""

import json
import math
from collections.abc import Mapping
from typing import Any

from pipeline.config.composition import leaves
from pipeline.tracking.comparison import lower_is_better

Tags = Mapping[str, str]

DATA, METRIC, LOSS = "data_digest", "selected_by", "loss"  # a version's tags; the metric's name is one too, with its value


def grounds(config: Mapping[str, Any], data_digest: str) -> dict[str, str]:
    """Return the tags for a network that was trained with this config on this data."""
    return {DATA: data_digest} | grounds_of_run({key: str(value) for key, value in leaves(config)})


def grounds_of_run(params: Mapping[str, str]) -> dict[str, str]:
    """Return what a run's parameters say: by which metric its epoch was kept, and what its loss is."""
    found = {METRIC: params["training.monitor"]} if "training.monitor" in params else {}
    options = {key: value for key, value in params.items() if key.startswith("loss.") and key != "loss.name"}
    if not options:
        return found
    weights = {"training.balance": "weights"} if params.get("training.balance") == "weights" else {}
    return found | {LOSS: json.dumps(options | weights, sort_keys=True)}


def why_incomparable(version: Tags, champion: Tags) -> str:
    """Return why the champion's figure says nothing against the version's, or nothing where it does. version: whole."""
    metric = version[METRIC]
    if lacking := [tag for tag in (DATA, METRIC, LOSS) if tag not in champion]:
        return f"it does not say what it was selected by (tags {', '.join(lacking)})"
    if champion[DATA] != version[DATA]:
        return "it was selected on other data, so their validation figures do not compare"
    if champion[METRIC] != metric:
        return f"it was selected by {champion[METRIC]}, this one by {metric}"
    if lower_is_better(metric) and champion[LOSS] != version[LOSS]:
        return f"its loss is another function or has other options, so their {metric} does not compare"
    return "" if math.isfinite(score(champion)) else f"its {metric} is {champion.get(metric, 'not there')}, and no number"


def is_better(version: Tags, champion: Tags) -> bool:
    """Tell whether a version is better than a champion that compares with it; a tie keeps the standing one."""
    if lower_is_better(version[METRIC]):
        return score(version) < score(champion)
    return score(version) > score(champion)


def score(version: Tags) -> float:
    try:
        return float(version[version[METRIC]])
    except (KeyError, ValueError):
        return math.nan


def figures(version: Tags) -> str:
    """Return a version's figures in words. Those of test images are shown, never selected on."""
    shown = (version.get(METRIC, "validation/loss"), "test/accuracy")
    told = [f"{metric.replace('/', ' ')} {_number(version[metric])}" for metric in shown if metric in version]
    return ", ".join(told) or "no figures"


def _number(value: str) -> str:
    try:
        return f"{float(value):.4f}"
    except ValueError:
        return value
