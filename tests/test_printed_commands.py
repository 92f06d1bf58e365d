"""Every command that the documents name or the program prints can be typed: a test runs it, or as much of it as is quick."""

import ast
import re
import shlex
import subprocess
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from dvc.cli.parser import get_main_parser

from pipeline.config.compose import compose
from tests.project import ROOT, Project, cloned
from tests.test_commands import BY_HYDRA

START = r"(?:python -m (?:pipeline|tests|benchmarks)\.|dvc |make |git |rm |cp )"
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]

# What changes a project by itself alone: file and words of the test that runs it.
RUN_BY = {
    "git add": ("tests/test_additions.py", '"git", "add"'),
    "git add {}": ("tests/what_runs.py", '"git", "add"'),
    "git init": ("tests/test_doctor.py", '"git", "init"'),
    "git clone": ("tests/config/test_merges.py", '"clone"'),
    "git clone --depth": ("tests/config/test_merges.py", '"--depth'),
    "git clone URL project": ("tests/test_smoke.py", '"git", "clone"'),
    "git worktree remove --force restored/ID": ("tests/test_restore.py", '"git", "worktree", "remove", "--force"'),
    "git fetch --unshallow": ("tests/config/test_merges.py", "unshallow"),
    "git checkout HEAD -- {}": ("tests/test_doctor.py", '"git", "checkout", "HEAD", "--"'),
    "git checkout {} -- {}": ("tests/config/test_merges.py", "checkout"),
    "rm {}": ("tests/config/test_merges.py", '"rm"'),
    "rm params.yaml {}": ("tests/config/test_sync.py", "unlink"),
    "cp -r ~/photos/. data/own/": ("tests/project.py", '"data" / "own"'),
}


def in_document(text: str) -> Iterator[str]:
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
        for line in block.splitlines():
            yield from (command.strip() for command in line.partition(" #")[0].split("&&"))
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def printed(source: str) -> Iterator[str]:
    """Yield the commands in the strings of a module, docstrings excepted; what is filled in is {}."""
    tree = ast.parse(source)
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if id(node) not in parts | docstrings and (text := text_of(node)):
            yield from re.findall(rf"`({START}[^`]*)`", text)
            yield from (found.strip() for found in re.findall(r"(?<!`)(python -m [^`\n]*)", text))


def text_of(node: ast.AST) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def commands() -> dict[str, str]:
    """Return command -> where it stands."""
    found = {}
    for path in [*DOCUMENTS, *sorted((ROOT / "pipeline").rglob("*.py"))]:
        text = path.read_text(encoding="utf-8")
        for command in in_document(text) if path.suffix == ".md" else printed(text):
            if re.match(START, command):
                found.setdefault(command.split(" && ")[0], str(path.relative_to(ROOT)))
    return found


COMMANDS = commands()


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return cloned(tmp_path_factory.mktemp("printed") / "project")


def test_they_are_found() -> None:
    assert {"dvc repro", "python -m pipeline.command.predict PHOTO…{}", "python -m tests.what_runs", "rm {}"} <= COMMANDS.keys()
    assert RUN_BY.keys() <= COMMANDS.keys()
    assert list(printed('"""Type `dvc nonsense`."""\nprint(f"type `dvc repro {stage}`, or python -m pipeline.x")')) == [
        "dvc repro {}",
        "python -m pipeline.x",
    ]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: f"{COMMANDS[command]}: {command}")
def test_each_can_be_typed(command: str, clone: Project) -> None:
    program, *words = shlex.split(re.sub(r"…|\.\.\.", "", command))
    if program == "python":
        module, *words = words[1:]
        assert (ROOT / f"{module.replace('.', '/')}.py").exists()
        if module in BY_HYDRA:
            composes(words)
        elif module.startswith("pipeline"):
            help_text = asked(clone, module)
            if words and re.search(rf"^    {re.escape(words[0])} ", help_text, re.MULTILINE):
                help_text += asked(clone, module, words[0])
            assert {word for word in words if word.startswith("--")} <= set(re.findall(r"--[\w-]+", help_text))
    elif program == "dvc":
        taken_by_dvc(words)
    elif program == "make":
        subprocess.run(["make", "-n", *words], cwd=ROOT, check=True, capture_output=True)
    else:
        file, said = RUN_BY[command]
        assert said in Path(ROOT / file).read_text(encoding="utf-8")


def composes(words: list[str]) -> None:
    """Compose conf/ under the first of the values of each override."""
    overrides = [word for word in words if "=" in word and not word.startswith("hydra.")]
    compose(ROOT / "conf", [f"{key}={value.split(',')[0]}" for key, _, value in (word.partition("=") for word in overrides)])


def taken_by_dvc(words: list[str]) -> None:
    values = [word for flag, word in pairwise(words) if flag == "-S"]
    if words and words[-1] == "-S":
        words = [*words, "seed=1"]
    if words == ["exp"] or words == ["add"] or words == ["exp", "apply"]:
        words = {"exp": ["exp", "show"], "add": ["add", "data/own"], "apply": ["exp", "apply", "name"]}[words[-1]]
    assert get_main_parser().parse_args(words).func
    composes([value for value in values if "{" not in value])


@cache
def asked(clone: Project, module: str, *subcommand: str) -> str:
    return clone.ok("python", "-m", module, *subcommand, "--help").output
