"""The files of conf/ each by itself, before Hydra composes them: readable, named after themselves, no secret, no class that must not run.

Hydra's own configuration can name callbacks by `_target_`, which it would run; so every `_target_` in conf/ is looked at."""

import re
from collections.abc import Iterator
from pathlib import Path

from omegaconf.errors import OmegaConfBaseException
from omegaconf.grammar_parser import parse
from yaml import MappingNode, Node, ScalarNode, SequenceNode

from pipeline.config.build import allowed
from pipeline.config.compose import in_one_line, option_of
from pipeline.config.environment import RESOLVER, reads_environment
from pipeline.config.errors import ConfigError
from pipeline.config.secrets import looks_secret, refusal
from pipeline.config.tree import is_interpolation
from pipeline.config.wording import shown
from pipeline.config.yaml_nodes import LOCAL, OVERLAYS, Document

GLOBAL = re.compile(r"(?:#.*\n|\s*\n)*?#\s*@package _global_\s*(?:\n|$)")  # Hydra looks for it above the first key

HOLDS_WHOLE_KEYS = ("local", *OVERLAYS)  # where another group's file holds its own keys only

PLAIN = ("str", "int", "float", "bool", "null", "map", "seq", "timestamp")  # tags, given or guessed


def check_files(root: Path, *generated: str) -> None:
    """Raise ConfigError, with file and line, for a file of conf/, or one of the generated ones, that can't be what it should be."""
    for path in sorted((root / "conf").rglob("*.yaml")):
        document = Document.read(path, root)
        group, name = option_of(path, root / "conf")
        _check_root(document)
        if group in HOLDS_WHOLE_KEYS:
            _check_package(document, group)
        if group not in ("", "local", "hydra") and not path.stem.startswith("_"):
            _check_name(document, group, name)
        _check_entries(document, document.root, "" if group in ("", *HOLDS_WHOLE_KEYS) else f"{group}.")
    for path in (root / name for name in generated if (root / name).exists()):
        document = Document.read(path, root)
        _check_root(document)
        _check_entries(document, document.root)


def _check_root(document: Document) -> None:
    if not isinstance(document.root, MappingNode):
        found = "a list" if isinstance(document.root, SequenceNode) else "nothing" if document.root is None else shown(document.root.value)
        hint = "; to override nothing, delete the file" if document.shown == LOCAL else ""
        raise ConfigError(f"{document.shown}:1: the file must hold a mapping of keys to values, but it holds {found}{hint}")


def _check_package(document: Document, group: str) -> None:
    if not GLOBAL.match(document.text):
        raise ConfigError(f"{document.shown}:1: the file must begin with the line `# @package _global_`, or its keys end up under {group}")


def _check_name(document: Document, group: str, name: str) -> None:
    in_group = group not in HOLDS_WHOLE_KEYS
    key = "name" if in_group else f"{group}.name"
    entry, found = document.find(key), document.value(key)
    if entry is None:
        wanted = f"name: {name}" if in_group else f"{group}: {{name: {name}}}"
        raise ConfigError(f"{document.shown}:1: the file must hold {wanted}, its own name, by which a choice is remembered")
    if not isinstance(found, ScalarNode) or found.value != name:
        words = f"{group}.name must be {name}, the file's own name, but it is {shown(found and found.value)}"
        raise ConfigError(f"{document.at(entry)}: {words}")


def _check_entries(document: Document, node: Node | None, prefix: str = "") -> None:
    """Refuse a key that stands twice, a class that may not run, and a value from the environment, however deep they lie."""
    for entry, value in _pairs(document, node, prefix):
        key = f"{prefix}{entry.value}"
        _check_value(document, entry, "a key")
        if entry.value == "_target_":
            try:
                allowed(prefix.rstrip("."), value.value)
            except ConfigError as error:
                raise ConfigError(f"{document.at(entry)}: {error}") from error
        _check_value(document, value, key)
        _check_entries(document, value, f"{key}.")


def _pairs(document: Document, node: Node | None, prefix: str) -> Iterator[tuple[ScalarNode, Node]]:
    """Yield the entries of a mapping, or of the mappings in a list."""
    if isinstance(node, SequenceNode):
        for item in node.value:
            _check_value(document, item, prefix.rstrip("."))
            yield from _pairs(document, item, prefix)
    names: set[str] = set()
    for entry, value in node.value if isinstance(node, MappingNode) else ():
        if not isinstance(entry, ScalarNode):
            raise ConfigError(f"{document.at(entry)}: a key must be a plain word")
        if entry.value in names:
            raise ConfigError(f"{document.at(entry)}: {prefix}{entry.value} stands there twice; keep one of them")
        names.add(entry.value)
        yield entry, value


def _check_interpolation(document: Document, node: ScalarNode, key: str) -> None:
    try:
        parse(node.value)
    except OmegaConfBaseException as error:
        raise ConfigError(f"{document.at(node)}: {key} is not an interpolation that can be read: {in_one_line(error)}") from error


def _check_value(document: Document, node: Node, key: str) -> None:
    if isinstance(node, ScalarNode) and (what := looks_secret(key, node.value)):
        raise ConfigError(f"{document.at(node)}: {refusal(key, what)}")
    if node.tag.rpartition(":")[2] not in PLAIN:
        raise ConfigError(f"{document.at(node)}: {key} has the tag {node.tag}, and only plain values are read; leave it out")
    if isinstance(node, ScalarNode) and is_interpolation(node.value):
        _check_interpolation(document, node, key)
    if isinstance(node, ScalarNode) and RESOLVER in node.value:
        raise ConfigError(f"{document.at(node)}: {reads_environment(key)}")
