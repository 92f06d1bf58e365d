"""YAML files as nodes that know their lines, read before OmegaConf reads them: a broken file or a bomb is told with its place."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml
from yaml import AliasEvent, CollectionEndEvent, CollectionStartEvent, MappingNode, Node, ScalarEvent, ScalarNode, SequenceNode

from pipeline.config.errors import ConfigError
from pipeline.config.merges import MARKER, PAIR, way_out

LOCAL = "conf/local/overrides.yaml"
OVERLAYS = ("experiment", "debug")  # groups whose files hold keys and choices of all groups; the later counts more

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast; a build of PyYAML may lack it

MOST_BYTES, MOST_NODES, DEEPEST = 1_000_000, 20_000, 50  # far above any config; a bomb of nine lines unfolds to billions of nodes


@dataclass(frozen=True)
class Document:
    """A YAML file: its name as a person in the project's root would type it, its text, and its nodes."""

    shown: str
    text: str
    root: Node | None  # None: an empty file

    @classmethod
    def read(cls, path: Path, root: Path) -> "Document":
        """Read a file; raises ConfigError with file and line for what is no YAML, holds conflict markers, or is a bomb."""
        shown = str(path.relative_to(root))
        try:
            text = path.read_text(encoding="utf-8")
            _refuse_markers(shown, text, root)
            _refuse_bombs(shown, text)
            return cls(shown, text, yaml.compose(text, LOADER))
        except UnicodeDecodeError as error:
            raise ConfigError(f"{shown}: not readable YAML: it is not UTF-8 text ({error.reason} at byte {error.start})") from error
        except yaml.YAMLError as error:
            raise ConfigError(_in_words(shown, text, error)) from error

    def at(self, node: Node) -> str:
        return f"{self.shown}:{node.start_mark.line + 1}"

    def find(self, key: str) -> Node | None:
        """Return the node of a dotted key's name; where a value stands in the place of a mapping, that of the mapping's name."""
        return self._entry(key)[0]

    def value(self, key: str) -> Node | None:
        return self._entry(key)[1]

    def _entry(self, key: str) -> tuple[Node | None, Node | None]:
        found, node = None, self.root
        while key and isinstance(node, MappingNode):
            found, node, key = next(_matches(node, key), (None, None, ""))
        return found, node

    def deepest(self, key: str) -> Node | None:
        """Return the node of the longest beginning of a dotted key that is there."""
        while key and not (node := self.find(key)):
            key = key.rpartition(".")[0]
        return node if key else None

    def choice(self, group: str, option: str) -> Node | None:
        """Return the node in the defaults list that chooses a group's option; without an option, any."""
        for entry in self.defaults():
            for name, value in entry.value if isinstance(entry, MappingNode) else ():
                if name.value.split()[-1].lstrip("/") == group and option in ("", value.value):
                    return name
        return None

    def defaults(self) -> list[Node]:
        pairs = self.root.value if isinstance(self.root, MappingNode) else []
        return next((value.value for name, value in pairs if name.value == "defaults" and isinstance(value, SequenceNode)), [])


def _matches(mapping: MappingNode, key: str) -> Iterator[tuple[Node, Node, str]]:
    """Yield (name, value, rest of the key) for entries that begin the key; a name may itself hold dots."""
    for name, value in mapping.value:
        if isinstance(name, ScalarNode) and f"{key}.".startswith(f"{name.value}."):
            yield name, value, key[len(name.value) + 1 :]


def _refuse_markers(shown: str, text: str, root: Path) -> None:
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith(MARKER):
            by_hand = f"Keep what you want of both sides, take the markers out, type `git add {shlex.quote(shown)}`, then repeat"
            raise ConfigError(f"{shown}:{number}: conflict markers of a merge. {way_out(root, *PAIR) if shown in PAIR else by_hand}")


def _refuse_bombs(shown: str, text: str) -> None:
    """Refuse a text that unfolds to more than any config holds; only its events are looked at, so nothing unfolds here."""
    if len(text) > MOST_BYTES:
        raise ConfigError(f"{shown}: {len(text):,} characters, and a config has at most {MOST_BYTES:,}")
    unfolded: dict[str, tuple[int, int]] = {}  # anchor -> nodes, depth
    stack: list[tuple[str | None, int, int]] = [(None, 0, 0)]  # of open collections: anchor, nodes, depth
    for event in yaml.parse(text, LOADER):
        if isinstance(event, CollectionStartEvent):
            stack.append((event.anchor, 0, 0))
            size = (0, 0)
        elif isinstance(event, CollectionEndEvent):
            anchor, nodes, depth = stack.pop()
            size = (nodes + 1, depth + 1)
            unfolded[anchor or ""] = size
        elif isinstance(event, AliasEvent):
            holds_itself = event.anchor in [anchor for anchor, _, _ in stack]
            size = (MOST_NODES, DEEPEST) if holds_itself else unfolded.get(event.anchor, (1, 1))
        elif isinstance(event, ScalarEvent):
            size = (1, 1)
            unfolded[event.anchor or ""] = size
        else:
            continue
        anchor, nodes, depth = stack[-1]
        stack[-1] = (anchor, nodes + size[0], max(depth, size[1]))
        if stack[-1][1] > MOST_NODES or len(stack) + size[1] > DEEPEST:
            line = event.start_mark.line + 1
            raise ConfigError(f"{shown}:{line}: aliases or nesting that unfold to more than a config holds; write the values out")


def _in_words(shown: str, text: str, error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is None:
        return f"{shown}: not readable YAML: {' '.join(str(error).split())}"
    words = [part for part in (getattr(error, "context", None), getattr(error, "problem", None)) if part]
    lines = text.splitlines()
    if getattr(error, "context_mark", None) and re.search("flow|quoted", words[0]):  # what is not closed is noticed further down only
        mark = error.context_mark
    tab = "; it has a tab, and YAML wants spaces" if mark.line < len(lines) and "\t" in lines[mark.line] else ""
    return f"{shown}:{mark.line + 1}: not readable YAML: {', '.join(words)}{tab}"
