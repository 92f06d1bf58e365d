"""The entry point of every stage: one command for DVC and for people, true exit codes, one-line errors.

In dvc.yaml   python -m pipeline.stage.train --config-dir . --config-name params    reads params.yaml, writes DVC's outs
live          python -m pipeline.stage.train model=lenet optimizer.lr=0.01          composes conf/, writes runs/<id>/
"""

import atexit
import gc
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from itertools import filterfalse
from pathlib import Path
from typing import Any, NoReturn

from pipeline.config.begun import begun
from pipeline.config.errors import UNEXPECTED, BusyError, ConfigError, Stopped, is_unexpected, verdict
from pipeline.config.places import WORKSPACE, Places
from pipeline.config.rank import LOCAL, helping, may_help, rank_of
from pipeline.config.schema import Config
from pipeline.config.secrets import redact
from pipeline.config.streams import open_streams

Main = Callable[[Config, Places], Any]  # what it returns is a sweep's objective

SHARED = "train"  # the stage whose work several processes may do together


def entry(main: Main) -> Callable[[], None]:
    """Make `main(cfg, places)` a command; its file's name is the stage's."""
    stage = Path(main.__code__.co_filename).stem

    def run() -> None:
        open_streams(work_goes_on=True)
        if not {"--help", "-h"}.isdisjoint(sys.argv):
            print(f"{main.__doc__}\n")
        run_command(stage, lambda: launch(stage, main), is_stage=True)

    return run


def run_command(name: str, work: Callable[[], Any], *, is_stage: bool = False) -> NoReturn:
    """Do the work and end the process by its exit code, but do not take torch apart, which takes a second.

    Who is killed in that second has done all and seems to have failed: the training would be made again, as another run."""
    open_streams()
    codes: list[int] = []
    atexit.register(_leave, codes)  # called after all that is registered from now on
    codes.append(exit_code(name, work, is_stage=is_stage))
    if codes == [0]:
        for number in (signal.SIGTERM, signal.SIGINT):  # which come too late
            signal.signal(number, signal.SIG_IGN)
    if codes == [ConfigError.exit_code] and threading.active_count() == 1:  # nothing has begun
        _leave(codes)
    sys.exit(codes[0])


def _leave(codes: list[int]) -> None:
    """End the process at once; no code: where it ends by something else, which has its own."""
    if codes:
        for stream in (sys.stdout, sys.stderr):
            with suppress(BrokenPipeError):  # the reader has seen enough
                stream.flush()
        os._exit(codes[0])


def exit_code(name: str, work: Callable[[], Any], *, is_stage: bool = False) -> int:
    """Do the work; turn what goes wrong into one line on stderr and an exit code that says what kind it was.

    is_stage: its words are lost without an error where nobody reads them (streams.py), so a broken pipe is one of its work."""
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    try:
        work()
    except (Exception, Stopped) as error:
        if isinstance(error, BrokenPipeError) and not is_stage:  # the reader has seen enough: … | head
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        if is_unexpected(error):
            import traceback

            print(redact(traceback.format_exc()), end="", file=sys.stderr)
        code, reason = verdict(error)
        print(f"{name} failed: {redact(reason)}", file=sys.stderr)
        return code
    return 0


def launch(stage: str, main: Main) -> None:
    """Let Hydra read the command line and run `main` with the typed config."""
    in_dvc = "DVC_STAGE" in os.environ and "params" in sys.argv
    with begun(WORKSPACE) if in_dvc and not may_help() else nullcontext():
        _launch(stage, main, in_dvc)


