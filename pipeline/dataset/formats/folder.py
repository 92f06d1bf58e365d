"""One sub-folder per class, images anywhere below it; official splits are folders of such sub-folders."""

from pathlib import Path

from pipeline.config.errors import DataError
from pipeline.config.schema import Dataset
from pipeline.dataset.files import names_below
from pipeline.dataset.items import ALL, File, Item, others
from pipeline.dataset.names import alike, escaped, first_of, shown


def folder(raw: Path, dataset: Dataset) -> list[Item]:
    """List every file, those outside the class folders without a class.

    Raises DataError for a split that is not there, splits of different classes, and what looks like splits taken for classes."""
    items: list[Item] = []
    names: list[str] = []
    for part, where in (dataset.splits or {ALL: "."}).items():
        found = _class_folders(raw, part, where)
        if names and found != names:
            raise DataError(_differing(where, set(found) - set(names), set(names) - set(found)))
        names = found
        for name in names:
            items += _class_items(raw, raw / where / name, part)
    return items + others(raw, items, "not in a class folder")


def _differing(where: str, here: set[str], elsewhere: set[str]) -> str:
    """Return how the classes of a split are not those of the splits before it, with those that differ alone."""
    if alike(here | elsewhere):
        one, other = (first_of(sorted(names), written=escaped) for names in (here, elsewhere))
        return (
            f"{where} has the class {one} where another split has {other}: the same letters, composed and decomposed (Unicode's NFC and "
            "NFD); rename the folders of one"
        )
    sides = ((where, here, "another split"), ("another split", elsewhere, where))
    told = [f"{who} has {first_of(sorted(names))}, which {other} has not" for who, names, other in sides if names]
    return f"{'; '.join(told)}. Every split needs the same class folders"


def _class_folders(raw: Path, part: str, where: str) -> list[str]:
    top = raw / where
    if not top.is_dir():
        raise DataError(f"dataset.splits.{part} names {where}, but there is no such folder among the images")
    found = sorted(path.name for path in top.iterdir() if path.is_dir())
    if not found:
        raise DataError(f"{where} holds no class folders; put the images of each class into a sub-folder of its own")
    return found


def _class_items(raw: Path, top: Path, part: str) -> list[Item]:
    names = names_below(top)
    if not names:
        raise DataError(
            f"class {shown(top.name)} has no images: the folder {shown(str(top.relative_to(raw)))} is empty; fill it or remove it"
        )
    if part == ALL and all(name.count("/") == 1 for name in names):
        folders = sorted({name.partition("/")[0] for name in names})
        if len(folders) < len(names):
            _refuse_hidden_splits(raw, top, folders)
    where, label = top.relative_to(raw), top.name
    paths = (f"{where}/{name}" for name in names)
    return [Item(path, label, part, File(raw, path)) for path in paths]


def _refuse_hidden_splits(raw: Path, top: Path, folders: list[str]) -> None:
    """Splits taken for classes would train a network to tell the training set from the test set."""
    siblings = sorted(str(path.relative_to(raw)) for path in top.parent.iterdir() if path.is_dir())
    raise DataError(
        f"the folder {top.name} holds no images but the folders {', '.join(folders)}. If {', '.join(siblings)} are splits, "
        f"name them: dataset.splits='{{train: {siblings[-1]}, test: {siblings[0]}}}'; if not, put the images right below their class"
    )
