"""Can the points of a search work? Each value of each key is composed and checked, as a training would be, before the first trial.

All combinations would be too many; one that can't work is a failed trial of its own."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pipeline.config.compose import compose, options, parse, resolved
from pipeline.config.errors import ConfigError, DataError
from pipeline.config.locate import Origin, located, name_of, on_the_command_line, translated
from pipeline.config.schema import Config
from pipeline.config.search import FOLDER, WHEN, Entry, Search
from pipeline.config.sweep_words import Interval, Options
from pipeline.config.tree import Tree, choices, get, has
from pipeline.config.validate import check

Words = list[str]


def check_points(search: Search, root: Path, require: Callable[[Config], None]) -> Config:
    """Raise ConfigError for the first value that can't work, with its place; return the config as it stands, with the fixed words.

    require: raises DataError for a config that has no prepared images."""
    try:
        with located(Origin(root, search.fixed)):
            accepted = check(compose(root / "conf", list(search.fixed)))
            require(parse(accepted))
    except ConfigError as error:
        raise ConfigError(_in_its_file(str(error), search)) from error
    base = parse(accepted)
    for entry in search.entries:
        for words in _probes(entry, search, root / "conf"):
            try:
                accepted = check(_composed(words, root), accepted)
                require(parse(accepted))
            except (ConfigError, DataError) as error:
                given = f"{words[-1]}: " if isinstance(error, DataError) else ""
                raise ConfigError(f"{entry.place}: {_misplaced(entry, search, root) or f'{given}{error}'}") from error
    return base


def _in_its_file(message: str, search: Search) -> str:
    """Return a message with the place of a fixed word that stands in a file."""
    for word, place in search.places.items():
        message = message.replace(on_the_command_line(word), place)
    return message


def _composed(words: Words, root: Path) -> Tree:
    try:
        return compose(root / "conf", words)
    except ConfigError as error:
        raise ((error.__cause__ and translated(error.__cause__, Origin(root, words))) or error) from error


def _probes(entry: Entry, search: Search, conf: Path) -> Iterator[Words]:
    """Yield overrides whose last is a value of the entry, the ends of its range, with each choice of its own group before it."""
    before = [*search.fixed, *([entry.when] if entry.when else [])]
    for text in _ends(entry):
        for choice in _own_choices(entry, search, conf) or [[]]:
            yield [*before, *choice, f"{entry.key}={text}"]


def _own_choices(entry: Entry, search: Search, conf: Path) -> list[Words]:
    """Return the choices of the group that a key belongs to, where that varies too and the key has no condition on it."""
    group = name_of(entry.key).partition(".")[0]
    if group == entry.key or entry.when.startswith(f"{group}="):
        return []
    varied = [other.values for other in search.entries if other.key == group and options(conf, group)]
    return [[f"{group}={text}"] for values in varied if isinstance(values, Options) for text in values.texts]


def _misplaced(entry: Entry, search: Search, root: Path) -> str:
    """Return what to do with a key that only some of the choices of its group have; nothing where that is not its fault."""
    works = {}
    for choice in _own_choices(entry, search, root / "conf"):
        try:
            works[choice[0]] = bool(compose(root / "conf", [*search.fixed, *choice, f"{entry.key}={_ends(entry)[0]}"]))
        except ConfigError:
            works[choice[0]] = False
    if len(set(works.values())) < 2:
        return ""
    have, lack = (" and ".join(choice for choice in works if works[choice] is has_it) for has_it in (True, False))
    return f"{entry.key} is a key with {have} and not with {lack}; put it below `{WHEN}:` and that condition, in a file of conf/{FOLDER}/"


def _ends(entry: Entry) -> Words:
    return [repr(entry.values.low), repr(entry.values.high)] if isinstance(entry.values, Interval) else list(entry.values.texts)


def as_it_stands(search: Search, root: Path) -> dict[str, Any]:
    """Return name -> value of the keys without a condition whose value in conf/ is among those to be tried: a text, or a number."""
    tree = resolved(compose(root / "conf", list(search.fixed)))
    found = {}
    for entry in search.entries:
        key = f"{entry.key}.name" if entry.key in choices(tree) else name_of(entry.key)
        if entry.when or not has(tree, key):
            continue
        value = get(tree, key)
        if isinstance(entry.values, Options):
            value = {None: "null", True: "true", False: "false"}.get(value, str(value)) if not isinstance(value, list | dict) else ""
            is_there = value in entry.values.texts
        else:
            is_there = isinstance(value, int | float) and value in entry.values
        if is_there:
            found[entry.name] = value
    return found
