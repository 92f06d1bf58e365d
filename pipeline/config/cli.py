"""The entry point of every stage: the same command for DVC and for people, with a config that Hydra composes.

In dvc.yaml   python -m pipeline.stage.train --config-dir . --config-name params    reads params.yaml, writes DVC's outs
live          python -m pipeline.stage.train model=lenet optimizer.lr=0.01          composes conf/, writes runs/<id>/
"""

import gc
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from itertools import filterfalse
from pathlib import Path
from typing import Any

from pipeline.config.errors import BusyError, ConfigError
from pipeline.config.paths import WORKSPACE, Job, Places
from pipeline.config.process import open_streams, run_command
from pipeline.config.ranks import as_nonzero_rank, may_be_nonzero_rank, rank_of
from pipeline.config.schema import Config
from pipeline.config.tree import apply_directives

Main = Callable[[Config, Places], Any]  # returns the objective of a sweep

DISTRIBUTED = "train"  # the stage that may run on several ranks


def entry(main: Main) -> Callable[[], None]:
    """Make a command of `main(cfg, places)`. The stage is named after the file that defines main."""
    stage = Path(main.__code__.co_filename).stem

    def run() -> None:
        open_streams(work_goes_on=True)
        if not {"--help", "-h"}.isdisjoint(sys.argv):
            print(f"{main.__doc__}\n")
        run_command(stage, lambda: launch(stage, main), is_stage=True)

    return run


def launch(stage: str, main: Main) -> None:
    """Parse the command line with Hydra and run `main` with the typed config. Raises Hydra's errors as ConfigError."""
    gc.disable()  # until main: imports and composition leave little garbage, and collecting it takes a tenth of their time
    run = _Run(stage, main, in_dvc="DVC_STAGE" in os.environ and "params" in sys.argv)
    if not run.in_dvc or may_be_nonzero_rank():
        run.start()
        return
    from pipeline.config.dvc_stage import marked_unfinished

    with marked_unfinished(WORKSPACE):
        run.start()


