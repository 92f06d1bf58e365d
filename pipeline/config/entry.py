"""The entry point of every stage: one command for DVC and for people, true exit codes, one-line errors.

In dvc.yaml   python -m pipeline.stage.train --config-dir . --config-name params    reads params.yaml, writes DVC's outs
live          python -m pipeline.stage.train model=lenet optimizer.lr=0.01          composes conf/, writes runs/<id>/
"""

import errno
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.config.errors import BusyError, ConfigError, PipelineError, Stopped
from pipeline.config.places import WORKSPACE, Places
from pipeline.config.schema import Config

Main = Callable[[Config, Places], None]

DISK_FULL, UNEXPECTED = 73, 1  # exit codes beside those of pipeline/config/errors.py


def entry(main: Main) -> Callable[[], None]:
    """Make `main(cfg, places)` a command; its file's name is the stage's."""
    stage = Path(main.__code__.co_filename).stem

    def run() -> None:
        if not {"--help", "-h"}.isdisjoint(sys.argv):
            print(f"{main.__doc__}\n")
        sys.exit(exit_code(stage, lambda: launch(stage, main)))

    return run


def exit_code(name: str, work: Callable[[], Any]) -> int:
    """Do the work; turn what goes wrong into one line on stderr and an exit code that says what kind it was."""
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    try:
        work()
    except PipelineError as error:
        return _failed(name, str(error), error.exit_code)
    except Stopped as stopped:
        return _failed(name, f"{stopped}; nothing of it counts as done, the same command starts again", stopped.exit_code)
    except BrokenPipeError:  # the reader has seen enough: … | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return _failed(name, f"the disk is full: {error.filename or ''} {error.strerror}; free some space and repeat", DISK_FULL)
        return _unexpected(name, error)
    except Exception as error:
        return _unexpected(name, error)
    return 0


def launch(stage: str, main: Main) -> None:
    """Let Hydra read the command line and run `main` with the typed config."""
    import hydra

    in_dvc = "DVC_STAGE" in os.environ and "params" in sys.argv
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come here whole, to be told in one line
    run_folder = f"runs/{time.strftime('%Y%m%d-%H%M%S')}-{os.urandom(3).hex()}"
    settings = {
        "hydra.run.dir": "." if in_dvc else run_folder,
        "hydra.sweep.dir": run_folder,
        "hydra.output_subdir": "null",
        "hydra/job_logging": "none",
        "hydra/hydra_logging": "none",
    }
    given = {argument.partition("=")[0] for argument in sys.argv}
    sys.argv += [f"{key}={value}" for key, value in settings.items() if key not in given]

    failures: list[Exception] = []  # of a sweep's jobs: one failed job does not end the others

    def task(cfg: Any) -> None:
        try:
            _run_stage(stage, main, cfg, in_dvc)
        except Exception as error:
            failures.append(error)
            if len(failures) > 1:
                _failed(stage, str(error), UNEXPECTED)

    if in_dvc:
        _watch_parent()
    try:
        hydra.main(config_path=str(WORKSPACE / "conf"), config_name="config", version_base="1.3")(task)()
    except (PipelineError, Stopped):
        raise
    except Exception as error:
        if type(error).__module__.startswith(("hydra.", "omegaconf.", "yaml.")):
            from pipeline.config.composition import in_one_line

            raise ConfigError(in_one_line(error)) from error
        raise
    if failures:
        raise failures[0]


def _run_stage(stage: str, main: Main, cfg: Any, in_dvc: bool) -> None:
    from filelock import FileLock, Timeout
    from hydra.core.hydra_config import HydraConfig

    from pipeline.config.composition import parse, plain, resolved

    params = resolved(plain(cfg))
    live = None if in_dvc else WORKSPACE / HydraConfig.get().runtime.output_dir
    places = Places(live)
    if live:
        from pipeline.config.live import begin_live_run

        begin_live_run(params, WORKSPACE, live)
    lock = FileLock((live or WORKSPACE / ".dvc" / "tmp") / f".{stage}.lock", blocking=False)
    try:
        with lock:
            main(parse(params), places)
    except Timeout:
        raise BusyError(f"another process is writing the outputs of {stage}; wait for it or stop it, then repeat") from None


def _stop(signal_number: int, _: Any) -> None:
    raise Stopped(signal_number)


def _watch_parent() -> None:
    """End this process when dvc dies: a killed dvc leaves its stage writing, beside the next one."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def _failed(name: str, reason: str, code: int) -> int:
    print(f"{name} failed: {reason}", file=sys.stderr)
    return code


def _unexpected(name: str, error: Exception) -> int:
    import traceback

    traceback.print_exc()
    return _failed(
        name, f"unexpected {type(error).__name__}: {error}. This is a fault of the pipeline; the lines above say where", UNEXPECTED
    )
