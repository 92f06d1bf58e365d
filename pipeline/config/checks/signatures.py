"""Classes read from their source, without importing them: are they there, what are they, which options do they take.

Importing torch takes a second and albumentations half of one, and a name that should not run is best not imported."""

import ast
import builtins
import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PACKAGES = ("pipeline", "torch", "albumentations")  # names are not followed out of these

NOWHERE = frozenset[str]()


@dataclass(frozen=True)
class Class:
    """A class statement and the module in which it stands."""

    module: str
    node: ast.ClassDef

    @property
    def name(self) -> str:
        return f"{self.module}.{self.node.name}"


@dataclass(frozen=True)
class Signature:
    """What a class takes when it is made."""

    options: dict[str, ast.expr | None]  # name -> annotation, in the order of the definition
    required: list[str]  # those without a default
    takes_all: bool  # **kwargs, or a definition that can't be found

    def takes(self, option: str) -> bool:
        return option in self.options or self.takes_all


@cache
def find(target: str) -> Class | None:
    """Return the class that a dotted name means, followed through the imports of its module; None where there is none."""
    module, _, name = target.rpartition(".")
    return _in_module(module, name, NOWHERE)


def keys_of(module: str, name: str) -> list[str]:
    """Return the keys of the mapping that a module writes out under a name; none where it does not."""
    for statement in _statements(module):
        if isinstance(statement, ast.AnnAssign) and ast.unparse(statement.target) == name and isinstance(statement.value, ast.Dict):
            return [key.value for key in statement.value.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)]
    return []


def is_a(found: Class, kind: str) -> bool:
    """Tell whether a class is `kind` or below it; one whose ancestors can't be followed gets the benefit of the doubt."""
    return any(above is None or above.name == kind for above in ancestry(found))


def signature(found: Class) -> Signature:
    """Return what __init__ takes, the class's own or the nearest ancestor's."""
    for above in ancestry(found):
        for statement in above.node.body if above else ():
            if isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
                return _signature(statement.args)
    return Signature({}, [], takes_all=True)


def ancestry(found: Class) -> Iterator[Class | None]:
    """Yield the class and what it inherits from, the nearest first; None for a class of this project that can't be found."""
    yield found
    for base in found.node.bases:
        name = ast.unparse(base.value if isinstance(base, ast.Subscript) else base)
        first, dot, rest = name.partition(".")
        absolute = _imports(found.module).get(first, f"{found.module}.{first}") + dot + rest
        if above := find(absolute):
            yield from ancestry(above)
        elif absolute.startswith("pipeline.") and not hasattr(builtins, name):
            yield None


def _signature(arguments: ast.arguments) -> Signature:
    positional = [*arguments.posonlyargs, *arguments.args]
    required = positional[1 : len(positional) - len(arguments.defaults)]  # the first is self
    required += [argument for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if default is None]
    options = {argument.arg: argument.annotation for argument in [*positional[1:], *arguments.kwonlyargs]}
    return Signature(options, [argument.arg for argument in required], arguments.kwarg is not None)


def _in_module(module: str, name: str, seen: frozenset[str]) -> Class | None:
    text = _text(module)
    if module in seen or not name or not (re.search(rf"\b{re.escape(name)}\b", text) or "import *" in text):
        return None  # without parsing: a package of fifty files takes a third of a second
    for statement in _statements(module):
        if isinstance(statement, ast.ClassDef) and statement.name == name:
            return Class(module, statement)
    if name in _imports(module):
        above, _, original = _imports(module)[name].rpartition(".")
        return _in_module(above, original, seen | {module})
    stars = (_absolute(module, node) for node in _statements(module) if isinstance(node, ast.ImportFrom) and node.names[0].name == "*")
    return next((found for star in stars if (found := _in_module(star, name, seen | {module}))), None)


@cache
def _imports(module: str) -> dict[str, str]:
    """Return local name -> dotted name for what a module imports."""
    names: dict[str, str] = {}
    for node in _statements(module):
        if isinstance(node, ast.Import):
            names |= {alias.asname: alias.name for alias in node.names if alias.asname}
            names |= {first: first for alias in node.names if not alias.asname and (first := alias.name.split(".")[0])}
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name: f"{_absolute(module, node)}.{alias.name}" for alias in node.names}
    return names


def _absolute(module: str, node: ast.ImportFrom) -> str:
    """Return the dotted name of the module that `from … import` names."""
    if not node.level:
        return node.module or ""
    file = _file(module)
    up = node.level - (file is not None and file.name == "__init__.py")
    package = module.rsplit(".", up)[0] if up else module
    return f"{package}.{node.module}" if node.module else package


@cache
def _statements(module: str) -> list[ast.stmt]:
    """Return a module's statements outside functions and classes."""
    waiting: list[ast.stmt] = list(ast.parse(_text(module)).body)
    found = []
    while waiting:
        node = waiting.pop(0)
        found.append(node)
        if isinstance(node, ast.If | ast.Try | ast.With):
            waiting = [*node.body, *getattr(node, "orelse", []), *waiting]
    return found


@cache
def _text(module: str) -> str:
    file = _file(module)
    return file.read_text(encoding="utf-8") if file else ""


@cache
def _file(module: str) -> Path | None:
    """Return a module's source file, found without importing it."""
    top, *rest = module.split(".")
    spec = importlib.util.find_spec(top) if top in PACKAGES and all(rest) else None
    if spec is None or not spec.origin:
        return None
    path = Path(spec.origin).parent.joinpath(*rest)
    return next((file for file in (path / "__init__.py", path.with_suffix(".py")) if file.is_file()), None)