@dataclass
class _Run:
    """One invocation of a stage's command: a single run, or with -m a sweep of jobs.

    folder: of a live run unless the command line names one, relative to the project's root. given: the words of the command line."""

    stage: str
    main: Main
    in_dvc: bool
    folder: str = field(default_factory=lambda: f"runs/{time.strftime('%Y%m%d-%H%M%S')}-{os.urandom(3).hex()}")
    sweep_id: str = field(default_factory=lambda: os.urandom(8).hex())
    given: Sequence[str] = field(default_factory=lambda: tuple(sys.argv[1:]))  # a launcher's process has other words

    def start(self) -> None:
        """Run the command through Hydra. Raises Hydra's errors as ConfigError in one line, and those of main unchanged."""
        import hydra

        os.environ["HYDRA_FULL_ERROR"] = "1"  # raise errors instead of printing them, so that they are reported in one line
        self._complete_command_line()
        if self.in_dvc or "RANK" in os.environ:  # set by torchrun
            _end_with_parent()
        sweep = (socket.gethostname(), os.getpid())
        errors: list[Exception] = []

        def task(cfg: Any) -> Any:
            return self._task(cfg, sweep, errors)

        try:
            with self._live_checks():
                hydra.main(config_path=str(WORKSPACE / "conf"), config_name="config", version_base="1.3")(task)()
            if errors:  # raised out here, as any error within is taken for a fault of the config
                raise errors[0]
        except Exception as error:
            if type(error).__module__.startswith(("hydra.", "omegaconf.", "yaml.")):
                from pipeline.config.compose import in_one_line

                raise ConfigError(in_one_line(error)) from error
            raise

    def _complete_command_line(self) -> None:
        """Add the Hydra settings that the user did not give, so that Hydra leaves no outputs/ or train.log behind."""
        settings = {
            "hydra.run.dir": "." if self.in_dvc else self.folder,
            "hydra.sweep.dir": self.folder,
            "hydra.output_subdir": "null",
            "hydra/job_logging": "none",
            "hydra/hydra_logging": "none",
        }
        words = sys.argv[1:]
        given = {word.partition("=")[0] for word in words}
        added = [f"{key}={value}" for key, value in settings.items() if key not in given]
        # All overrides in one group, as argparse accepts no second one after an option; first, as --info would take one as its value.
        sys.argv[1:] = [*filter(_is_override, words), *added, *filterfalse(_is_override, words)]
        if "--hydra-help" in words:  # which composes Hydra's own config alone
            sys.argv[1:] = [*added, "--hydra-help"]

    @contextmanager
    def _live_checks(self) -> Iterator[None]:
        """Guard Hydra in a live run: it sees no secret, writes to no folder of others, and its errors say where they come from."""
        if self.in_dvc:  # checked by configure
            yield
            return
        from pipeline.config.live import composing
        from pipeline.config.sweep import sweeping

        with composing(WORKSPACE, sys.argv[1:]), sweeping(WORKSPACE, self.stage):
            yield

    def _task(self, cfg: Any, sweep: tuple[str, int], errors: list[Exception]) -> Any:
        """Run the function that Hydra calls, for a run or a job of a sweep. Errors go into `errors`, as Hydra would print its own line.

        sweep: host name and process id of the sweep's process."""
        if _is_job():
            from pipeline.config.job import as_job

            return as_job(lambda: self._work(cfg), cfg, sweep)
        try:
            return self._work(cfg)
        except Exception as error:
            errors.append(error)
            return None

    def _work(self, cfg: Any) -> Any:
        """Run `main` with the checked config, or as a rank other than 0 with the one that rank 0 checks."""
        from hydra.core.hydra_config import HydraConfig

        from pipeline.config.compose import parse, plain, resolved

        tree = plain(cfg)
        live = None if self.in_dvc else WORKSPACE / HydraConfig.get().runtime.output_dir
        if self.stage == DISTRIBUTED and may_be_nonzero_rank():
            config = parse(resolved(self._with_directives(tree)))
            if rank_of(config.training):
                with suppress(OSError):
                    (WORKSPACE / self.folder).rmdir()  # made by Hydra if torchrun started this process
                with as_nonzero_rank():
                    return self.main(config, Places(live))
        overrides = plain(HydraConfig.get().overrides)["task"]
        if _is_job():  # other ranks are started with the command line of this job, not of the sweep
            sys.argv[1:] = [*overrides, *(word for word in sys.argv if word.startswith("hydra"))]
        return self._work_locked(live, overrides, self._checked(tree, live, overrides))

    def _work_locked(self, live: Path | None, overrides: list[str], checked: AbstractContextManager[Any]) -> Any:
        """Run `main` while no other process writes the same outputs. Raises BusyError if one does."""
        from filelock import FileLock, Timeout

        from pipeline.config.compose import dump, parse

        lock = FileLock((live or WORKSPACE / ".dvc" / "tmp") / f".{self.stage}.lock", blocking=False)
        try:
            with checked as params, lock, self._unchanged_inputs():
                if live:
                    (live / "config.yaml").write_text(dump(params))
                gc.enable()
                return self.main(parse(params), Places(live, overrides, self._job(overrides) if _is_job() else None))
        except Timeout:
            raise BusyError(f"another process is writing the outputs of {self.stage}; wait for it or stop it, then repeat") from None

    def _job(self, overrides: list[str]) -> Job:
        from hydra.core.hydra_config import HydraConfig

        hydra = HydraConfig.get()
        varied = tuple(word for word in overrides if word not in self.given)
        return Job(Path(hydra.sweep.dir).name, self.sweep_id, int(hydra.job.num), varied)

    def _checked(self, tree: dict[str, Any], live: Path | None, overrides: list[str]) -> AbstractContextManager[Any]:
        """Return a context manager that gives the resolved config: checked here in a live run, by configure in DVC."""
        if live:
            from pipeline.config.live import live_run

            return live_run(tree, WORKSPACE, live, overrides, _is_job())
        from pipeline.config.compose import resolved

        return nullcontext(resolved(self._with_directives(tree)))

    def _unchanged_inputs(self) -> AbstractContextManager[None]:
        if not self.in_dvc:
            return nullcontext()
        from pipeline.config.dvc_stage import unchanged_inputs

        return unchanged_inputs(WORKSPACE, self.stage)

    def _with_directives(self, tree: dict[str, Any]) -> dict[str, Any]:
        """Return the config with `_order_` and `_absent_` applied."""
        if self.in_dvc:
            return apply_directives(tree)
        from pipeline.config.live import ordered

        return ordered(tree, WORKSPACE)


def _is_override(word: str) -> bool:
    return not word.startswith("-") and ("=" in word or word.startswith("~"))


def _is_job() -> bool:
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    return HydraConfig.get().mode is RunMode.MULTIRUN


def _end_with_parent() -> None:
    """End this process when its parent dies: otherwise the stage of a killed dvc keeps writing beside the next one.

    A rank other than 0 exits at once: it may be blocked in a collective with rank 0, where no signal is handled."""
    from pipeline.config.parent import end_at_once, end_with

    end_with(os.getppid(), end_at_once if may_be_nonzero_rank() else lambda: os.kill(os.getpid(), signal.SIGTERM))
