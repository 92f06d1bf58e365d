"""Every refusal of a config names its place: the file and line, or the word of the command line, that a person would change.

Hydra's own refusals are translated into the same form."""

import re
import shlex
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hydra.errors import MissingConfigException, OverrideParseException

from pipeline.config.compose import compose, in_one_line, options
from pipeline.config.errors import ConfigError
from pipeline.config.secrets import redact
from pipeline.config.tree import Tree, choices, get, has, leaves
from pipeline.config.validate import is_in_open_mapping, schema_keys
from pipeline.config.wording import did_you_mean, nearest, unknown
from pipeline.config.yaml_nodes import LOCAL, OVERLAYS, Document

UNKNOWN = re.compile(r"Could not (?:override|delete|delete from config\.) '([^'=]+)")
THERE = re.compile(r"An item is already at '([^']+)'")
MERGING = re.compile(r"Error merging override (.+)")
MANY, ALIKE = 12, 6  # options of a group that a line still holds; those of more that it names
IN_FILE = re.compile(r"\b[Ii]n '([\w./-]+)'")


@dataclass
class Origin:
    """What decides a config; the later fields are filled in as they become known.

    typed: the overrides of the command line. edited: keys whose value stands in params.yaml, by hand or by `dvc exp run -S`.
    tree: the composed config, which says which file of each group counts."""

    root: Path
    typed: Sequence[str] = ()
    edited: Collection[str] = ()
    tree: Tree = field(default_factory=dict)

    def of(self, key: str) -> str | None:
        """Return the place of a dotted key, or of a choice given as group=option; of a missing one, its group's file."""
        group, chosen, option = key.partition("=")
        if chosen:
            return self._of_choice(group, option)
        return next(self._places(key), None) or self._nearest(key)

    def _places(self, key: str) -> Iterator[str]:
        """Yield the places of a key, the one that counts first."""
        for word in reversed(self.typed):
            if not self.is_choice(word) and _is_of(name_of(word), key):
                yield on_the_command_line(word)
        for edited in self.edited:
            if _is_of(edited, key) and (params := self._document("params.yaml")):
                node = params.find(key) or params.deepest(edited)
                yield params.at(node) if node else "params.yaml"
        for document, inner in self._files(key):
            if node := document.find(inner):
                yield document.at(node)

    def _files(self, key: str) -> Iterator[tuple[Document, str]]:
        """Yield (file, the key's name in it) for the files of conf/ in which a key may stand, the one that counts first."""
        group, _, inner = key.partition(".")
        chosen = choices(self.tree)
        for path in (LOCAL, *(f"conf/{overlay}/{chosen.get(overlay)}.yaml" for overlay in reversed(OVERLAYS))):
            if document := self._document(path):
                yield document, key
        for document in self._brought_by(f"conf/dataset/{chosen.get('dataset')}.yaml"):
            yield document, key
        yield from self._group_files(group, chosen.get(group), inner)
        if document := self._document("conf/config.yaml"):
            yield document, key

    def _brought_by(self, path: str) -> Iterator[Document]:
        """Yield the files of whole keys that a file is built on, as folder.yaml on own_photos.yaml, and this on photos.yaml."""
        document = self._document(path)
        for entry in document.defaults() if document else ():
            name = entry.value.partition("@")[0] if isinstance(entry.value, str) else ""
            folder = "conf" if name.startswith("/") else path.rpartition("/")[0]
            if base := self._document(f"{folder}/{name.removeprefix('/')}.yaml"):
                if base.shown.count("/") == 1:  # else it is another data set, of its group's keys
                    yield base
                yield from self._brought_by(base.shown)

    def _group_files(self, group: str, option: str | None, inner: str) -> Iterator[tuple[Document, str]]:
        if option and inner and (document := self._document(f"conf/{group}/{option}.yaml")):
            yield document, inner
            for entry in document.defaults():  # what this option is built on
                if isinstance(entry.value, str) and entry.value not in ("_self_", option):
                    base = entry.value.partition("@")[0].removeprefix(f"/{group}/")  # as a file in a folder of the group may say
                    yield from self._group_files(group, base, inner)

    def _nearest(self, key: str) -> str | None:
        """Return where a key that is nowhere would stand: the line of what holds it, or its group's file."""
        group = key.partition(".")[0]
        for document, inner in self._group_files(group, choices(self.tree).get(group), key.partition(".")[2]):
            return document.at(node) if (node := document.deepest(inner)) else document.shown
        return "conf/config.yaml" if self.tree else None

    def _of_choice(self, group: str, option: str) -> str | None:
        for word in reversed(self.typed):
            if name_of(word) == group:
                return on_the_command_line(word)
        key = f"{group}.name"
        if key in self.edited and (params := self._document("params.yaml")) and (node := params.find(key)):
            return params.at(node)
        conf = self.root / "conf"
        overlays = (f"conf/{overlay}/{name}.yaml" for overlay in reversed(OVERLAYS) for name in options(conf, overlay))
        shared = (f"conf/{path.name}" for path in sorted(conf.glob("*.yaml")))  # config.yaml, photos.yaml
        for path in (LOCAL, *overlays, *shared):
            if (document := self._document(path)) and (node := document.choice(group, option)):
                return document.at(node)
        return None

    def is_choice(self, word: str) -> bool:
        """Tell whether an override of the command line chooses options of a group by name."""
        is_name = re.fullmatch(r"(?!(?i:null|true|false)$)[\w./,-]*[A-Za-z_][\w./,-]*", word.partition("=")[2])
        return bool(is_name) and self.options(word) != []

    def options(self, word: str) -> list[str]:
        """Return the options of the group that an override names, none where it names no group."""
        return options(self.root / "conf", name_of(word))

    def _document(self, path: str) -> Document | None:
        try:
            return Document.read(self.root / path, self.root)
        except (OSError, ConfigError):  # told by whoever reads it for its values
            return None