def _launch(stage: str, main: Main, in_dvc: bool) -> None:
    gc.disable()  # until main: of what is imported and composed until then little is garbage, and looking for it takes a tenth of the time
    import hydra

    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come here whole, to be told in one line
    run_folder = f"runs/{time.strftime('%Y%m%d-%H%M%S')}-{os.urandom(3).hex()}"
    settings = {
        "hydra.run.dir": "." if in_dvc else run_folder,
        "hydra.sweep.dir": run_folder,
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

    sweep = (socket.gethostname(), os.getpid())
    failed: list[Exception] = []

    def task(cfg: Any) -> Any:
        from hydra.core.hydra_config import HydraConfig
        from hydra.types import RunMode

        if HydraConfig.get().mode is not RunMode.MULTIRUN:
            try:
                return _run_stage(stage, main, cfg, in_dvc, run_folder)
            except Exception as error:  # Hydra would print a line of its own
                failed.append(error)
                return None
        from pipeline.config.job import as_job

        return as_job(lambda: _run_stage(stage, main, cfg, in_dvc, run_folder), cfg, sweep)

    if in_dvc or LOCAL in os.environ:
        _watch_parent()
    try:
        with _around_hydra(in_dvc, stage):
            hydra.main(config_path=str(WORKSPACE / "conf"), config_name="config", version_base="1.3")(task)()
            if failed:
                raise failed[0]
    except Exception as error:
        if type(error).__module__.startswith(("hydra.", "omegaconf.", "yaml.")):
            from pipeline.config.composition import in_one_line

            raise ConfigError(in_one_line(error)) from error
        raise


def _is_override(word: str) -> bool:
    return not word.startswith("-") and ("=" in word or word.startswith("~"))


@contextmanager
def _around_hydra(in_dvc: bool, stage: str) -> Iterator[None]:
    """Put around Hydra what a live run needs: it sees no secret, writes to no folder of others, and its refusals say where."""
    if in_dvc:  # where the stage before has looked
        yield
        return
    from pipeline.config.live import composing
    from pipeline.config.sweep import sweeping

    with composing(WORKSPACE, sys.argv[1:]), sweeping(WORKSPACE, stage):
        yield


def _run_stage(stage: str, main: Main, cfg: Any, in_dvc: bool, run_folder: str) -> Any:
    from filelock import FileLock, Timeout
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from pipeline.config.composition import dump, parse, plain, resolved
    from pipeline.config.held import held

    live = None if in_dvc else WORKSPACE / HydraConfig.get().runtime.output_dir
    if stage == SHARED and may_help() and rank_of((config := parse(resolved(_settled(plain(cfg), in_dvc)))).training):
        with suppress(OSError):
            (WORKSPACE / run_folder).rmdir()  # which Hydra has made where torchrun has started this process
        with helping():
            return main(config, Places(live))
    typed = plain(HydraConfig.get().overrides)["task"]
    is_job = HydraConfig.get().mode is RunMode.MULTIRUN
    if is_job:  # the command that helpers get is that of this job, not of the sweep
        sys.argv[1:] = [*typed, *(word for word in sys.argv if word.startswith("hydra"))]
    checked: AbstractContextManager[Any] = nullcontext(resolved(_settled(plain(cfg), in_dvc)) if in_dvc else None)
    unchanged: AbstractContextManager[None] = held(WORKSPACE, stage) if in_dvc else nullcontext()
    if live:
        from pipeline.config.live import live_run

        checked = live_run(plain(cfg), WORKSPACE, live, typed, is_job)
    lock = FileLock((live or WORKSPACE / ".dvc" / "tmp") / f".{stage}.lock", blocking=False)
    try:
        with checked as params, lock, unchanged:
            if live:
                (live / "config.yaml").write_text(dump(params))
            gc.enable()
            return main(parse(params), Places(live, typed))
    except Timeout:
        raise BusyError(f"another process is writing the outputs of {stage}; wait for it or stop it, then repeat") from None


def _settled(tree: dict[str, Any], in_dvc: bool) -> dict[str, Any]:
    if in_dvc:
        from pipeline.config.order import settled

        return settled(tree)
    from pipeline.config.live import ordered

    return ordered(tree, WORKSPACE)


def _stop(signal_number: int, _: Any) -> None:
    raise Stopped(signal_number)


def _watch_parent() -> None:
    """End this process when the one that started it dies: a killed dvc leaves its stage writing, beside the next one.

    A helper of a training ends at once: it may hang in a talk with rank 0, where no signal reaches it."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        if os.environ.get(LOCAL, "0") != "0":
            os._exit(UNEXPECTED)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
