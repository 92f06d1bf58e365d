"""The shape of the project holds: imports point one way, DVC knows what each stage depends on, generated files are up to date."""

import ast
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.command.deps import UNIMPORTED, closure, is_code
from pipeline.config.compose import compose, read_yaml, resolved
from pipeline.config.params_lock import Lock, overlooked
from pipeline.config.paths import OUTS
from pipeline.config.tree import ORDERED, get, with_order
from tests.project import ROOT

# A row imports rows below it, never a sibling of another folder in its own row.
ROWS = (
    ("command", "tour"),
    ("stage",),
    ("search",),
    ("tracking", "report", "explanation", "answers"),
    ("prediction", "model_card", "photo_explanation", "unit_explanation", "filter_explanation", "similarity", "walk"),
    ("inference", "export"),
    ("training", "bundle", "weights"),
    ("analysis",),
    ("model", "dataset"),
    ("config",),
)
ROW_OF = {name: row for row, names in enumerate(ROWS) for name in names}

# A package that one place alone knows; everybody else goes through that place.
ONLY_IMPORTER = {
    "hydra": "config",
    "omegaconf": "config",
    "mlflow": "tracking",
    "matplotlib": ("analysis/figures", "tour/drawing"),
    "albumentations": "dataset/augmentation",
    "lightning": "training",
    "optuna": "search",
    "dvc": "nowhere",
}

MODULES = sorted(path for folder in ("pipeline", "tour") for path in (ROOT / folder).rglob("*.py"))
PIPELINE = YAML().load((ROOT / "dvc.yaml").read_text())


def imported(path: Path) -> set[str]:
    """Return the dotted names that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def place(path: Path) -> str:
    return str(path.relative_to(ROOT).with_suffix("")).removeprefix("pipeline/")


def test_imports_point_down() -> None:
    wrong = []
    for path in MODULES:
        here = place(path).split("/")[0]
        for name in imported(path):
            there = name.split(".")[1] if name.startswith("pipeline.") else "tour" if name.split(".")[0] == "tour" else here
            if here != "__init__" and there != here and ROW_OF[there] <= ROW_OF[here]:
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert not wrong


def test_no_two_modules_import_each_other() -> None:
    edges = {(str(path.relative_to(ROOT).with_suffix("")).replace("/", "."), name) for path in MODULES for name in imported(path)}
    assert not [edge for edge in edges if edge[::-1] in edges]


@pytest.mark.parametrize("package", ONLY_IMPORTER)
def test_one_place_alone_imports(package: str) -> None:
    importers = {place(path) for path in MODULES if any(name.split(".")[0] == package for name in imported(path))}
    assert [importer for importer in importers if not importer.startswith(ONLY_IMPORTER[package])] == []


def test_every_module_says_what_it_is_for() -> None:
    assert not [place(path) for path in MODULES if not ast.get_docstring(ast.parse(path.read_text()))]


def test_packages_hold_no_code_of_their_own() -> None:
    # so that a stage's closure may leave them out; the uppermost looks whether this is the environment at all
    for path in MODULES:
        if path.name == "__init__.py" and path.parent.name != "pipeline":
            assert len(ast.parse(path.read_text()).body) == 1, path


@pytest.mark.parametrize("stage", PIPELINE["stages"])
def test_dvc_knows_the_code_that_a_stage_depends_on(stage: str) -> None:
    deps = [dep for dep in PIPELINE["stages"][stage]["deps"] if is_code(dep)]
    assert deps == closure(ROOT / "pipeline" / "stage" / f"{stage}.py", ROOT), "bring it up to date: python -m pipeline.command.deps"


def test_training_does_not_depend_on_pictures_or_checks() -> None:
    deps = PIPELINE["stages"]["train"]["deps"]
    assert not [dep for dep in deps if "analysis" in dep or "checks" in dep or "command" in dep]


@pytest.mark.parametrize("stage", ["train", "evaluate", "explain", "register"])
def test_no_stage_after_resize_depends_on_how_photos_are_decoded_and_split(stage: str) -> None:
    before = [ROOT / "pipeline" / "dataset" / f"{name}.py" for name in ("decode", "codecs", "geometry", "splits")]
    assert all(path.exists() for path in before)
    deps = {ROOT / dep for dep in PIPELINE["stages"][stage]["deps"]}
    assert not deps & {*before, ROOT / "pipeline" / "dataset" / "formats"}


def test_what_is_imported_by_name_is_a_dependency() -> None:
    assert all((ROOT / path).exists() for paths in UNIMPORTED.values() for path in paths)


def test_every_config_node_is_some_stages_parameter() -> None:
    without_effect = {"experiment", "machine"}  # a recipe's name decides nothing itself, the machine's choices only the speed
    named = {param.split(".")[0] for stage in PIPELINE["stages"].values() for param in stage.get("params", []) if isinstance(param, str)}
    assert set(read_yaml(ROOT / "params.yaml")) - named == without_effect


@pytest.mark.parametrize("stage", PIPELINE["stages"])
def test_dvcs_run_cache_sees_every_value_of_a_stages_parameters(stage: str) -> None:
    # It does not look at keys called size or nfiles inside a parameter that is a mapping (docs/decisions/0008).
    params = read_yaml(ROOT / "params.yaml")
    entries = PIPELINE["stages"][stage].get("params", [])
    seen = [key for entry in entries if isinstance(entry, dict) for key in entry["conf.lock"]]
    mappings = [entry for entry in entries if isinstance(entry, str) and isinstance(get(params, entry), dict)]
    assert {f"overlooked.{key.split('.')[0]}" for key in mappings} <= set(seen)


@pytest.mark.parametrize("mapping", ORDERED)
def test_every_stage_that_depends_on_an_order_depends_on_the_line_that_holds_it(mapping: str) -> None:
    group = mapping.partition(".")[0]
    for name, stage in PIPELINE["stages"].items():
        entries = stage.get("params", [])
        if any(f"{mapping}.".startswith(f"{entry}.") for entry in entries if isinstance(entry, str)):
            assert [f"overlooked.{group}"] == [
                key for entry in entries if isinstance(entry, dict) for key in entry["conf.lock"] if key == f"overlooked.{group}"
            ], name


def test_git_ignores_every_out_also_after_a_failed_stage() -> None:
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {f"/{place}" for place in OUTS.values() if not place.startswith("reports")} <= set(ignored)


def test_params_yaml_is_what_conf_composes_to() -> None:
    composed = compose(ROOT / "conf")
    assert with_order(read_yaml(ROOT / "params.yaml")) == with_order(resolved(composed)), "bring it up to date: make params"
    lock = Lock({}, {}, composed, overlooked(resolved(composed)))
    assert Lock.read(ROOT / "conf.lock") == lock, "bring it up to date: make params"


def test_no_path_of_one_machine_stands_in_the_project() -> None:
    for path in [*ROOT.glob("*.*"), *(ROOT / "docs").rglob("*.md"), *MODULES]:
        if path.suffix in {".md", ".py", ".toml", ".yaml", ".lock", ".txt"}:
            assert "/home/" not in path.read_text(), path
