"""Write each stage's code deps to dvc.yaml: python -m pipeline.command.deps

They are its import closure, file by file, so that a change re-runs the stages that it can affect and no others."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline.config.paths import WORKSPACE
from pipeline.config.process import no_arguments, run_command

# No result depends on these: what surrounds a live run checks and warns outside DVC, differences.py and description.py say what a run is,
# layer_table.py prints, profiler.py watches.
LIVE = {f"pipeline/config/{name}.py" for name in ("live", "sweep", "job")}
WITHOUT_EFFECT = LIVE | {
    f"pipeline/{name}.py" for name in ("config/differences", "tracking/description", "analysis/layer_table", "training/profiler")
}

# Used without an import: `_target_` in conf/model and conf/loss names classes in these; pages are filled into templates.
UNIMPORTED = {
    "pipeline/bundle.py": ["pipeline/model"],
    "pipeline/training/fit.py": ["pipeline/training/losses.py"],
    "pipeline/dataset/data_page.py": ["pipeline/dataset/data_page.html"],
    "pipeline/walk/page.py": ["pipeline/walk/page"],
}

# Other package versions may give other results.
ALWAYS = ["requirements.lock"]


def imports(module: Path, root: Path) -> Iterator[Path]:
    """Yield the project's files that a source file imports, anywhere in it."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pipeline"):
            names = [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.startswith("pipeline")]
        else:
            continue
        files = (root / f"{name.replace('.', '/')}.py" for name in names)
        yield from (file for file in files if file.exists())


def closure(module: Path, root: Path) -> list[str]:
    """Return what a stage's result can depend on: the files that it imports, directly or indirectly, and the lock file."""
    found: set[Path] = set()
    waiting = [module]
    while waiting:
        file = waiting.pop()
        if file not in found and str(file.relative_to(root)) not in WITHOUT_EFFECT:
            found.add(file)
            waiting += imports(file, root)
    files = {str(file.relative_to(root)) for file in found}
    unimported = {path for file in files for path in UNIMPORTED.get(file, [])}
    return sorted(files | unimported) + ALWAYS


def is_code(dep: str) -> bool:
    """Return whether a dep of dvc.yaml is one that this command writes."""
    return dep.startswith("pipeline/") or dep in ALWAYS


def write_deps(root: Path) -> list[str]:
    """Update dvc.yaml; return the stages whose deps changed."""
    yaml = YAML()
    yaml.width = 1000
    yaml.indent(mapping=2, sequence=4, offset=2)
    path = root / "dvc.yaml"
    tree: Any = yaml.load(path.read_text())
    changed = []
    for name, stage in tree["stages"].items():
        others = [dep for dep in stage.get("deps", []) if not is_code(dep)]
        wanted = others + closure(root / "pipeline" / "stage" / f"{name}.py", root)
        if list(stage.get("deps", [])) != wanted:
            stage["deps"] = wanted
            changed.append(name)
    if changed:
        with path.open("w") as stream:
            yaml.dump(tree, stream)
    return changed


def main() -> None:
    """Write each stage's code deps to dvc.yaml; print the stages whose deps changed."""
    no_arguments(main)
    for name in write_deps(WORKSPACE):
        print(f"dvc.yaml: deps of {name} changed", file=sys.stderr)


if __name__ == "__main__":
    run_command("deps", main)
