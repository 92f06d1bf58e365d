"""Where does a key stand? The file and line, or the word of the command line, that a person would change."""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.config.composition import Tree, choices, options
from pipeline.config.documents import LOCAL, Document
from pipeline.config.errors import ConfigError
from pipeline.config.secrets import redact


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
        for path in (LOCAL, f"conf/experiment/{chosen.get('experiment')}.yaml"):
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
        experiments = [f"conf/experiment/{name}.yaml" for name in options(self.root / "conf", "experiment")]
        shared = (f"conf/{path.name}" for path in sorted((self.root / "conf").glob("*.yaml")))  # config.yaml, photos.yaml
        for path in (LOCAL, *experiments, *shared):
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