def name_of(word: str) -> str:
    """Return the key or group that an override of the command line is about."""
    return word.lstrip("+~").partition("=")[0].partition("@")[0]


def on_the_command_line(word: str) -> str:
    return f"the command line ({redact(word)})"


def _is_of(name: str, key: str) -> bool:
    """Tell whether a changed key is the one asked for, holds it, or is a part of it."""
    return f"{key}.".startswith(f"{name}.") or f"{name}.".startswith(f"{key}.")


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
    hint = did_you_mean(option, known)
    return ConfigError(f"there is no conf/{group}/{option}.yaml{hint or ';'} there are {listed(group, option, known)}", f"{group}={option}")


def listed(group: str, option: str, known: Sequence[str]) -> str:
    """Return the options of a group in a line; of many those that are spelled most alike, and how to see all."""
    if len(known) <= MANY:
        return ", ".join(known)
    alike = nearest(option, known, ALIKE, cutoff=0)
    return f"{', '.join(alike)} and {len(known) - len(alike)} more: `ls conf/{shlex.quote(group)}`"


def _no_plugin(group: str, option: str, known: Sequence[str]) -> ConfigError:
    hint = did_you_mean(option, known) or (
        "; joblib and submitit come with the extra `launchers` of pyproject.toml" if "launcher" in group else ""
    )
    return ConfigError(f"{group} has no option {option}, but {', '.join(sorted(known))}{hint}", f"{group}={option}")


def _no_group(group: str, option: str, origin: Origin) -> ConfigError:
    """Word the refusal of a group; Hydra looks for one that is named in a file of a folder below that folder."""
    folder, _, inner = group.rpartition("/")
    groups = sorted(path.name for path in (origin.root / "conf").iterdir() if path.is_dir())
    hint = f"; write `override /{inner}: {option}`" if folder and inner in groups else ""
    told = f"{group} is not a group of conf/{hint}" if hint else unknown(group, "a group of conf/", groups, inner)
    return ConfigError(told, f"{inner}={option}")


def _unknown(key: str, origin: Origin) -> ConfigError:
    """Word the refusal of a key, or a group, that the command line names and Hydra does not find."""
    base = compose(origin.root / "conf", [word for word in origin.typed if origin.is_choice(word)])
    known = [*base, *(name for name, _ in leaves(base))]
    parent = key.rpartition(".")[0]
    if key in schema_keys() or is_in_open_mapping(parent):
        return ConfigError(f"{key} is none of the keys in conf/, but it can be added: +{key}=…", key)
    if (target := _class_at(parent, base)) and not nearest(key.rpartition(".")[2], get(base, parent)):
        return ConfigError(f"{key} is not a key of conf/; if it is an option of {target}, add it: +{key}=…", key)
    return ConfigError(unknown(key, "a key of conf/", known), key)


def _class_at(key: str, tree: Tree) -> str | None:
    """Return which class a node names, None where there is no such node."""
    node = get(tree, key) if key and has(tree, key) else None
    return node.get("_target_") if isinstance(node, dict) else None


def _no_name(origin: Origin) -> ConfigError | None:
    """Return the refusal of a choice on the command line that is not a name, over which Hydra stumbles."""
    for word in origin.typed:
        if (options := origin.options(word)) and not origin.is_choice(word):
            few = listed(name_of(word), word.partition("=")[2], options)
            return ConfigError(f"{on_the_command_line(word)}: {name_of(word)} must be one of {few}")
    return None
