"""The documents are true of the code: the files that they name exist, and hold the names that stand beside them."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.project import ROOT
from tests.test_structure import MODULES, ROWS

ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FOLDERS = ("pipeline", "tour", "tests", "conf", "docs", "benchmarks", "hydra_plugins")
THERE = [path.relative_to(ROOT).as_posix() for folder in FOLDERS for path in (ROOT / folder).rglob("*")]
THERE += [path.name for path in ROOT.iterdir()]
EXAMPLES = {"x.py", "x.yaml", "s2.yaml", "c.yaml"}  # what somebody may add
OTHERS = {
    "conf/local/overrides.yaml",
    "stage/cache.py",
    "dvc/stage/cache.py",
    "mlflow/utils/validation.py",
}  # what a person writes; DVC's and MLflow's

DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef)

NAME = r"(?:[\w.-]+/)*\w[\w-]*\.(?:py|md|yaml|toml)\b"
IN_FILE = rf"`(\w+)` in `({NAME})`"


def is_there(name: str) -> bool:
    return Path(name).name in EXAMPLES or name in OTHERS or any(path == name or path.endswith(f"/{name}") for path in THERE)


def prose() -> Iterator[tuple[str, str]]:
    """Yield (file, text) of the documents, and of the docstrings and comments of the code."""
    for path in DOCUMENTS:
        yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
    for path in MODULES:
        source = path.read_text(encoding="utf-8")
        docstrings = [ast.get_docstring(node) or "" for node in ast.walk(ast.parse(source)) if isinstance(node, DOCUMENTED)]
        yield path.relative_to(ROOT).as_posix(), "\n".join([*docstrings, *re.findall(r"#.*", source)])


def test_every_file_that_documents_docstrings_and_comments_name_is_there() -> None:
    assert [f"{where}: {name}" for where, text in prose() for name in re.findall(NAME, text) if not is_there(name)] == []


@pytest.mark.parametrize(("name", "file"), sorted(set(re.findall(IN_FILE, ARCHITECTURE))))
def test_a_name_that_the_architecture_puts_into_a_file_stands_in_it(name: str, file: str) -> None:
    [path] = [path for path in THERE if path in (file, f"pipeline/{file}")]
    assert re.search(rf"\b{name}\b", (ROOT / path).read_text(encoding="utf-8"))


def test_the_tree_has_a_line_for_each_folder_which_is_the_docstring_of_its_package() -> None:
    tree = re.search(r"```\n(pipeline/\n.*?)```", ARCHITECTURE, re.DOTALL)
    assert tree
    told = dict(re.findall(r"^ *([\w/]+/) +(.+)$", tree[1], re.MULTILINE))
    for path in MODULES:
        if path.name == "__init__.py" and path.parent.name != "pipeline":
            assert told.get(f"{path.parent.name}/") == str(ast.get_docstring(ast.parse(path.read_text()))).rstrip("."), path.parent.name
    assert [folder for folder in told if not is_there(folder.rstrip("/"))] == []


def test_the_rows_of_imports_are_those_that_are_tested() -> None:
    assert "  >  ".join(", ".join(row) for row in ROWS) in ARCHITECTURE
