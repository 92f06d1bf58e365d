"""The entry point of every stage, one command for DVC and for people; Hydra composes its config.

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
from pipeline.config.ranks import helping, may_help, rank_of
from pipeline.config.schema import Config
from pipeline.config.tree import apply_directives

Main = Callable[[Config, Places], Any]  # its return value is a sweep's objective

SHARED = "train"  # the stage whose work several processes may share


def entry(main: Main) -> Callable[[], None]:
    """Make `main(cfg, places)` a command; its file's name is the stage's."""
    stage = Path(main.__code__.co_filename).stem

    def run() -> None:
        open_streams(work_goes_on=True)
        if not {"--help", "-h"}.isdisjoint(sys.argv):
            print(f"{main.__doc__}\n")
        run_command(stage, lambda: launch(stage, main), is_stage=True)

    return run


def launch(stage: str, main: Main) -> None:
    """Let Hydra read the command line and run `main` with the typed config; Hydra's refusals are raised as ConfigError."""
    gc.disable()  # until main: what is imported and composed until then leaves little garbage, and collecting takes a tenth of the time
    run = _Run(stage, main, in_dvc="DVC_STAGE" in os.environ and "params" in sys.argv)
    if not run.in_dvc or may_help():
        run.start()
        return
    from pipeline.config.dvc_stage import marked_unfinished

    with marked_unfinished(WORKSPACE):
        run.start()


@dataclass
class _Run:
    """One command of a stage: a run, or a sweep of jobs in this process.

    folder: below the project's root, of a live run for which none is named. given: the words of the command line."""

    stage: str
    main: Main
    in_dvc: bool
    folder: str = field(default_factory=lambda: f"runs/{time.strftime('%Y%m%d-%H%M%S')}-{os.urandom(3).hex()}")
    sweep_id: str = field(default_factory=lambda: os.urandom(8).hex())
    given: Sequence[str] = field(default_factory=lambda: tuple(sys.argv[1:]))  # a launcher's process has other words

    def start(self) -> None:
        import hydra

        os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come here whole, to be told in one line
        self._complete_command_line()
        if self.in_dvc or "RANK" in os.environ:  # torchrun's
            _end_with_parent()
        sweep = (socket.gethostname(), os.getpid())
        failed: list[Exception] = []

        def task(cfg: Any) -> Any:
            return self._task(cfg, sweep, failed)

        try:
            with self._around_hydra():
                hydra.main(config_path=str(WORKSPACE / "conf"), config_name="config", version_base="1.3")(task)()
            if failed:  # not above, where whatever is raised counts as a refusal of the config
                raise failed[0]
        except Exception as error:
            if type(error).__module__.startswith(("hydra.", "omegaconf.", "yaml.")):
                from pipeline.config.compose import in_one_line

                raise ConfigError(in_one_line(error)) from error
            raise

    def _complete_command_line(self) -> None:
        """Add Hydra's settings that were not typed: no stray outputs/ or train.log appears."""
        settings = {
            "hydra.run.dir": "." if self.in_dvc else self.folder,
            "hydra.sweep.dir": self.folder,
            "hydra.output_subdir": "null",
            "hydra/job_logging": "none",
            "hydra/hydra_logging": "none",
        }
        words = sys.argv[1:]
        given = {word.partition("=")[0] for word in words}
        ours = [f"{key}={value}" for key, value in settings.items() if key not in given]
        # together, as argparse takes no second group of them behind an option; before, as --info would take one for its own value
        sys.argv[1:] = [*filter(_is_override, words), *ours, *filterfalse(_is_override, words)]
        if "--hydra-help" in words:  # it composes Hydra's part alone
            sys.argv[1:] = [*ours, "--hydra-help"]

    @contextmanager
    def _around_hydra(self) -> Iterator[None]:
        """Put around Hydra what a live run needs: it sees no secret, writes to no folder of others, and its refusals say where."""
        if self.in_dvc:  # configure has checked
            yield
            return
        from pipeline.config.live import composing
        from pipeline.config.sweep import sweeping

        with composing(WORKSPACE, sys.argv[1:]), sweeping(WORKSPACE, self.stage):
            yield

    def _task(self, cfg: Any, sweep: tuple[str, int], failed: list[Exception]) -> Any:
        """Do what Hydra calls: the run, or one job of a sweep. An error goes into `failed`: Hydra would print a line of its own."""
        if _is_job():
            from pipeline.config.job import as_job

            return as_job(lambda: self._work(cfg), cfg, sweep)
        try:
            return self._work(cfg)
        except Exception as error:
            failed.append(error)
            return None

    def _work(self, cfg: Any) -> Any:
        from hydra.core.hydra_config import HydraConfig

        from pipeline.config.compose import parse, plain, resolved

        tree = plain(cfg)
        live = None if self.in_dvc else WORKSPACE / HydraConfig.get().runtime.output_dir
        if self.stage == SHARED and may_help() and rank_of((config := parse(resolved(self._settled(tree)))).training):
            with suppress(OSError):
                (WORKSPACE / self.folder).rmdir()  # which Hydra has made where torchrun has started this process
            with helping():
                return self.main(config, Places(live))
        typed = plain(HydraConfig.get().overrides)["task"]
        if _is_job():  # the command that helpers get is that of this job, not of the sweep
            sys.argv[1:] = [*typed, *(word for word in sys.argv if word.startswith("hydra"))]
        return self._work_alone(live, typed, self._checked(tree, live, typed))

    def _work_alone(self, live: Path | None, typed: list[str], checked: AbstractContextManager[Any]) -> Any:
        """Run `main` while no other process writes the same outputs. Raises BusyError where one does."""
        from filelock import FileLock, Timeout

        from pipeline.config.compose import dump, parse

        lock = FileLock((live or WORKSPACE / ".dvc" / "tmp") / f".{self.stage}.lock", blocking=False)
        try:
            with checked as params, lock, self._unchanged_inputs():
                if live:
                    (live / "config.yaml").write_text(dump(params))
                gc.enable()
                return self.main(parse(params), Places(live, typed, self._job(typed) if _is_job() else None))
        except Timeout:
            raise BusyError(f"another process is writing the outputs of {self.stage}; wait for it or stop it, then repeat") from None

    def _job(self, typed: list[str]) -> Job:
        from hydra.core.hydra_config import HydraConfig

        hydra = HydraConfig.get()
        varied = tuple(word for word in typed if word not in self.given)
        return Job(Path(hydra.sweep.dir).name, self.sweep_id, int(hydra.job.num), varied)

    def _checked(self, tree: dict[str, Any], live: Path | None, typed: list[str]) -> AbstractContextManager[Any]:
        """Return a context that gives the resolved config; configure has checked that of a stage in DVC."""
        if live:
            from pipeline.config.live import live_run

            return live_run(tree, WORKSPACE, live, typed, _is_job())
        from pipeline.config.compose import resolved

        return nullcontext(resolved(self._settled(tree)))

    def _unchanged_inputs(self) -> AbstractContextManager[None]:
        if not self.in_dvc:
            return nullcontext()
        from pipeline.config.dvc_stage import unchanged_inputs

        return unchanged_inputs(WORKSPACE, self.stage)

    def _settled(self, tree: dict[str, Any]) -> dict[str, Any]:
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
    """End this process when the one that started it dies: a killed dvc leaves its stage writing, beside the next one.

    A helper of a training ends at once: it may be blocked in a collective with rank 0, where it answers no signal."""
    from pipeline.config.parent import end_at_once, end_with

    end_with(os.getppid(), end_at_once if may_help() else lambda: os.kill(os.getpid(), signal.SIGTERM))
