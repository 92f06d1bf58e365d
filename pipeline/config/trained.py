"""Did the experiment that conf.lock was written for train? dvc.lock says by which parameters each stage ran last, and on what."""

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.config.composition import Tree
from pipeline.config.lock import Lock

LAST = "train"  # of the stages that an experiment must have done, for its values to count


def has_trained(root: Path, lock: Lock) -> bool:
    """Tell whether train, and every stage that it depends on, ran by the parameters of this lock; without a dvc.lock nothing denies it."""
    try:
        stages = YAML(typ="safe").load(root / "dvc.lock")["stages"]  # as DVC writes it: by YAML 1.2, where `no` is a word
    except (OSError, YAMLError, KeyError, TypeError):
        return True
    return _is_done(LAST, stages, {"params.yaml": lock.composed(), "conf.lock": vars(lock)})


def _is_done(name: str, stages: Tree, files: dict[str, Tree]) -> bool:
    stage = stages.get(name)
    if stage is None:
        return False
    ran_by = all(_found(files[path], key) == value for path, values in stage.get("params", {}).items() for key, value in values.items())
    return ran_by and all(_is_made(dep, stages, files) for dep in stage.get("deps", []))


def _is_made(dep: Tree, stages: Tree, files: dict[str, Tree]) -> bool:
    """Tell whether a dependency that a stage makes is what that stage made last, and rightly so."""
    for name, stage in stages.items():
        for out in stage.get("outs", []):
            if out["path"] == dep["path"]:
                return bool(out.get("md5") == dep.get("md5") and _is_done(name, stages, files))
    return True


def _found(tree: Any, key: str) -> Any:
    for part in key.split("."):
        tree = tree.get(part) if isinstance(tree, dict) else None
    return tree
