"""A copy of conf/ with what the configure stage writes beside it, and the ways in which people change it."""

import re

from hydra import compose as hydra_compose
from hydra import initialize_config_dir

from pipeline.config.compose import dump, plain, read_yaml, resolved
from pipeline.config.live import composing, live_run
from pipeline.config.params_lock import Lock
from pipeline.config.sync import configure
from pipeline.config.tree import Tree, get, put
from tests.project import ROOT, Project

LOCAL = "conf/local/overrides.yaml"
STAGES = read_yaml(ROOT / "dvc.yaml")["stages"]


class Copy(Project):
    def configure(self) -> list[str]:
        return configure(self.root, in_experiment=False)

    def dvc_composes(self, *overrides: str) -> None:
        """Do what `dvc exp run -S` does before the configure stage, and all that it does where another dvc is at work."""
        with initialize_config_dir(str(self.root / "conf"), version_base=None):
            self.write_params(resolved(plain(hydra_compose("config", overrides=list(overrides)))))

    def experiment(self, *overrides: str, trains: bool = True) -> list[str]:
        """Do what `dvc exp run -S` and `dvc exp apply` leave in the working copy."""
        self.dvc_composes(*overrides)
        lines = configure(self.root, in_experiment=True)
        if trains:
            self.train()
        return lines

    def train(self, **more: Tree) -> None:
        """Write into dvc.lock what DVC does after the stages up to train. more: of a stage, its deps or outs."""
        files, stages = {name: read_yaml(self.root / name) for name in ("params.yaml", "conf.lock")}, {}
        for name in ("fetch", "resize", "train"):
            params: Tree = {"params.yaml": {}, "conf.lock": {}}
            for entry in STAGES[name]["params"]:
                path, keys = ("conf.lock", entry["conf.lock"]) if isinstance(entry, dict) else ("params.yaml", [entry])
                params[path] |= {key: get(files[path], key) for key in keys}
            stages[name] = {"params": params} | more.get(name, {})
        self.write("dvc.lock", dump({"stages": stages}))

    def check_live(self, *words: str) -> Tree:
        """Do what a live run does with its command line before its work begins; return the config."""
        with composing(self.root, list(words)), initialize_config_dir(str(self.root / "conf"), version_base=None):
            tree = plain(hydra_compose("config", overrides=list(words)))
        folder = self.root / "runs" / "test"
        folder.mkdir(parents=True)
        with live_run(tree, self.root, folder, list(words)) as params:
            return params

    def type(self, key: str, value: object) -> None:
        """Change a value in params.yaml as by hand."""
        tree = read_yaml(self.root / "params.yaml")
        put(tree, key, value)
        self.write_params(tree)

    def write_params(self, tree: Tree) -> None:
        self.write("params.yaml", dump(tree))

    def default(self, group: str, option: str) -> None:
        """Change a default choice in conf/config.yaml."""
        self.write("conf/config.yaml", re.sub(rf"(  - {group}:) \w+", rf"\1 {option}", self.read("conf/config.yaml")))

    def value(self, path: str, key: str, value: object) -> None:
        """Change a value in a file of conf/."""
        text, count = re.subn(rf"^({key}:) [^ #\n]+", rf"\1 {value}", self.read(path), flags=re.MULTILINE)
        assert count == 1
        self.write(path, text)

    @property
    def overrides(self) -> Tree:
        return read_yaml(self.root / LOCAL) if (self.root / LOCAL).exists() else {}

    @property
    def lock(self) -> Lock:
        return Lock.read(self.root / "conf.lock")

    @property
    def files(self) -> dict[str, bytes]:
        return {str(path.relative_to(self.root)): path.read_bytes() for path in self.root.rglob("*") if path.is_file()}
