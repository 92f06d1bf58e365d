"""Which split an image belongs to: a function of its bytes and the split's seed, so that new images move no old one."""

import hashlib

from pipeline.config.errors import DataError
from pipeline.config.schema import Split
from pipeline.dataset.manifest import SPLITS
from pipeline.dataset.readers import ALL


def assign(sha256: str, part: str, official: set[str], split: Split) -> str:
    """Return train, validation or test for one image.

    part: its official split, or ALL. official: the splits that the data set names itself.
    With split.folds, validation is one of so many equal parts of what is not test."""
    if part in ("validation", "test"):
        return part
    draw = int(hashlib.sha256(f"{split.seed}:{sha256}".encode()).hexdigest()[:13], 16) / 16**13  # uniform in [0, 1)
    if part == ALL and draw < split.test:
        return "test"
    if "validation" in official:
        return "train"
    position = (draw - split.test) / (1 - split.test) if part == ALL else draw
    is_validation = int(position * split.folds) == split.fold if split.folds else position < split.validation
    return "validation" if is_validation else "train"


def require_images(counts: dict[str, dict[str, int]], official: set[str]) -> None:
    """Raise DataError for a single class, or for a class without images in one of the splits.

    official: the splits that the data set names itself."""
    classes = list(counts["train"])
    if len(classes) < 2:
        raise DataError(f"there is only one class, {', '.join(classes)}; a network needs two or more to tell apart")
    for split in SPLITS:
        for name, images in counts[split].items():
            if not images:
                in_all = sum(of_split[name] for of_split in counts.values())
                raise DataError(f"class {name} has no images in the {split} split ({in_all} in all). {_remedy(split, split in official)}")


def _remedy(split: str, is_official: bool) -> str:
    if is_official:
        return (
            f"The data says itself which images are its {split} split, perhaps the last ones of a list in the order of the classes: "
            "shuffle them over its splits, or leave the splits to be drawn (dataset.splits: null, no split column)"
        )
    share = "test" if split == "test" else "validation"
    return f"Add images of it, raise dataset.split.{share}, or try another dataset.split.seed"
