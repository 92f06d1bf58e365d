"""A working copy in which DVC's own functions decide what a command of DVC runs, in this process, and nothing is trained.

configure is the real one; a training is what params.yaml, in its order, would have it be. What git tracks and what dvc.lock records
are kept here. tests/test_edits.py holds against real commands that this is what DVC does."""

import shutil
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from dvc.dependency.param import read_param_file
from dvc.fs import LocalFileSystem
from dvc.stage.cache import _get_cache_hash
from dvc.utils.hydra import compose_and_dump

from pipeline.bundle import TRAINED_WITH
from pipeline.config.compose import in_one_line, read_yaml
from pipeline.config.errors import ConfigError
from pipeline.config.sync import configure
from pipeline.config.tree import Tree
from tests.edits.run import ordered
from tests.edits.workspace import Outcome, Workspace
from tests.project import ROOT, make_small

KEPT = {  # options of large groups; fewer files are read in less time
    "dataset": ("folder",),
    "experiment": ("none",),
    "debug": ("none",),
    "model": ("cnn", "lenet"),
    "loss": ("cross_entropy",),
    "resize": ("stretch",),
    "weights": ("none",),
    "training": ("default",),
    "optimizer": ("adamw", "sgd"),
    "scheduler": ("cosine", "constant"),
    "augmentation": ("flip", "erase", "none"),
}
TRACKED = ("conf/**/*.yaml", "params.yaml", "conf.lock")


@dataclass
class DvcLock:
    """What dvc.lock records of the two stages."""

    configured: dict[str, str] = field(default_factory=dict)  # the files that configure read and wrote
    params: Tree = field(default_factory=dict)  # the parameters that dvc.yaml names for train
    bundle: Tree = field(default_factory=dict)


class FastWorkspace(Workspace):
    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.lock = DvcLock()
        self.bundle: Tree = {}
        self.run_cache: dict[str, Tree] = {}
        self.commits: dict[str, tuple[dict[str, str], DvcLock]] = {}

    def reproduce(self) -> Outcome:
        return self._line(in_experiment=False)

    def experiment(self, name: str, words: tuple[str, ...]) -> Outcome:
        try:
            compose_and_dump(str(self.root / "params.yaml"), str(self.root / "conf"), None, "config", str(self.root), list(words))
        except Exception as error:  # Hydra's and OmegaConf's share no base
            return Outcome(True, "none", in_one_line(error))
        outcome = self._line(in_experiment=True)
        if not outcome.refused:
            self.commits[name] = self._files(), deepcopy(self.lock)
        return outcome

    def apply(self, name: str) -> None:
        self._check_out(name)
        self.bundle = self.lock.bundle

    def begin_branch(self) -> None:
        self.commits["main"] = self._files(), deepcopy(self.lock)

    def end_branch(self) -> None:
        self._check_out("main")

    @property
    def trained(self) -> Tree:
        return self.bundle

    def copied(self, to: Path) -> "FastWorkspace":
        """Return a copy of this working copy, without its commits."""
        other = FastWorkspace(shutil.copytree(self.root, to))
        other.lock, other.bundle, other.run_cache = deepcopy(self.lock), self.bundle, dict(self.run_cache)
        return other

    def clone(self, to: Path) -> "FastWorkspace":
        """Return a copy of conf/ alone."""
        shutil.copytree(self.root / "conf", to / "conf")
        return FastWorkspace(to)

    def _line(self, in_experiment: bool) -> Outcome:
        output = "Stage 'configure' didn't change, skipping"
        if self.lock.configured != self._files():
            try:
                output = "\n".join(configure(self.root, in_experiment))
            except ConfigError as error:
                return Outcome(True, "none", f"configure failed: {error}")
            self.lock.configured = self._files()
        return Outcome(False, self._train(), output)

    def _train(self) -> str:
        named = self._named_params()
        if named == self.lock.params and ordered(self.bundle) == ordered(self.lock.bundle):
            return "none"
        key = _get_cache_hash({"cmd": "train", "params": deepcopy(named), "outs": []}, key=True)
        training = "restored" if key in self.run_cache else "trained"
        params = read_yaml(self.root / "params.yaml")
        self.bundle = self.run_cache.setdefault(key, {node: params[node] for node in TRAINED_WITH})
        self.lock.params, self.lock.bundle = named, self.bundle
        return training

    def _named_params(self) -> Tree:
        """Return the parameters that dvc.yaml names for train, as DVC reads them."""
        named: Tree = {}
        for path, keys in train_params().items():
            found = read_param_file(LocalFileSystem(), str(self.root / path), keys, flatten=True)
            assert set(found) == set(keys), f"dvc.yaml names {set(keys) - set(found)}, which {path} lacks"
            named |= {f"{path}:{key}": value for key, value in found.items()}
        return named

    def _files(self) -> dict[str, str]:
        return {str(path.relative_to(self.root)): path.read_text() for pattern in TRACKED for path in sorted(self.root.glob(pattern))}

    def _check_out(self, name: str) -> None:
        files, lock = self.commits[name]
        now = self._files()
        for path in now.keys() - files.keys():
            (self.root / path).unlink()
        for path, text in files.items():
            if now.get(path) != text:
                self.write(path, text)
        self.lock = deepcopy(lock)


def fast_workspace(to: Path) -> FastWorkspace:
    """Make a working copy in which everything is up to date."""
    shutil.copytree(ROOT / "conf", to / "conf", ignore=shutil.ignore_patterns("local"))
    project = FastWorkspace(to)
    make_small(project)
    project.make_a_baseline_with_something_to_order()
    for group, options in KEPT.items():
        for path in (to / "conf" / group).glob("*.yaml"):
            if path.stem not in options:
                path.unlink()
    project.reproduce()
    return project


def train_params() -> dict[str, list[str]]:
    """Return file -> the parameters that dvc.yaml names for train."""
    named: dict[str, list[str]] = {}
    for entry in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["train"]["params"]:
        for path, keys in entry.items() if isinstance(entry, dict) else [("params.yaml", [entry])]:
            named.setdefault(path, []).extend(keys)
    return named
