"""What a sweep searches, from conf/search/ and the command line: its settings, and the values that keys of the config may take.

    python -m pipeline.command.sweep start rates --search rates model=lenet,cnn

A word of the command line counts more than the same key in the file; a setting that the file leaves out is that of
conf/search/default.yaml."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from yaml import MappingNode, Node, ScalarNode

from pipeline.config.compose import options, read_yaml
from pipeline.config.constraints import at_least, between, matching, one_of
from pipeline.config.errors import ConfigError
from pipeline.config.locate import listed, name_of, on_the_command_line
from pipeline.config.patterns import TIME
from pipeline.config.sweep_words import Interval, Options, Values, values_of
from pipeline.config.value_types import in_words, misfit
from pipeline.config.wording import did_you_mean, shown, unknown
from pipeline.config.yaml_nodes import Document

FOLDER = "search"  # of conf/
DEFAULT = "default"  # its file with all settings
SEED, FOLD = "seed", "dataset.split.fold"  # keys by which the trainings of one point differ
PARAMETERS, SECONDS = "parameters", "seconds"  # second objectives: of the network, and of its training
SPACE, WHEN, NAME = "space", "when", "name"  # keys of a file that are no settings


@dataclass(frozen=True)
class Settings:
    """How a sweep searches; the values stand in conf/search/."""

    first: bool  # whether the first trial is the config as it stands
    sampler: str = one_of("grid", "random", "tpe", "qmc")
    trials: int | None = at_least(1)  # points; a grid has all of its own
    time: str | None = matching(*TIME)  # after which no trial begins; null: none
    patience: int | None = at_least(1)  # points that end without a better one, after which none begins; null: as many as there are
    seed: int = at_least(0)  # of what is drawn, not of the trainings
    against: str | None = one_of(PARAMETERS, SECONDS)  # a second objective, to be small; null: none
    pruner: str = one_of("none", "median", "halving", "hyperband")
    startup: int = at_least(0)  # trials that are drawn at random before tpe, and finished before the first is pruned
    warmup: int = at_least(0)  # epochs before which no trial is pruned
    seeds: int = at_least(1)  # trainings of each point, with the seeds 0, 1, …; their mean is its score
    folds: int | None = between(2, 100)  # trainings of each point, each with another fold as validation split; null: one, with the config's
    attempts: int = at_least(1)  # of one point, where a trial is killed, hangs, or lacks the disk or the network
    silence: str = matching(*TIME)  # without the end of an epoch, after which a trial hangs


@dataclass(frozen=True)
class Entry:
    """The values of one key.

    key: as an override has it, + in front where it adds the key. place: where a person would change it.
    when: the choice of another entry without which this one has no meaning, such as optimizer=sgd."""

    key: str
    values: Values
    place: str
    when: str = ""

    @property
    def name(self) -> str:
        """What the study calls it; one key may have other values under another condition."""
        return f"{self.key} ({self.when})" if self.when else self.key


@dataclass(frozen=True)
class Search:
    """entries: the keys that vary, those with a condition last. fixed: the words that are the same for all points."""

    settings: Settings
    entries: tuple[Entry, ...]
    fixed: tuple[str, ...]
    places: Mapping[str, str] = field(default_factory=dict)  # of fixed words, where a person would change them

    @property
    def repetitions(self) -> tuple[tuple[str, ...], ...]:
        """The words that tell the trainings of one point apart: none where there is one."""
        seeds, folds = self.settings.seeds, self.settings.folds
        of_seeds = [(f"{SEED}={n}",) for n in range(seeds)] if seeds > 1 else [()]
        of_folds = [(f"{FOLD}s={folds}", f"{FOLD}={n}") for n in range(folds)] if folds else [()]
        return tuple((*fold, *seed) for fold in of_folds for seed in of_seeds)

    def as_json(self) -> dict[str, Any]:
        """Return it in plain types, without places, which differ between machines."""
        entries = [asdict(replace(entry, place="")) for entry in self.entries]
        found: dict[str, Any] = json.loads(json.dumps({"settings": asdict(self.settings), "entries": entries, "fixed": self.fixed}))
        return found

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "Search":
        """Return what `as_json` has made plain."""
        entries = tuple(Entry(**entry | {"values": _values_from(entry["values"])}) for entry in found["entries"])
        return cls(Settings(**found["settings"]), entries, tuple(found["fixed"]))


def _values_from(found: Mapping[str, Any]) -> Values:
    return Options(tuple(found["texts"])) if "texts" in found else Interval(**found)


def read_search(root: Path, name: str, words: Sequence[str], given: Mapping[str, Any]) -> Search:
    """Return the search of conf/search/<name>.yaml with the words and settings of the command line over it.

    Raises ConfigError with file and line, or the word, for what is not known or can't be searched."""
    conf = root / "conf"
    if name not in (known := options(conf, FOLDER)):
        near = did_you_mean(name, known) or ";"
        raise ConfigError(f"there is no conf/{FOLDER}/{name}.yaml{near} there are {listed(FOLDER, name, known)}")
    path = conf / FOLDER / f"{name}.yaml"
    document = Document.read(path, root)
    _check_keys(document)
    default = read_yaml(conf / FOLDER / f"{DEFAULT}.yaml")
    settings = {key: value for key, value in (default | read_yaml(path)).items() if key not in (SPACE, WHEN, NAME)}
    entries, places = _merged([*_words_of(document), *((word, on_the_command_line(word), "") for word in words)])
    search = Search(_settings({**settings, **given}, document, given), entries, tuple(places), places)
    _check(search, document)
    return search


