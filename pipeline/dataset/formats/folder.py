"""Image folders: a sub-folder per class, with images anywhere below it; official splits are folders of such sub-folders."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePath

from pipeline.config.errors import DataError
from pipeline.config.schema import Dataset
from pipeline.config.splits import ALL
from pipeline.dataset.files import is_hidden, names_below
from pipeline.dataset.names import alike, escaped, first_of, shown
from pipeline.dataset.records import File, Sample, others, splits_command, suggested_splits


def folder(raw: Path, dataset: Dataset) -> list[Sample]:
    """List every file; those outside class folders have NO_CLASS.

    Raises DataError for a missing split, splits of different classes, and class folders that look like splits."""
    samples: list[Sample] = []
    names: list[str] = []
    for part, where in (dataset.splits or {ALL: "."}).items():
        found = _class_folders(raw, part, where)
        if names and found != names:
            raise DataError(_differing(where, set(found) - set(names), set(names) - set(found)))
        names = found
        if part == ALL:
            _refuse_hidden_splits(raw, PurePath(where), names, dataset)
        for name in names:
            samples += _class_samples(raw, raw / where / name, part)
    return samples + others(raw, samples, "not in a class folder")


def _differing(where: str, here: set[str], elsewhere: set[str]) -> str:
    """Describe how the classes of two splits differ."""
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


def _class_samples(raw: Path, top: Path, part: str) -> list[Sample]:
    names = names_below(top)
    if not names:
        raise DataError(
            f"class {shown(top.name)} has no images: the folder {shown(str(top.relative_to(raw)))} is empty; fill it or remove it"
        )
    where, label = top.relative_to(raw), top.name
    paths = (f"{where}/{name}" for name in names)
    return [Sample(path, label, part, File(raw, path)) for path in paths]


def _refuse_hidden_splits(raw: Path, where: PurePath, names: list[str], dataset: Dataset) -> None:
    """Refuse class folders that look like splits: a network would learn to tell the training set from the test set."""
    for top in (where, *(where / name for name in names)):
        folders = {str(top / name): _folders(raw / top / name) for name in _folders(raw / top)}
        if splits := suggested_splits(path for path, inner in folders.items() if inner):
            raise DataError(_by_name(splits, folders, dataset.name))
    if dataset.splits and len(names) > 1:
        return  # stated to be the classes
    for name in names:
        if (inner := _folders(raw / where / name)) and _holds_only(inner, names_below(raw / where / name)):
            raise DataError(_by_place(where, name, names, inner, dataset.name))


def _folders(top: Path) -> list[str]:
    with os.scandir(top) as entries:
        return sorted(entry.name for entry in entries if _is_folder(entry) and not is_hidden(PurePath(entry.name)))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a circular link, refused when it is read
        return False


def _holds_only(folders: Sequence[str], files: Sequence[str]) -> bool:
    """Return whether all files are directly in these folders, more than one in some; a folder for each image is no split."""
    return all(name.count("/") == 1 for name in files) and len(folders) < len(files)


def _by_name(splits: Mapping[str, str], folders: Iterable[str], data: str) -> str:
    told = f"{first_of(sorted(splits.values()))} look like splits, not classes. Take them as such with `{splits_command(data, splits)}`"
    drawn = "" if "validation" in splits else "; the validation images are drawn from train"
    left = [folder for folder in folders if folder not in splits.values()]
    return f"{told}{drawn}{f'; {first_of(left)} would be left out' if left else ''}. If they are classes, put their images right into them"


def _by_place(where: PurePath, name: str, names: Sequence[str], inner: Sequence[str], data: str) -> str:
    told = f"the folder {shown(name)} holds no images but the folders {first_of(inner)}"
    if len(names) == 1:
        return f"{told}. If these are the classes, type `{splits_command(data, {ALL: str(where / name)})}`"
    if suggested_splits(inner):
        return f"{told}: put the splits above the classes, {inner[0]}/{shown(name)}, then the next run says how to name them"
    given = f"dataset.splits={{train: …, test: …}}, each with one of {first_of(names)}"
    classes = splits_command(data, {ALL: str(where)})
    return f"{told}. If {first_of(names)} are splits, say which by {given}; if they are classes, type `{classes}`"
