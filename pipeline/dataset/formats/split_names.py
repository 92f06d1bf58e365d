"""Folders that are splits, by the names that people give them, and the command that names them so."""

import re
import shlex
from collections.abc import Iterable, Mapping

SPARE = "spare"  # the test split or, where there is one, the validation split
NAMES = {
    "train": {"train", "training", "trainset"},
    "validation": {"val", "valid", "validation", "dev", "valset"},
    "test": {"test", "testing", "testset"},
    SPARE: {"eval", "evaluation", "holdout"},
}
WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")  # of seg_train, TrainSet and TRAIN
PLAIN = re.compile(r"(?!(?i:null|true|false|nan|inf)$)[A-Za-z_][\w./-]*", re.ASCII)  # what Hydra reads as text without quotes


def suggested(folders: Iterable[str]) -> dict[str, str]:
    """Return split -> folder where some are called like a train split and another one, and nothing where they are not.

    Of several names for one split the shortest counts. Validation images can be drawn from train, so what is alone beside train is test."""
    found: dict[str, str] = {}
    for folder in sorted(folders, key=lambda folder: (len(folder), folder)):
        if split := split_of(folder):
            found.setdefault(split, folder)
    if spare := found.pop(SPARE, None):
        found.setdefault("validation" if "test" in found else "test", spare)
    if "test" not in found and "validation" in found:
        found["test"] = found.pop("validation")
    return {split: found[split] for split in ("train", "validation", "test") if split in found} if {"train", "test"} <= found.keys() else {}


def split_of(folder: str) -> str | None:
    """Return which split a folder is called like; none for a name with words of two."""
    words = {word.lower() for word in WORD.findall(folder.rpartition("/")[2])}
    splits = [split for split, names in NAMES.items() if not names.isdisjoint(words)]
    return splits[0] if len(splits) == 1 else None


def command(dataset: str, splits: Mapping[str, str], sign: str = "") -> str:
    """Return the experiment that takes folders for these splits, as it is typed in a shell.

    sign: + where the data set's own file names some already, to which Hydra has to be told to add."""
    told = ", ".join(f"{split}: {_in_hydra(folder)}" for split, folder in splits.items())
    return shlex.join(["dvc", "exp", "run", "-S", f"dataset={dataset}", "-S", f"{sign}dataset.splits={{{told}}}"])


def _in_hydra(text: str) -> str:
    """Return a text as Hydra's grammar has it: a quote in it, and backslashes before one, are escaped."""
    return text if PLAIN.fullmatch(text) else "'" + re.sub(r"(\\*)('|$)", r"\1\1\2", text).replace("'", r"\'") + "'"