def _check_keys(document: Document) -> None:
    if not isinstance(document.root, MappingNode):
        raise ConfigError(f"{document.shown}:1: the file must hold a mapping of settings, and the keys to vary below `{SPACE}:`")
    known = [*(setting.name for setting in fields(Settings)), SPACE, WHEN, NAME]
    for entry, _ in document.root.value:
        if entry.value not in known:
            hint = "" if did_you_mean(entry.value, known) else f"; keys of the config stand below `{SPACE}:`"
            raise ConfigError(f"{document.at(entry)}: {unknown(entry.value, 'a setting of a search', known)}{hint}")


def _settings(found: Mapping[str, Any], document: Document, given: Mapping[str, Any]) -> Settings:
    for setting in fields(Settings):
        name, value, constraint = setting.name, found[setting.name], setting.metadata.get("constraint")
        wrong = misfit(name, value, setting.type)
        if not wrong and (constraint is None or value is None or value in constraint):
            continue
        node = document.find(name)
        place = f"--{name}" if name in given else document.at(node) if node else f"conf/{FOLDER}/{DEFAULT}.yaml"
        raise ConfigError(f"{place}: {name} must be {in_words(wrong[2]) if wrong else constraint}, but it is {shown(value)}")
    return Settings(**{setting.name: found[setting.name] for setting in fields(Settings)})


Placed = tuple[str, str, str]  # word, place, condition


def _words_of(document: Document) -> Iterator[Placed]:
    yield from _pairs(document, SPACE, document.value(SPACE), "")
    conditions = document.value(WHEN)
    if conditions is not None and not isinstance(conditions, MappingNode):
        raise ConfigError(f"{document.at(conditions)}: {WHEN} must hold conditions such as optimizer=sgd, each with its keys")
    for condition, node in conditions.value if conditions else ():
        yield from _pairs(document, condition.value, node, condition.value)


def _pairs(document: Document, name: str, node: Node | None, condition: str) -> Iterator[Placed]:
    if node is not None and not isinstance(node, MappingNode):
        raise ConfigError(f"{document.at(node)}: {name} must hold keys and their values, such as optimizer.lr: interval(0.01,0.1)")
    for key, value in node.value if node else ():
        if not isinstance(value, ScalarNode):
            raise ConfigError(f"{document.at(key)}: write the values of {key.value} as on the command line, such as {key.value}: a,b")
        yield f"{key.value}={value.value}", document.at(key), condition


def _merged(placed: Sequence[Placed]) -> tuple[tuple[Entry, ...], dict[str, str]]:
    """Return the entries that vary, and fixed word -> place; of one key and condition the last counts."""
    last = {(name_of(word), condition): (word, place, condition) for word, place, condition in placed}
    entries, fixed = [], {}
    for word, place, condition in last.values():
        try:
            values = values_of(word)
        except ConfigError as error:
            raise ConfigError(f"{place}: {error}") from error
        if values is None and condition:
            values = Options((word.partition("=")[2],))
        if values is None:
            fixed[word] = place
        else:
            entries.append(Entry(word.partition("=")[0], values, place, condition))
    return tuple(sorted(entries, key=lambda entry: bool(entry.when))), fixed


def _check(search: Search, document: Document) -> None:
    """Refuse a search that has nothing to vary, no end, a grid of real numbers, or a condition that never holds."""
    if not search.entries:
        raise ConfigError(f"{document.shown}: nothing varies; give a key several values, such as model=lenet,cnn")
    settings = search.settings
    if settings.sampler != "grid" and settings.trials is None and settings.time is None and settings.patience is None:
        raise ConfigError(f"{document.shown}: the search has no end; give --trials, --time or --patience")
    if settings.against and settings.pruner != "none":
        raise ConfigError(f"{document.shown}: no trial is the worse of two objectives before its end; leave out pruner or against")
    _check_repetitions(search)
    choices = {f"{entry.key}={text}" for entry in search.entries if isinstance(entry.values, Options) for text in entry.values.texts}
    for entry in search.entries:
        if settings.sampler == "grid" and isinstance(entry.values, Interval) and entry.values.step is None:
            raise ConfigError(f"{entry.place}: a grid can't try all of an interval; list values of {entry.key}, or take --sampler tpe")
        if entry.when and entry.when not in choices:
            known = f"; the choices are {', '.join(sorted(choices))}" if choices else ""
            raise ConfigError(f"{entry.place}: {entry.when} is no choice of this search{did_you_mean(entry.when, choices) or known}")


def _check_repetitions(search: Search) -> None:
    """Refuse a key of the search by which the trainings of one point are to differ."""
    repeated = {name_of(word): word for words in search.repetitions for word in words}
    for key, place in [
        *((entry.key, entry.place) for entry in search.entries),
        *((name_of(word), place) for word, place in search.places.items()),
    ]:
        if name_of(key) in repeated:
            setting = "seeds" if name_of(key) == SEED else "folds"
            raise ConfigError(f"{place}: {setting} repeats each point by {name_of(key)}; leave one of the two out")
