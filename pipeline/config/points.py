"""The points of a sweep, all checked before the first starts: a wrong one refuses the sweep, and is named."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import filter_overrides
from omegaconf import DictConfig, OmegaConf, open_dict

from pipeline.config.composition import Tree, choices, in_one_line, known_keys, parse, plain
from pipeline.config.errors import ConfigError
from pipeline.config.live import ordered
from pipeline.config.live_folder import refuse_folder
from pipeline.config.lock import accepted
from pipeline.config.origin import Origin
from pipeline.config.rank import ranks_of
from pipeline.config.refusals import located
from pipeline.config.secrets import redact

Point = Sequence[str]  # overrides


class Points:
    """checked: number -> overrides of the points that can be worked at, in their order."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.checked: dict[int, Point] = {}
        self.folders: dict[Path, int] = {}
        self.bases: dict[tuple[tuple[str, str], ...], Tree] = {}  # choices -> conf/ under them
        self.accepted: Tree | None = None  # the config of the last point: what is as it is there is not built again

    def check(self, loader: Any, config: DictConfig, points: Sequence[Point], first: int) -> None:
        """Raise ConfigError for the first point that can't be worked at, by its number and its values."""
        for number, overrides in enumerate(points, first):
            if number not in self.checked:
                try:
                    self._check(loader, config, number, overrides)
                except ConfigError as error:
                    raise ConfigError(f"point {number} of the sweep ({values_of(overrides)}): {error}") from error
                self.checked[number] = overrides

    def _check(self, loader: Any, config: DictConfig, number: int, overrides: Point) -> None:
        origin = Origin(self.root, filter_overrides(overrides))
        with located(origin):
            job = _composed(loader, config, number, overrides)
            self._check_folder(job, number)
            with open_dict(job):
                del job["hydra"]
            origin.tree = tree = ordered(plain(job), self.root)
            self._check_tree(tree)
            is_parallel = not config.hydra.launcher._target_.endswith(".BasicLauncher")
            if is_parallel and ranks_of(parse(self.accepted or {}).training) > 1:
                raise ConfigError("a training on several devices works in a sweep without hydra/launcher alone", "training.devices")

    def _check_folder(self, job: DictConfig, number: int) -> None:
        folder = refuse_hydras_folder(self.root, job, "hydra.sweep.dir", "hydra.sweep.subdir")
        refuse_hydras_folder(self.root, job, "hydra.sweep.dir", "hydra.sweep.subdir", "hydra.output_subdir")
        if (other := self.folders.setdefault(folder, number)) != number:
            raise ConfigError(f"it would write to the folder of point {other}, {folder}; leave hydra.sweep.subdir out")

    def _check_tree(self, tree: Tree) -> None:
        from pipeline.config.checks.check import check

        chosen = tuple(choices(tree).items())
        if chosen not in self.bases:
            self.bases[chosen] = known_keys(self.root / "conf", tree)
        self.accepted = check(tree, self.bases[chosen], self.accepted or accepted(self.root))


def _composed(loader: Any, config: DictConfig, number: int, overrides: Point) -> DictConfig:
    try:
        job: DictConfig = loader.load_sweep_config(config, list(overrides))
    except Exception as error:  # Hydra's, OmegaConf's and YAML's share no base
        raise ConfigError(in_one_line(error)) from error
    with open_dict(job):
        job.hydra.job.id, job.hydra.job.num = str(number), number
    return job


def points_of(loader: Any, config: DictConfig) -> list[Point] | None:
    """Return the points of Hydra's own sweeper in their order; None: another one finds its points as it goes."""
    if not config.hydra.sweeper._target_.endswith(f".{BasicSweeper.__name__}"):
        return None
    params = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
    parsed = OverridesParser.create(config_loader=loader).parse_overrides([*params, *config.hydra.overrides.task])
    return list(BasicSweeper.split_arguments(parsed, None)[0])


def values_of(point: Point) -> str:
    return redact(", ".join(filter_overrides(point)))


def refuse_hydras_folder(root: Path, config: DictConfig, *keys: str) -> Path:
    """Return the folder that these keys of Hydra's make together. Raises ConfigError where a live run must not write to it.

    A key that is null, or that this launcher does not have, adds nothing; where it is the last, there is nothing to look at."""
    before = HydraConfig.instance().cfg
    HydraConfig.instance().set_config(config)  # to which ${hydra:…} refers
    try:
        parts = [OmegaConf.select(config, key) for key in keys]
    finally:
        HydraConfig.instance().cfg = before
    folder = Path.cwd().joinpath(*(str(part) for part in parts if part is not None))
    if parts[-1] is not None:
        with located(Origin(root, list(config.hydra.overrides.hydra))):
            refuse_folder(keys[-1], folder, root)
    return folder
