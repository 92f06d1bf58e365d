"""Are there enough images? Two classes, of each of them one in every split; what is too few is told with the number needed."""

from pipeline.config.counted import counted
from pipeline.config.errors import DataError
from pipeline.config.schema import Split
from pipeline.dataset.items import ALL
from pipeline.dataset.manifest import SPLITS
from pipeline.dataset.names import shown
from pipeline.dataset.placement import Placement
from pipeline.dataset.split import needed

MOST = 12  # classes that a message lists


def require_images(placement: Placement, counts: dict[str, dict[str, int]], split: Split) -> None:
    """Raise DataError for no class or a single one, for classes of fewer images than splits, or for one without images in a split.

    counts: split → class → images that are used."""
    classes = list(counts["train"])
    if not classes:
        raise DataError("no image has a class: the table has no rows, or none of the folders holds images")
    if len(classes) < 2:
        raise DataError(f"there is only one class, {', '.join(map(shown, classes))}; a network needs two or more to tell apart")
    official = {item.part for item in placement.items} - {ALL}
    _require_enough(placement, classes, official, split)
    for part in SPLITS:
        for name in classes:
            if not counts[part][name]:
                in_all = sum(of_part[name] for of_part in counts.values())
                remedy = _remedy(placement, name, part, official)
                raise DataError(f"class {shown(name)} has no images in the {part} split ({in_all} in all). {remedy}")


def _require_enough(placement: Placement, classes: list[str], official: set[str], split: Split) -> None:
    wanted = needed(official, split)
    found = _different(placement, wanted)
    few = [f"{shown(name)} has {found[name]} ({_first(placement, name)})" for name in classes if found[name] < wanted]
    if few:
        more = f" and {counted(len(few) - MOST, 'more class', 'more classes')}" if len(few) > MOST else ""
        raise DataError(
            f"{len(few)} of {len(classes)} classes {'has' if len(few) == 1 else 'have'} too few images: {', '.join(few[:MOST])}{more}. "
            f"Each needs {wanted} that differ, "
            f"one for each of {_wanted_for(official, split)}: add some, or leave the class out by dataset.take"
        )


def _different(placement: Placement, most: int) -> dict[str, int]:
    """Return how many images of each class are drawn from, counted up to `most`; equal bytes count once."""
    found: dict[str, set[bytes]] = {item.label: set() for item in placement.items}
    for item, record in zip(placement.items, placement.records, strict=True):
        if record["used"] and item.part in (ALL, "train") and len(found[item.label]) < most:
            found[item.label].add(record["sha256"])
    return {name: len(several) for name, several in found.items()}


def _first(placement: Placement, name: str) -> str:
    """Return where images of a class lie, as the path of its first."""
    paths = [item.path for item in placement.items if item.label == name]
    return f"{shown(paths[0])}{', …' * (len(paths) > 1)}" if paths else "none at all"


def _wanted_for(official: set[str], split: Split) -> str:
    judged = f"the dataset.split.folds={split.folds}" if split.folds else "train and validation" if official else "train, validation"
    return judged if official else f"{judged} and test"


def _remedy(placement: Placement, name: str, part: str, official: set[str]) -> str:
    twins = sum(placement.items[i].label == name and placement.drawn_name(i) == part for i in placement.left_out)
    if twins:
        are = counted(twins, "that it had there is left out, as it has", "that it had there are left out, as each has")
        return (
            f"The {are} a twin in a later split, which twins.csv lists: add images that differ more, "
            "or keep twins by dataset.twins.across=keep"
        )
    if part not in official:  # a config's splits have both, or it is refused before
        return f"The split column names no {part} images: name some, or remove the column so that the splits are drawn"
    return (
        f"The data says itself which images are its {part} split, perhaps the last ones of a list in the order of the classes: "
        "shuffle them over its splits, or leave the splits to be drawn (dataset.splits: null, no split column)"
    )
