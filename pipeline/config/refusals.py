"""One form for every refusal of a config: where it stands, what is wrong, what was expected. Hydra's words are put into it too."""

import difflib
import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from hydra.errors import MissingConfigException, OverrideParseException

from pipeline.config.checks.keys import nearest, unknown_key, unknown_keys
from pipeline.config.composition import Tree, compose, has, in_one_line, leaves, options, put
from pipeline.config.errors import ConfigError
from pipeline.config.origin import Origin, name_of, on_the_command_line

UNKNOWN = re.compile(r"Could not (?:override|delete|delete from config\.) '([^'=]+)")
THERE = re.compile(r"An item is already at '([^']+)'")
MERGING = re.compile(r"Error merging override (.+)")
MANY, ALIKE = 12, 6  # options of a group that a line still holds; those of more that it names
IN_FILE = re.compile(r"\b[Ii]n '([\w./-]+)'")


@contextmanager
def located(origin: Origin) -> Iterator[None]:
    """Put in front of a ConfigError where its key stands; origin may be filled in meanwhile."""
    try:
        yield
    except ConfigError as error:
        told = translated(error.__cause__, origin) if error.__cause__ and not error.key else None
        raise with_place(told or error, origin) from error


def with_place(error: ConfigError, origin: Origin) -> ConfigError:
    place = origin.of(error.key) if error.key else None
    return ConfigError(f"{place}: {error}" if place else str(error))


def translated(error: BaseException, origin: Origin) -> ConfigError | None:
    """Return Hydra's refusal in the project's words and with its key; None where its own words are the best there are."""
    if isinstance(error, OverrideParseException):
        reason = in_one_line(error).partition("See https")[0].strip()
        return ConfigError(f"{on_the_command_line(error.override)}: neither group=name nor key=value: {reason}")
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options is not None:
        if error.missing_cfg_file.startswith("hydra/"):
            return _no_plugin(*error.missing_cfg_file.rpartition("/")[::2], error.options)
        if error.options:  # of which Hydra leaves out those in folders of the group
            return _no_option(*error.missing_cfg_file.partition("/")[::2], origin)
        return _no_group(*error.missing_cfg_file.rpartition("/")[::2], origin)
    in_file = IN_FILE.search(str(error))
    if found := UNKNOWN.search(str(error)):
        name = found[1].replace("/", ".")
        return _no_group(name, "", origin) if in_file else _unknown(getattr(error.__cause__, "full_key", None) or name, origin)
    if found := THERE.search(str(error)):
        return ConfigError(f"{found[1]} is there already; leave out the +", found[1])
    if found := MERGING.search(str(error)):
        return ConfigError(f"{on_the_command_line(found[1])}: {in_one_line(error.__cause__ or error)}")
    if in_file and (origin.root / f"conf/{in_file[1]}.yaml").exists():
        return ConfigError(f"conf/{in_file[1]}.yaml: {in_one_line(error).partition(f'{in_file[0]}: ')[2] or in_one_line(error)}")
    return _no_name(origin)


def _no_option(group: str, option: str, origin: Origin) -> ConfigError:
    known = options(origin.root / "conf", group)
    same_end = [name for name in known if name.split("/")[-1] == option.split("/")[-1]]
    hint = nearest(option, same_end, cutoff=0) or nearest(option, known)
    return ConfigError(f"there is no conf/{group}/{option}.yaml{hint or ';'} there are {listed(group, option, known)}", f"{group}={option}")


def listed(group: str, option: str, known: Sequence[str]) -> str:
    """Return the options of a group in a line; of many those that are spelled most alike, and how to see all."""
    if len(known) <= MANY:
        return ", ".join(known)
    alike = difflib.get_close_matches(option, known, n=ALIKE, cutoff=0)
    return f"{', '.join(alike)} and {len(known) - len(alike)} more: `ls conf/{shlex.quote(group)}`"


def _no_plugin(group: str, option: str, known: Sequence[str]) -> ConfigError:
    hint = nearest(option, known) or (
        "; joblib and submitit come with the extra `launchers` of pyproject.toml" if "launcher" in group else ""
    )
    return ConfigError(f"{group} has no option {option}, but {', '.join(sorted(known))}{hint}", f"{group}={option}")


def _no_group(group: str, option: str, origin: Origin) -> ConfigError:
    """Word the refusal of a group; Hydra looks for one that is named in a file of a folder below that folder."""
    folder, _, inner = group.rpartition("/")
    groups = sorted(path.name for path in (origin.root / "conf").iterdir() if path.is_dir())
    hint = f"; write `override /{inner}: {option}`" if folder and inner in groups else nearest(inner, groups)
    return ConfigError(f"{group} is not a group of conf/{hint}", f"{inner}={option}")


def _unknown(key: str, origin: Origin) -> ConfigError:
    """Word the refusal of a key, or a group, that the command line names and Hydra does not find."""
    base = compose(origin.root / "conf", [word for word in origin.typed if origin.is_choice(word)])
    tree: Tree = {}
    put(tree, key, None)
    if not has(base, key) and not unknown_keys(tree, base):
        return ConfigError(f"{key} is none of the keys in conf/, but it can be added: +{key}=…", key)
    return ConfigError(unknown_key(key, [*base, *(name for name, _ in leaves(base))]), key)


def _no_name(origin: Origin) -> ConfigError | None:
    """Return the refusal of a choice on the command line that is not a name, over which Hydra stumbles."""
    for word in origin.typed:
        if (options := origin.options(word)) and not origin.is_choice(word):
            few = listed(name_of(word), word.partition("=")[2], options)
            return ConfigError(f"{on_the_command_line(word)}: {name_of(word)} must be one of {few}")
    return None
