"""How far a small validation split can be trusted to choose the epoch, and what helps."""

import math

from pipeline.config.counted import counted
from pipeline.dataset.manifest import Manifest

ACCURACY = 0.9  # share of right answers, for which the uncertainty is told: of a network that has learnt something
LEVEL = 1.96  # standard deviations, which hold 95 % of a normal distribution
FOLDS = 5  # as cross-validation is mostly done; each training keeps four fifths of the images


def doubt(manifest: Manifest) -> str | None:
    """Return what somebody should know before trusting the choice of the epoch; None where resize.few_validation images chose it."""
    images = manifest.images("validation")
    if images >= manifest.made_from["resize"]["few_validation"]:
        return None
    points = 100 * LEVEL * math.sqrt(ACCURACY * (1 - ACCURACY) / images)
    return (
        f"only {counted(images, 'validation image chooses', 'validation images choose')} the epoch: an accuracy of {ACCURACY} "
        f"on {'it' if images == 1 else 'them'} is known to about {points:.0f} points, "
        f"and epochs that lie closer are told apart by chance{_way_out(manifest)}"
    )


def _way_out(manifest: Manifest) -> str:
    dataset = manifest.made_from["dataset"]
    if "validation" in (dataset["splits"] or {}) or dataset["split"]["folds"]:
        return ""
    # A manifest does not know what the table says.
    start = "Where the table names no validation images itself, with" if "split" in (dataset["columns"] or {}) else "With"
    smallest = min(sum(of_class[name] for part, of_class in manifest.counts.items() if part != "test") for name in manifest.classes)
    folds = min(FOLDS, smallest)
    return (
        f". {start} dataset.split.folds={folds}, one training for each dataset.split.fold from 0 to {folds - 1}, every image that is not "
        "test is validated once"
    )
