"""Values that are right each by itself and can't be together."""

from collections import Counter
from collections.abc import Iterator

from pipeline.config.errors import ConfigError
from pipeline.config.schema import Config, Dataset, Sources

SPLITS = ("train", "validation", "test")


def check_clashes(cfg: Config) -> None:
    """Raise ConfigError for the first clash, at the key that is the likelier to be wrong."""
    for key, words in [*_sources(cfg.dataset.sources), *_classes(cfg.dataset), *_splits(cfg.dataset), *_shares(cfg.dataset)]:
        raise ConfigError(f"{key} {words}", key)


def _sources(sources: Sources) -> Iterator[tuple[str, str]]:
    if sources.folder:
        return
    if not sources.mirrors:
        yield "dataset.sources.mirrors", "is empty, so dataset.sources.files can't be fetched: give one base URL or more"
    if not sources.files:
        yield "dataset.sources.files", "is empty and dataset.sources.folder is null, so there is nothing to fetch"
    for name in _twice([file.name for file in sources.files.values()]):
        yield "dataset.sources.files", f"names {name} twice, and each file needs a name of its own"


def _classes(dataset: Dataset) -> Iterator[tuple[str, str]]:
    classes = dataset.classes
    if classes is None:
        return
    if len(classes) < 2:
        yield "dataset.classes", f"names {len(classes)}, and a network needs two or more to tell apart"
    if not all(name.strip() for name in classes):
        yield "dataset.classes", "holds an empty name"
    for name in _twice(classes):
        yield "dataset.classes", f"names {name} twice"


def _splits(dataset: Dataset) -> Iterator[tuple[str, str]]:
    if not dataset.splits:
        return
    for name in dataset.splits:
        if name not in SPLITS:
            yield f"dataset.splits.{name}", f"must be one of {', '.join(SPLITS)}"
    if "train" not in dataset.splits:
        yield "dataset.splits", "names no train, so there are no images to train on"
    for where in _twice(list(dataset.splits.values())):
        both = [name for name, place in dataset.splits.items() if place == where]
        yield f"dataset.splits.{both[1]}", f"is {where}, as dataset.splits.{both[0]} is: the same images can't be both"


def _shares(dataset: Dataset) -> Iterator[tuple[str, str]]:
    drawn = {name: getattr(dataset.split, name) for name in ("validation", "test") if name not in (dataset.splits or {})}
    for name, value in drawn.items():
        if value == 0:
            yield f"dataset.split.{name}", f"is 0 and dataset.splits names no {name}, so no images are left for it; give a share above 0"
    if len(drawn) == 2 and sum(drawn.values()) >= 1:
        total = f"{drawn['validation']} + {drawn['test']}"
        yield "dataset.split.validation", f"and dataset.split.test must stay below 1 together, but they are {total}"


def _twice(names: list[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]
