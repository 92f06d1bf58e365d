"""A command as a process: its streams, its command line, its signals, true exit codes, one-line errors."""

import atexit
import inspect
import io
import locale
import os
import signal
import sys
import threading
from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

from pipeline.config.errors import ConfigError, Stopped, is_unexpected, verdict
from pipeline.config.ranks import ERROR_FILE, record_failure
from pipeline.config.secrets import redact

OUTPUTS = ("stdout", "stderr")
ESCAPED = "backslashreplace"  # how a character is written that an output's encoding lacks


def run_command(name: str, work: Callable[[], Any], *, is_stage: bool = False) -> NoReturn:
    """Do the work and end the process with its exit code, without tearing torch down, which takes a second.

    A process killed in that second has done all its work, yet would seem to have failed: the training would be repeated."""
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
    """End the process at once; no code: it ends by something else, which has its own."""
    if codes:
        for stream in (sys.stdout, sys.stderr):
            with suppress(BrokenPipeError):  # the reader has seen enough
                stream.flush()
        os._exit(codes[0])


def exit_code(name: str, work: Callable[[], Any], *, is_stage: bool = False) -> int:
    """Do the work; return the exit code, and print what went wrong as one line on stderr, after a traceback if unexpected.

    is_stage: its output is dropped without an error where nobody reads it, so a broken pipe is one of its work."""
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
        if ERROR_FILE in os.environ:  # torchrun's
            record_failure(code, redact(reason))
        print(f"{name} failed: {redact(reason)}", file=sys.stderr)
        return code
    return 0


def _stop(signal_number: int, _: Any) -> None:
    raise Stopped(signal_number)


def parser_of(main: Callable[[], object]) -> ArgumentParser:
    """Return a parser whose --help is the docstring of `main`, for a command without a config; those with one leave theirs to Hydra."""
    spec = sys.modules[main.__module__].__spec__  # a module that runs is called __main__
    prog = f"python -m {spec.name if spec else main.__module__}"
    return ArgumentParser(prog, description=inspect.getdoc(main), formatter_class=RawDescriptionHelpFormatter, allow_abbrev=False)


def no_arguments(main: Callable[[], object]) -> None:
    """Answer --help; refuse any other argument."""
    parser_of(main).parse_args()


def positive(text: str) -> int:
    """Parse an option's whole number from 1 on; raises ArgumentTypeError for any other text."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def open_streams(*, work_goes_on: bool = False) -> None:
    """Make this process, and those that it starts, read and write text and file names as UTF-8, and never fail to print.

    In another locale the process starts anew in UTF-8 mode, with its output in that locale's encoding.
    work_goes_on: also when the reader of its output has gone, as in `… | head`."""
    if not sys.flags.utf8_mode and locale.getencoding().lower() != "utf-8":
        printed_in = {"PYTHONIOENCODING": f"{locale.getencoding()}:{ESCAPED}"}
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], printed_in | dict(os.environ) | {"PYTHONUTF8": "1"})
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:  # in place of a closed one, which the next file would take
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    for number, name in enumerate(OUTPUTS, 1):
        stream = getattr(sys, name) or open(number, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        setattr(sys, name, stream)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=ESCAPED)
            if work_goes_on:
                setattr(sys, name, _without_broken_pipes(stream))


class _Unbreakable(io.FileIO):
    """Discards what is written once nobody reads it any more."""

    def write(self, data: object) -> int:
        try:
            return super().write(data)  # type: ignore[arg-type]
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
            return len(memoryview(data))  # type: ignore[arg-type]


def _without_broken_pipes(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    stream.flush()
    raw = io.BufferedWriter(_Unbreakable(stream.fileno(), "w", closefd=False))
    return io.TextIOWrapper(raw, stream.encoding, ESCAPED, line_buffering=stream.line_buffering, write_through=stream.write_through)
