"""Every command says what it does when it is asked, and does nothing then; and it takes no word that it does not know."""

import os
import re
import subprocess
import sys

import pytest

from tests.project import ROOT, Project, cloned

MODULES = sorted(path for part in ("stage", "command") for path in (ROOT / "pipeline" / part).glob("[!_]*.py"))
SOURCES = {f"pipeline.{path.parent.name}.{path.stem}": path.read_text(encoding="utf-8") for path in MODULES}
BY_HYDRA = {name for name, source in SOURCES.items() if "import entry\n" in source}  # to whom the command line is left, for all alike
ASKED = sorted(SOURCES.keys() - BY_HYDRA | {"pipeline.stage.train", "pipeline.command.tune"})  # tune has options of its own beside


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return cloned(tmp_path_factory.mktemp("commands") / "project")


def files(project: Project) -> dict[str, bytes]:
    kept = (path for path in project.root.rglob("*") if path.is_file() and not {".git", "__pycache__"} & set(path.parts))
    return {str(path.relative_to(project.root)): path.read_bytes() for path in kept}


@pytest.mark.parametrize("name", SOURCES)
def test_a_module_of_these_folders_is_a_command(name: str) -> None:
    runs = re.search(r'^if __name__ == "__main__":\n    (.*)', SOURCES[name], re.M)
    assert runs
    assert runs[1].startswith("run_command(") or name in BY_HYDRA


@pytest.mark.parametrize("name", ASKED)
def test_asked_for_help_it_says_what_it_does_and_what_it_takes_and_does_nothing(name: str, clone: Project) -> None:
    before = files(clone)
    said = " ".join(clone.ok("python", "-m", name, "--help", PORT="none").output.split())  # a ui that starts stumbles over that port
    assert f"usage: python -m {name} [-h]" in said or "Choose a file of conf/ by group=name" in said
    assert len(said) > 150
    assert files(clone) == before


@pytest.mark.parametrize("name", ASKED)
def test_it_refuses_a_word_that_it_does_not_know(name: str, clone: Project) -> None:
    before = files(clone)
    given = ["1"] if name.endswith((".champion", ".predict", ".command.explain", ".features", ".similar", ".restore")) else []
    ran = clone.run("python", "-m", name, *given, "--no-such-option", PORT="none")
    assert ran.code == 2
    assert ran.output.splitlines()[-1].endswith("unrecognized arguments: --no-such-option")
    assert files(clone) == before


@pytest.mark.parametrize("name", ["pipeline.command.predict", "pipeline.command.doctor", "pipeline.stage.train"])
def test_outside_the_environment_one_line_says_how_to_get_into_it(name: str) -> None:
    alone = [sys.executable, "-S", "-m", name]  # -S: without the packages that are installed
    done = subprocess.run(alone, cwd=ROOT, capture_output=True, text=True, env=dict(os.environ) | {"PYTHONPATH": ""}, check=False)
    [line] = done.stderr.splitlines()
    assert line.endswith("has not the project's packages; type `make setup && . .venv/bin/activate`, then repeat")
    assert line.startswith(f"this Python ({sys.executable}) ")
    assert done.returncode == 1
