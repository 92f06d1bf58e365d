"""A sweep of live runs: all its points are checked before the first starts, whatever launcher starts its jobs.

Hydra has no hook before it writes anything, nor before a sweep's jobs start, and what its own callbacks raise becomes a warning.
So two of its names are replaced meanwhile; requirements.lock pins it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hydra._internal.hydra as hydras
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, filter_overrides
from hydra.plugins.launcher import Launcher
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from pipeline.config.compose import in_one_line, parse, plain
from pipeline.config.errors import ConfigError, Stopped
from pipeline.config.job import RECORDS
from pipeline.config.jobs import Jobs, Point, values_of
from pipeline.config.live import ordered, refuse_folder, warn_of_unlifted
from pipeline.config.locate import Origin, located
from pipeline.config.params_lock import accepted
from pipeline.config.ranks import ranks_of
from pipeline.config.tree import Tree
from pipeline.config.validate import check

Look = Callable[[DictConfig], None]
Wrap = Callable[[Launcher, Any, DictConfig], Launcher]


@contextmanager
def sweeping(root: Path, stage: str) -> Iterator[None]:
    """Surround Hydra: check where it would write, and the points of a sweep, before it begins; print the outcomes of the jobs.

    Raises ConfigError before anything is written, JobsFailed at the end."""
    points = Points(root)
    jobs = Jobs(stage, points.checked)

    def look(config: DictConfig) -> None:
        if config.hydra.mode is RunMode.RUN:
            _refuse_hydras_folder(root, config, "hydra.run.dir")
            _refuse_hydras_folder(root, config, "hydra.run.dir", "hydra.output_subdir")
            return
        _refuse_hydras_folder(root, config, "hydra.sweep.dir")
        _refuse_hydras_folder(root, config, "hydra.launcher.submitit_folder")
        loader = GlobalHydra.instance().config_loader()
        points.check(loader, config, _points_of(loader, config) or [], 0)
        warn_of_unlifted(root)

    with _hooked(look, lambda launcher, loader, config: Watched(launcher, loader, config, points, jobs)):
        try:
            yield
        except Stopped as stopped:
            if jobs.folder:
                stopped.then = "what the table calls done is done; the same command does all again, a training resumes from its checkpoint"
            raise
        finally:
            jobs.print_table()
    jobs.refuse_failures()


class Watched(Launcher):
    """A launcher of Hydra's or a plugin's, whose jobs are checked before they start and supervised until they end."""

    def __init__(self, launcher: Launcher, loader: Any, config: DictConfig, points: "Points", jobs: Jobs) -> None:
        self.launcher, self.loader, self.config, self.points, self.jobs = launcher, loader, config, points, jobs

    def setup(self, **_: Any) -> None:
        """Do nothing: the launcher within has been set up."""

    def launch(self, job_overrides: Sequence[Point], initial_job_idx: int) -> Sequence[JobReturn]:
        """Check all jobs, then start them by the launcher within."""
        self.points.check(self.loader, self.config, job_overrides, initial_job_idx)
        self.jobs.begin(Path.cwd() / self.config.hydra.sweep.dir / RECORDS)
        return self.jobs.launch(self.launcher, job_overrides, initial_job_idx)


class Points:
    """checked: number -> overrides of the points that can work, in their order."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.checked: dict[int, Point] = {}
        self.folders: dict[Path, int] = {}
        self.accepted: Tree | None = None  # the config of the last point: parts that are the same are not built again

    def check(self, loader: Any, config: DictConfig, points: Sequence[Point], first: int) -> None:
        """Raise ConfigError for the first point that can't work, with its number and its values."""
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
            self.accepted = check(tree, self.accepted or accepted(self.root))
            is_parallel = not config.hydra.launcher._target_.endswith(".BasicLauncher")
            if is_parallel and ranks_of(parse(self.accepted or {}).training) > 1:
                raise ConfigError("a training on several devices works in a sweep without hydra/launcher alone", "training.devices")

    def _check_folder(self, job: DictConfig, number: int) -> None:
        folder = _refuse_hydras_folder(self.root, job, "hydra.sweep.dir", "hydra.sweep.subdir")
        _refuse_hydras_folder(self.root, job, "hydra.sweep.dir", "hydra.sweep.subdir", "hydra.output_subdir")
        if (other := self.folders.setdefault(folder, number)) != number:
            raise ConfigError(f"it would write to the folder of point {other}, {folder}; leave hydra.sweep.subdir out")


def _composed(loader: Any, config: DictConfig, number: int, overrides: Point) -> DictConfig:
    try:
        job: DictConfig = loader.load_sweep_config(config, list(overrides))
    except Exception as error:  # Hydra's, OmegaConf's and YAML's share no base
        raise ConfigError(in_one_line(error)) from error
    with open_dict(job):
        job.hydra.job.id, job.hydra.job.num = str(number), number
    return job


def _points_of(loader: Any, config: DictConfig) -> list[Point] | None:
    """Return the points of Hydra's own sweeper in their order; None for another one, which chooses its points as it goes."""
    if not config.hydra.sweeper._target_.endswith(f".{BasicSweeper.__name__}"):
        return None
    params = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
    parsed = OverridesParser.create(config_loader=loader).parse_overrides([*params, *config.hydra.overrides.task])
    return list(BasicSweeper.split_arguments(parsed, None)[0])


def _refuse_hydras_folder(root: Path, config: DictConfig, *keys: str) -> Path:
    """Return the folder that these keys of Hydra's make up. Raises ConfigError where a live run must not write to it.

    A key that is null, or that this launcher does not have, adds nothing; where it is the last, nothing is checked."""
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


@contextmanager
def _hooked(look: Look, wrap: Wrap) -> Iterator[None]:
    """Call `look` with the whole config, Hydra's part included, before a run or a sweep; put `wrap` around a sweep's launcher."""
    callbacks, instantiate = hydras.Callbacks, Plugins.instantiate_launcher

    def looked(config: DictConfig) -> Any:
        look(config)
        return callbacks(config)

    def instantiated(plugins: Plugins, hydra_context: Any, task_function: Any, config: DictConfig) -> Launcher:
        return wrap(instantiate(plugins, hydra_context, task_function, config), hydra_context.config_loader, config)

    hydras.Callbacks, Plugins.instantiate_launcher = looked, instantiated  # type: ignore[misc, assignment, method-assign]
    try:
        yield
    finally:
        hydras.Callbacks, Plugins.instantiate_launcher = callbacks, instantiate  # type: ignore[misc, method-assign]
